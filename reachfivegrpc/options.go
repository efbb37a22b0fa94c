package reachfivegrpc

import (
	"context"
	"slices"

	"github.com/reachfive-community/reachfive"
)

// Option configures an interceptor. Both interceptors of a server, and
// CheckMethods, take the same options. They panic on a nil one.
type Option func(*config)

// config is what the options set. It does not change after wiring.
type config struct {
	policies    policies
	endAtExpiry bool
	onRefusal   []func(ctx context.Context, fullMethod string, err error)
}

func newConfig(opts []Option) *config {
	c := &config{policies: policies{}, endAtExpiry: true}
	for _, opt := range opts {
		if opt == nil {
			panic("reachfivegrpc: nil option")
		}
		opt(c)
	}
	c.policies.inherit()
	return c
}

// Public names methods that need no token: "/pkg.Service/Method", or
// "/pkg.Service/*" for a whole service. A token that is sent is not read, and
// the handler finds no user. If two options name a method, its full name takes
// precedence over its service's.
//
// Public panics on a name that has neither of the two forms.
func Public(fullMethods ...string) Option { return named(modePublic, fullMethods) }

// Optional names methods that accept a call without a token; the handler then
// finds no user in the context, also if an outer interceptor had found one. A
// call with a bad token is still refused. The forms of a name, and the panics,
// are those of Public.
func Optional(fullMethods ...string) Option { return named(modeOptional, fullMethods) }

// Require names a method, or a service as in Public, that needs a token which
// also passes the checks. The verifier runs them. The checks of a service and
// those of its methods add up. Without checks, Require makes a method of a
// Public or Optional service need a token.
//
// Require panics on a name that has neither of the two forms and on a nil
// check. An interceptor panics if the same name is also Public or Optional.
func Require(fullMethod string, checks ...reachfive.Check) Option {
	mustBeName(fullMethod)
	for _, check := range checks {
		if check == nil {
			panic("reachfivegrpc: a nil check for " + fullMethod)
		}
	}
	said := policy{mode: modeToken, checks: slices.Clone(checks)}
	return func(c *config) { c.policies.add(fullMethod, said) }
}

// EndAtExpiry sets whether a stream ends when its token expires; the default is
// true. "Streams and expiry" in the package comment describes how it ends and by
// which clock. A unary interceptor ignores it. A user without an ExpiresAt,
// which no verifier of package reachfive returns, has no end.
func EndAtExpiry(end bool) Option { return func(c *config) { c.endAtExpiry = end } }

// OnRefusal adds a function that is called with each refusal: with the error of
// the verifier, before the client gets the status, or, when the handler of a
// stream that ended at expiry has returned, with a *reachfive.Error of
// CodeExpired. It is for logs and counters and cannot change the status. It runs
// on the RPC's own goroutine and must be safe for concurrent use. Given several
// times, each function is called. OnRefusal panics on nil.
func OnRefusal(report func(ctx context.Context, fullMethod string, err error)) Option {
	if report == nil {
		panic("reachfivegrpc: OnRefusal: nil function")
	}
	return func(c *config) { c.onRefusal = append(c.onRefusal, report) }
}

func named(m mode, names []string) Option {
	for _, name := range names {
		mustBeName(name)
	}
	names = slices.Clone(names)
	return func(c *config) {
		for _, name := range names {
			c.policies.add(name, policy{mode: m})
		}
	}
}
