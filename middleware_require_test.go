package reachfive_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reachfive-community/reachfive"
)

func TestRequireChecksTheUserOfTheMiddlewareAroundIt(t *testing.T) {
	t.Parallel()
	verified := 0
	v := verifierFunc(func(ctx context.Context, idToken string, checks ...reachfive.Check) (*reachfive.User, error) {
		verified++
		return acceptAll(ctx, idToken, checks...)
	})
	no := func(err error) reachfive.Check {
		return func(context.Context, *reachfive.User) error { return err }
	}
	cause := errors.New("SECRET: not an administrator")
	told := error(nil)
	onError := reachfive.OnError(func(w http.ResponseWriter, _ *http.Request, err error) {
		told = err
		w.WriteHeader(http.StatusTeapot)
	})
	wrap := func(check []reachfive.Check, opts ...reachfive.MiddlewareOption) http.Handler {
		return reachfive.Middleware(v, opts...)(reachfive.Require(check...)(http.HandlerFunc(whoAmI)))
	}
	checks := func(c ...reachfive.Check) []reachfive.Check { return c }
	tests := []struct {
		name      string
		handler   http.Handler
		request   *http.Request
		status    int
		challenge string
	}{
		{"all hold", wrap(checks(no(nil))), get("Bearer a.b.c"), 200, ""},
		{"no checks, a user", wrap(nil), get("Bearer a.b.c"), 200, ""},
		{"a plain error", wrap(checks(no(nil), no(cause))), get("Bearer a.b.c"), 403, ""},
		{
			"an Error", wrap(checks(no(reachfive.CodeReauthenticationRequired)), reachfive.Realm("pay")), get("Bearer a.b.c"), 401,
			`Bearer realm="pay", error="insufficient_user_authentication", error_description="reauthentication_required: a more recent sign-in is required", max_age="0"`,
		},
		{"a visitor", wrap(nil, reachfive.Optional(), reachfive.Realm("pay")), get(), 401, `Bearer realm="pay"`},
		{"OnError", wrap(checks(no(cause)), onError), get("Bearer a.b.c"), http.StatusTeapot, ""},
		{"a user put in between", reachfive.Middleware(v, reachfive.Optional(), onError)(withUser(reachfive.Require(no(cause))(http.HandlerFunc(whoAmI)))), get(), http.StatusTeapot, ""},
		{"no Middleware", reachfive.Require()(http.HandlerFunc(whoAmI)), get("Bearer a.b.c"), 401, `Bearer realm="reachfive"`},
		{"no Middleware, a user", withUser(reachfive.Require(no(nil))(http.HandlerFunc(whoAmI))), get(), 200, ""},
		{"no Middleware, a refused user", withUser(reachfive.Require(no(cause))(http.HandlerFunc(whoAmI))), get(), 403, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, tt.handler, tt.request)
			if got.StatusCode != tt.status || got.Header.Get("Www-Authenticate") != tt.challenge || strings.Contains(got.body, "SECRET") {
				t.Errorf("%d %s, challenge %s", got.StatusCode, got.body, got.Header.Get("Www-Authenticate"))
			}
		})
	}
	if !errors.Is(told, cause) || !errors.Is(told, reachfive.CodeForbidden) || strings.Contains(told.Error(), "SECRET") {
		t.Errorf("OnError was told %v", told)
	}
	if verified != 5 {
		t.Errorf("%d verifications for 5 tokens", verified)
	}
}

// withUser puts a user into every request, as a handler's test does.
func withUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(reachfive.ContextWithUser(r.Context(), &reachfive.User{Subject: "ann"})))
	})
}

func TestRequireAnswersTheEndOfTheRequestsOwnContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	check := func(ctx context.Context, _ *reachfive.User) error { return ctx.Err() }
	w := httptest.NewRecorder()
	withUser(reachfive.Require(check)(http.HandlerFunc(whoAmI))).ServeHTTP(w, get().WithContext(ctx))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestRequireKeepsTheChecksThatItWasGiven(t *testing.T) {
	t.Parallel()
	checks := []reachfive.Check{func(context.Context, *reachfive.User) error { return nil }}
	h := withUser(reachfive.Require(checks...)(http.HandlerFunc(whoAmI)))
	checks[0] = func(context.Context, *reachfive.User) error { return reachfive.CodeForbidden }
	if got := send(t, h, get()); got.StatusCode != http.StatusOK {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}
