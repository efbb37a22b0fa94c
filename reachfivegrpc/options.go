package reachfivegrpc

import (
	"context"
	"slices"

	"github.com/reachfive-community/reachfive"
)

// Option sets up an interceptor. The same options belong on both interceptors
// of a server, and in CheckMethods.
type Option func(*config)

// config is what the options made: filled while wiring, then only read.
type config struct {
	policies    policies
	endAtExpiry bool
	onRefusal   func(ctx context.Context, fullMethod string, err error)
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
// "/pkg.Service/*" for a whole service. A token that comes along is not read,
// and the handler finds no user. Where two options name a method, its full
// name beats its service's.
//
// Public panics on a name that is neither of the two forms.
func Public(fullMethods ...string) Option { return named(modePublic, fullMethods) }

// Optional names methods that take a call without a token, without a user in
// the context; a call with a token that is not good is still refused. Names
// and panics are those of Public.
func Optional(fullMethods ...string) Option { return named(modeOptional, fullMethods) }

// Require names a method, or a service as in Public, that needs a token which
// also passes the checks; the verifier runs them. The checks of a service and
// those of its methods add up. Without checks, Require takes a method out of a
// service that is Public or Optional.
//
// Require panics on a name that is neither of the two forms and on a nil
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

// EndAtExpiry says whether a stream ends when its token expires; the default
// is true. "Streams and expiry" in the package comment tells how it ends and
// by which clock. It means nothing to a unary interceptor. A user without an
// ExpiresAt, which no verifier of package reachfive returns, has no end.
func EndAtExpiry(end bool) Option { return func(c *config) { c.endAtExpiry = end } }

// OnRefusal sets a function that hears of every refusal: the error that the
// verifier returned, before the client has the status, or, when the handler of
// a stream that ended at expiry has returned, a *reachfive.Error of
// CodeExpired. It is for logs and counters and changes nothing. It runs on the
// RPC's own goroutine and must be safe for concurrent use. The default, and
// nil, is none.
func OnRefusal(f func(ctx context.Context, fullMethod string, err error)) Option {
	return func(c *config) { c.onRefusal = f }
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
