package reachfive

import (
	"context"
	"errors"
	"net/http"
)

// TokenVerifier is what Middleware asks of a verifier. *Verifier is one, and
// so is what ByIssuer returns; a test may bring its own.
//
// Verify returns a user, or an error that holds an *Error or is the error of
// ctx. It must be safe for concurrent use.
type TokenVerifier interface {
	Verify(ctx context.Context, idToken string, checks ...Check) (*User, error)
}

// MiddlewareOption configures Middleware.
type MiddlewareOption func(*guard)

// TokenFrom says where a request carries its ID token; without it that is
// FromBearer. All sources are asked, and a request with two tokens is refused
// with CodeInvalidRequest, also when the two are equal. Given several times,
// the sources add up.
func TokenFrom(sources ...TokenSource) MiddlewareOption {
	return func(g *guard) { g.sources = append(g.sources, sources...) }
}

// Optional lets a request without a token pass without a user, so that the
// handler can serve visitors too. A token that is there and not good is
// refused as ever: an expired sign-in does not turn into a visitor unseen.
func Optional() MiddlewareOption {
	return func(g *guard) { g.optional = true }
}

// ChecksFor adds checks that depend on the request, such as Nonce with the
// value that a cookie holds. It runs once a token was found, before the token
// is verified. Its *Error or Code is answered as such; any other error is a 500
// with nothing of it in the body. Given several times, all of the checks hold.
func ChecksFor(checks func(*http.Request) ([]Check, error)) MiddlewareOption {
	return func(g *guard) {
		if checks == nil {
			panic("reachfive: ChecksFor: nil function")
		}
		g.checksFor = append(g.checksFor, checks)
	}
}

// TrustedOrigins names the origins, other than the service's own, whose pages
// may send a token by form or cookie: scheme://host[:port], without a path or a
// trailing slash. Upper case and a default port do not matter. Middleware
// panics on what no browser would send as an Origin, a wildcard included.
func TrustedOrigins(origins ...string) MiddlewareOption {
	return func(g *guard) {
		for _, origin := range origins {
			normal, ok := normalizeOrigin(origin)
			if !ok || g.origins.AddTrustedOrigin(normal) != nil {
				panic("reachfive: TrustedOrigins: not an origin (scheme://host[:port]): " + origin)
			}
		}
	}
}

// InsecureAnyOrigin takes a token from a form or a cookie whatever page sent
// the request. With it, any page that a visitor opens can sign that visitor in
// as somebody else, or use the cookie that the browser sends along.
func InsecureAnyOrigin() MiddlewareOption {
	return func(g *guard) { g.anyOrigin = true }
}

// OnError replaces the answer to a refused request: respond must write a status
// and whatever body it likes. WWW-Authenticate, Retry-After and Cache-Control
// are already set as Middleware would send them, and respond may change them.
//
// CodeOf(err) is the reason and CodeOf(err).HTTPStatus() the status that would
// have been sent. An err without a Code is the request's own context error,
// which is answered 503 for context.DeadlineExceeded and without a body for
// context.Canceled, or a fault of the service, answered 500. The text of an
// error without a Code may carry anything: log it, do not send it.
func OnError(respond func(w http.ResponseWriter, r *http.Request, err error)) MiddlewareOption {
	return func(g *guard) {
		if respond == nil {
			panic("reachfive: OnError: nil function")
		}
		g.refusals.onError = respond
	}
}

// Realm sets the realm of the challenges, "reachfive" by default. Middleware
// panics on a realm with a control character.
func Realm(realm string) MiddlewareOption {
	return func(g *guard) {
		quoted, ok := quotedString(realm)
		if !ok {
			panic("reachfive: Realm: control character")
		}
		g.refusals.realm = quoted
	}
}

// Middleware lets a request through to the handler when it carries one good ID
// token, and puts the token's user into the request's context, from where
// UserFromContext reads it. Every other request is refused with the status of
// its Code, a challenge of RFC 6750 (or RFC 9470) where one belongs,
// "Cache-Control: no-store" and a JSON body with the members error and
// error_description. When the provider's keys cannot be had, that is a 503 with
// Retry-After and not a 401, so that an outage there signs nobody out here.
//
// The body's error is the challenge's: invalid_request, invalid_token or
// insufficient_user_authentication. Where there is none it is login_required
// for a request without a token, access_denied for a 403,
// temporarily_unavailable for a 503 and server_error for a 500. The description
// is one fixed sentence for each Code and starts with the Code. A HEAD request
// gets no body. A request whose client has gone is answered 499 without a body.
//
// A token from a form or a cookie is taken only from a request that passes
// http.CrossOriginProtection: see TrustedOrigins. Middleware sets no CORS
// headers; a CORS middleware goes outside it, so that preflights never reach it
// and a page can read why it was refused.
//
// Middleware panics on a wiring mistake, as http.ServeMux does: a nil verifier
// or handler, an empty field or cookie name, an impossible origin, the same
// source twice. What it returns panics on nothing, and is safe for concurrent
// use.
func Middleware(v TokenVerifier, opts ...MiddlewareOption) func(http.Handler) http.Handler {
	if concrete, ok := v.(*Verifier); v == nil || ok && concrete == nil {
		panic("reachfive: Middleware: nil verifier")
	}
	g := &guard{
		verifier: v,
		origins:  http.NewCrossOriginProtection(),
		refusals: &refusals{realm: defaultRealm},
	}
	for _, opt := range opts {
		if opt == nil {
			panic("reachfive: Middleware: nil option")
		}
		opt(g)
	}
	if g.sources == nil {
		g.sources = []TokenSource{FromBearer()}
	}
	checkSources(g.sources)
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("reachfive: Middleware: nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.serve(w, r, next) })
	}
}

// guard is a Middleware once its options are read; nothing in it changes then.
type guard struct {
	verifier  TokenVerifier
	sources   []TokenSource
	checksFor []func(*http.Request) ([]Check, error)
	optional  bool
	origins   *http.CrossOriginProtection
	anyOrigin bool
	refusals  *refusals
}

func (g *guard) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	found, err := g.findToken(w, r)
	if err != nil {
		g.refusals.answer(w, r, err)
		return
	}
	var user *User
	if found.token != "" {
		if user, err = g.verify(r, found); err != nil {
			g.refusals.answer(w, r, err)
			return
		}
	}
	// A request without a token gets its context too: Require answers with
	// the realm and OnError of the Middleware around it.
	ctx := r.Context()
	if user == nil {
		user, _ = UserFromContext(ctx)
	}
	ctx = context.WithValue(ctx, contextKey{}, &signIn{user: user, refusals: g.refusals})
	next.ServeHTTP(w, r.WithContext(ctx))
}

// verify never returns a nil user without an error.
func (g *guard) verify(r *http.Request, found foundToken) (*User, error) {
	if found.ambient && !g.anyOrigin {
		if err := g.origins.Check(r); err != nil {
			return nil, &Error{Code: CodeUntrustedOrigin, cause: err}
		}
	}
	var checks []Check
	for _, checksFor := range g.checksFor {
		more, err := checksFor(r)
		if err != nil {
			return nil, &fault{err}
		}
		checks = append(checks, more...)
	}
	user, err := g.verifier.Verify(r.Context(), found.token, checks...)
	if err != nil {
		return nil, err
	}
	if user == nil {
		return nil, errors.New("reachfive: the TokenVerifier returned neither a user nor an error")
	}
	return user, nil
}

// Require runs checks on the user whom the Middleware around it has verified,
// so that one route can ask for more than its neighbours; nothing is verified
// twice. Without a user in the context it answers CodeMissingToken, so that
// Require() behind an Optional Middleware asks for a sign-in. It refuses as the
// Middleware around it does, with its Realm and OnError, and panics on a nil
// check or handler while wiring.
func Require(checks ...Check) func(http.Handler) http.Handler {
	for _, check := range checks {
		if check == nil {
			panic("reachfive: Require: nil check")
		}
	}
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("reachfive: Require: nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			s := signInFrom(ctx)
			if s.user == nil {
				s.refusals.answer(w, r, &Error{Code: CodeMissingToken})
				return
			}
			if err := runChecks(ctx, s.user, checks); err != nil {
				s.refusals.answer(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

type contextKey struct{}

// signIn is what a request's context holds. It never changes, so that any
// goroutine of a handler may read it, also after the handler has returned.
type signIn struct {
	user     *User // nil for a visitor
	refusals *refusals
}

func signInFrom(ctx context.Context) *signIn {
	if s, ok := ctx.Value(contextKey{}).(*signIn); ok {
		return s
	}
	return &signIn{refusals: &refusals{realm: defaultRealm}}
}

// UserFromContext returns the user whom Middleware, an interceptor of
// reachfivegrpc or ContextWithUser put into ctx; false if there is none, as for
// a visitor that Optional let pass. The user is the request's own: changing it
// changes nobody else's.
func UserFromContext(ctx context.Context) (*User, bool) {
	s, ok := ctx.Value(contextKey{}).(*signIn)
	if !ok || s.user == nil {
		return nil, false
	}
	return s.user, true
}

// ContextWithUser returns a copy of ctx that carries u, for a handler's test or
// for a transport other than net/http. It verifies nothing: whoever calls it
// says that u is signed in. A nil u makes a context without a user.
func ContextWithUser(ctx context.Context, u *User) context.Context {
	return context.WithValue(ctx, contextKey{}, &signIn{user: u, refusals: signInFrom(ctx).refusals})
}
