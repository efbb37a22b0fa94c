package reachfive

import (
	"context"
	"errors"
	"net/http"
	"slices"
)

// TokenVerifier verifies ID tokens for Middleware. *Verifier and
// *IssuerVerifier implement it; a test may bring its own.
//
// Verify returns a user, or an error that holds an *Error or is the error of
// ctx. It must be safe for concurrent use.
type TokenVerifier interface {
	Verify(ctx context.Context, idToken string, checks ...Check) (*User, error)
}

// MiddlewareOption configures Middleware. Middleware panics on a nil one.
type MiddlewareOption func(*middleware)

// TokenFrom sets where a request carries its ID token; the default is
// FromBearer. All sources are asked, and a request with two tokens is refused
// with CodeInvalidRequest, even if the two are equal. Given several times, the
// sources add up.
func TokenFrom(sources ...TokenSource) MiddlewareOption {
	return func(m *middleware) { m.sources = append(m.sources, sources...) }
}

// Optional lets a request without a token pass without a user, so that the
// handler can serve visitors too. A user that an outer Middleware found is not
// visible to the handler then. A bad token is still rejected, not treated as
// anonymous.
func Optional() MiddlewareOption {
	return func(m *middleware) { m.optional = true }
}

// ChecksFor adds checks that depend on the request, such as Nonce with a value
// from the session. The function runs when a token was found, before the token
// is verified. An *Error or a Code that it returns refuses the request with that
// Code; any other error is answered with 500, without its text.
// Given several times, all the checks run.
func ChecksFor(checks func(*http.Request) ([]Check, error)) MiddlewareOption {
	return func(m *middleware) {
		if checks == nil {
			panic("reachfive: ChecksFor: nil function")
		}
		m.checksFor = append(m.checksFor, checks)
	}
}

// TrustedOrigins adds origins, other than the service's own, whose pages may
// send a token by form or cookie: scheme://host[:port], without a path or a
// trailing slash. Upper case and a default port do not matter. Middleware
// panics on anything that no browser sends as an Origin, such as a wildcard.
//
// The rules are those of http.CrossOriginProtection, with one addition: a
// request that asks for an upgrade, as a WebSocket handshake does, needs an
// Origin that is the service's own or trusted, whatever its method.
func TrustedOrigins(origins ...string) MiddlewareOption {
	return func(m *middleware) {
		for _, origin := range origins {
			if m.origins.AddTrustedOrigin(normalizeOrigin(origin)) != nil {
				panic("reachfive: TrustedOrigins: not an origin (scheme://host[:port]): " + origin)
			}
		}
	}
}

// InsecureAnyOrigin accepts a token from a form or a cookie whatever page sent
// the request. With it, any page that a visitor opens can sign that visitor in
// as somebody else, or use the cookie that the browser adds.
func InsecureAnyOrigin() MiddlewareOption {
	return func(m *middleware) { m.anyOrigin = true }
}

// OnError replaces the answer to a refused request: respond must write a status
// and may write a body. WWW-Authenticate, Retry-After and Cache-Control are
// already set as Middleware would send them, and respond may change them.
// Given several times, the last one answers.
//
// CodeOf(err) is the reason and CodeOf(err).HTTPStatus() the status that would
// have been sent. An err without a Code is the request's own context error or a
// fault of the service. Without OnError the answers are 503 for
// context.DeadlineExceeded, 499 without a body for context.Canceled, and 500 for
// a fault. The text of an error without a Code may contain anything: log it, do
// not send it.
func OnError(respond func(w http.ResponseWriter, r *http.Request, err error)) MiddlewareOption {
	return func(m *middleware) {
		if respond == nil {
			panic("reachfive: OnError: nil function")
		}
		m.responder.onError = respond
	}
}

// OnRefusal adds a function for logs and counters. It is called with each request
// that Middleware, or Require behind it, refuses, a request without a token and
// one with an error of ChecksFor included. It gets the error that OnError gets,
// before the answer is written, and cannot change the answer. It runs on the
// request's own goroutine and must be safe for concurrent use. Given several
// times, each function is called.
func OnRefusal(report func(r *http.Request, err error)) MiddlewareOption {
	return func(m *middleware) {
		if report == nil {
			panic("reachfive: OnRefusal: nil function")
		}
		m.responder.onRefusal = append(m.responder.onRefusal, report)
	}
}

// Realm sets the realm of the challenges; the default is "reachfive".
// Middleware panics on a realm with a control character.
func Realm(realm string) MiddlewareOption {
	return func(m *middleware) {
		quoted, ok := quotedString(realm)
		if !ok {
			panic("reachfive: Realm: control character")
		}
		m.responder.realm = quoted
	}
}

// Middleware passes a request to the handler if it carries exactly one valid ID
// token, and puts the token's user into the request's context, where
// UserFromContext finds it. Every other request is refused with the status of
// its Code, a challenge of RFC 6750 (or RFC 9470) where one applies,
// "Cache-Control: no-store" and a JSON body with the members error and
// error_description. If the provider's keys cannot be fetched, the answer is
// 503 with Retry-After and not 401, so that an outage signs nobody out.
//
// The body's error is the challenge's: invalid_request, invalid_token or
// insufficient_user_authentication. Without a challenge it is login_required
// for a request without a token, access_denied for a 403,
// temporarily_unavailable for a 503 and server_error for a 500. The description
// is one fixed sentence for each Code and starts with the Code. A HEAD request
// gets no body. If the client has gone, the status is 499 without a body.
//
// A token from a form or a cookie is accepted only from a request of a trusted
// origin: see TrustedOrigins. Middleware sets no CORS headers. Put a CORS
// middleware outside it, so that preflights never reach it and a page can read
// why it was refused.
//
// Middleware panics on a wiring mistake, as http.ServeMux does: a nil verifier,
// option or handler, an empty field or cookie name, an impossible origin, the
// same source twice. The handler that it returns never panics by itself and is
// safe for concurrent use.
func Middleware(v TokenVerifier, opts ...MiddlewareOption) func(http.Handler) http.Handler {
	if isNil(v) {
		panic("reachfive: Middleware: nil verifier")
	}
	m := &middleware{
		verifier:  v,
		origins:   http.NewCrossOriginProtection(),
		responder: &responder{realm: defaultRealm},
	}
	for _, opt := range opts {
		if opt == nil {
			panic("reachfive: Middleware: nil option")
		}
		opt(m)
	}
	if m.sources == nil {
		m.sources = []TokenSource{FromBearer()}
	}
	checkSources(m.sources)
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("reachfive: Middleware: nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.serve(w, r, next) })
	}
}

// isNil reports whether v is nil, or a nil pointer to one of our verifiers.
func isNil(v TokenVerifier) bool {
	switch v := v.(type) {
	case nil:
		return true
	case *Verifier:
		return v == nil
	case *IssuerVerifier:
		return v == nil
	}
	return false
}

// middleware is what the options of Middleware set. It does not change after
// that.
type middleware struct {
	verifier  TokenVerifier
	sources   []TokenSource
	checksFor []func(*http.Request) ([]Check, error)
	optional  bool
	origins   *http.CrossOriginProtection
	anyOrigin bool
	responder *responder
}

func (m *middleware) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	found, err := m.findToken(w, r)
	var user *User // stays nil for a visitor
	if err == nil && found.token != "" {
		user, err = m.verify(r, found)
	}
	if err != nil {
		m.responder.refuse(w, r, err)
		return
	}
	// A visitor's request gets a context of ours too. It hides the user of an
	// outer Middleware, and Require finds the realm and OnError in it.
	ctx := context.WithValue(r.Context(), contextKey{}, &signIn{user: user, responder: m.responder})
	next.ServeHTTP(w, r.WithContext(ctx))
}

// verify never returns a nil user without an error.
func (m *middleware) verify(r *http.Request, found foundToken) (*User, error) {
	if found.ambient {
		if err := m.checkOrigin(r); err != nil {
			return nil, err
		}
	}
	var checks []Check
	for _, checksFor := range m.checksFor {
		more, err := checksFor(r)
		if err != nil {
			return nil, &fault{err}
		}
		checks = append(checks, more...)
	}
	user, err := m.verifier.Verify(r.Context(), found.token, checks...)
	if err != nil {
		return nil, err
	}
	if user == nil {
		return nil, errors.New("reachfive: the TokenVerifier returned neither a user nor an error")
	}
	return user, nil
}

// Require runs checks on the user that the Middleware around it has verified,
// so that one route can require more than others. It does not verify the token
// again.
// Without a user in the context it answers CodeMissingToken, so that Require()
// inside an Optional Middleware requires a sign-in. It refuses as the
// Middleware around it does, with its Realm, OnError and OnRefusal, and panics
// on a nil check or handler while wiring.
func Require(checks ...Check) func(http.Handler) http.Handler {
	for _, check := range checks {
		if check == nil {
			panic("reachfive: Require: nil check")
		}
	}
	checks = slices.Clone(checks)
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("reachfive: Require: nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			s := signInFrom(ctx)
			if s.user == nil {
				s.responder.refuse(w, r, &Error{Code: CodeMissingToken})
				return
			}
			if err := runChecks(ctx, s.user, checks); err != nil {
				s.responder.refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

type contextKey struct{}

// signIn is what a request's context holds. It never changes, so that any
// goroutine of a handler may read it, even after the handler has returned.
type signIn struct {
	user      *User // nil for a visitor
	responder *responder
}

func signInFrom(ctx context.Context) *signIn {
	if s, ok := ctx.Value(contextKey{}).(*signIn); ok {
		return s
	}
	return &signIn{responder: &responder{realm: defaultRealm}}
}

// UserFromContext returns the user that Middleware, an interceptor of
// reachfivegrpc or ContextWithUser put into ctx. It returns false if there is
// none, as for a visitor that Optional let pass. The user belongs to the
// request: changing it changes no other request's.
func UserFromContext(ctx context.Context) (*User, bool) {
	s, ok := ctx.Value(contextKey{}).(*signIn)
	if !ok || s.user == nil {
		return nil, false
	}
	return s.user, true
}

// ContextWithUser returns a copy of ctx that carries u, for a handler's test or
// for a transport other than net/http. It verifies nothing: the caller vouches
// that u is signed in. With a nil u the context has no user, also if ctx has
// one.
func ContextWithUser(ctx context.Context, u *User) context.Context {
	return context.WithValue(ctx, contextKey{}, &signIn{user: u, responder: signInFrom(ctx).responder})
}
