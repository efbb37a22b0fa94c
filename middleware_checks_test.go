package reachfive_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/reachfive-community/reachfive"
)

func TestChecksForAddsChecksOfTheRequest(t *testing.T) {
	t.Parallel()
	wantSubject := func(header string) reachfive.MiddlewareOption {
		return reachfive.ChecksFor(func(r *http.Request) ([]reachfive.Check, error) {
			return []reachfive.Check{func(_ context.Context, u *reachfive.User) error {
				if u.Subject != r.Header.Get(header) {
					return reachfive.CodeWrongNonce
				}
				return nil
			}}, nil
		})
	}
	h := protect(whoAmI, wantSubject("X-One"), wantSubject("X-Two"))
	r := func(one, two string) *http.Request {
		return with(with(get("Bearer a.b.c"), "X-One", one), "X-Two", two)
	}
	for _, tt := range []struct {
		one, two string
		want     reachfive.Code
	}{{"a.b.c", "a.b.c", ""}, {"", "a.b.c", reachfive.CodeWrongNonce}, {"a.b.c", "", reachfive.CodeWrongNonce}} {
		if got := send(t, h, r(tt.one, tt.two)); got.code(t) != tt.want {
			t.Errorf("%q %q: %d %s", tt.one, tt.two, got.StatusCode, got.body)
		}
	}
}

func TestChecksForErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		err    error
		status int
	}{
		{"a plain error", errors.New("SECRET dsn"), 500},
		{"an Error", &reachfive.Error{Code: reachfive.CodeWrongNonce}, 401},
		{"a nil *Error", (*reachfive.Error)(nil), 500},
		{"a Code", reachfive.CodeForbidden, 403},
		{"an Error of an unknown Code", &reachfive.Error{Code: "SECRET"}, 500},
		{"a deadline of its own", context.DeadlineExceeded, 500},
		{"a cancellation of its own", context.Canceled, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var told error
			opts := []reachfive.MiddlewareOption{reachfive.ChecksFor(func(*http.Request) ([]reachfive.Check, error) { return nil, tt.err })}
			got := send(t, protect(whoAmI, opts...), get("Bearer a.b.c"))
			if got.StatusCode != tt.status || strings.Contains(got.body, "SECRET") {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
			opts = append(opts, reachfive.OnError(func(_ http.ResponseWriter, _ *http.Request, err error) { told = err }))
			send(t, protect(whoAmI, opts...), get("Bearer a.b.c"))
			if told != tt.err { //nolint:errorlint // the very error, not one that wraps it
				t.Errorf("OnError was told %v", told)
			}
		})
	}
	t.Run("no token, no call", func(t *testing.T) {
		t.Parallel()
		h := protect(whoAmI, reachfive.Optional(), reachfive.ChecksFor(func(*http.Request) ([]reachfive.Check, error) {
			return nil, errors.New("called")
		}))
		if got := send(t, h, get()); got.body != "visitor" {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
	})
}
