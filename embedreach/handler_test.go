package embedreach_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/embedreach"
)

const failed = `{"success":false,"error":"Failed to generate token"}`

func signedIn(*http.Request) (embedreach.Identity, error) { return identity(), nil }

func failing(err error) func(*http.Request) (embedreach.Identity, error) {
	return func(*http.Request) (embedreach.Identity, error) { return embedreach.Identity{}, err }
}

func get(h http.Handler, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/reach-authtoken", nil)
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandlerAnswersInTheVendorsShape(t *testing.T) {
	w := get(newSigner(t).Handler(signedIn), nil)
	token, err := newSigner(t).TenantToken(identity())
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, `{"success":true,"token":"`+token+`"}`, w.Body.String())
	assert.Equal(t, http.Header{
		"Cache-Control":          {"no-store"},
		"Content-Type":           {"application/json"},
		"X-Content-Type-Options": {"nosniff"},
	}, w.Header())
}

func TestHandlerGivesANewTokenEachTime(t *testing.T) {
	now := time.Unix(issuedAt, 0)
	h := newSigner(t, embedreach.WithClock(func() time.Time { return now })).Handler(signedIn)
	first := get(h, nil).Body.String()
	now = now.Add(time.Minute)
	assert.NotEqual(t, first, get(h, nil).Body.String())
}

func TestHandlerAnswersGETOnly(t *testing.T) {
	h := newSigner(t).Handler(func(*http.Request) (embedreach.Identity, error) {
		t.Error("identify was asked")
		return identity(), nil
	})
	for _, method := range []string{"HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/reach-authtoken", nil))
		assert.Equal(t, http.StatusMethodNotAllowed, w.Code, method)
		assert.Equal(t, "GET", w.Header().Get("Allow"), method)
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"), method)
		want := `{"success":false,"error":"Method not allowed"}`
		if method == "HEAD" {
			want = ""
		}
		assert.Equal(t, want, w.Body.String(), method)
	}
}

func TestHandlerRefusesCrossSiteReads(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values []string
		want   int
	}{
		{"no such header", nil, http.StatusOK},
		{"same origin", []string{"same-origin"}, http.StatusOK},
		{"same site", []string{"same-site"}, http.StatusOK},
		{"typed address", []string{"none"}, http.StatusOK},
		{"cross-site", []string{"cross-site"}, http.StatusForbidden},
		{"odd case and space", []string{" Cross-Site "}, http.StatusForbidden},
		{"second of two", []string{"same-origin", "cross-site"}, http.StatusForbidden},
	} {
		t.Run(tc.name, func(t *testing.T) {
			asked := false
			h := newSigner(t).Handler(func(*http.Request) (embedreach.Identity, error) {
				asked = true
				return identity(), nil
			})
			w := get(h, http.Header{"Sec-Fetch-Site": tc.values, "Origin": {"https://evil.example"}})
			assert.Equal(t, tc.want, w.Code)
			assert.Equal(t, tc.want == http.StatusOK, asked)
			for name := range w.Header() {
				assert.NotContains(t, name, "Access-Control")
			}
			if tc.want != http.StatusOK {
				assert.Equal(t, `{"success":false,"error":"Cross-site request refused"}`, w.Body.String())
			}
		})
	}
}

func TestHandlerAnswersErrors(t *testing.T) {
	down := &reachfive.Error{Code: reachfive.CodeKeysUnavailable, RetryAfter: 1500 * time.Millisecond}
	for _, tc := range []struct {
		name       string
		err        error
		status     int
		body       string
		retryAfter string
		logged     bool
	}{
		{"nobody signed in", embedreach.ErrUnauthenticated, 401, `{"success":false,"error":"Unauthenticated"}`, "", false},
		{"nobody signed in, wrapped", fmt.Errorf("session 7: %w", embedreach.ErrUnauthenticated), 401, `{"success":false,"error":"Unauthenticated"}`, "", false},
		{"expired", &reachfive.Error{Code: reachfive.CodeExpired, Claim: "exp"}, 401, `{"success":false,"error":"expired: the token has expired"}`, "", false},
		{"a bare Code", reachfive.CodeMissingToken, 401, `{"success":false,"error":"missing_token: an ID token is required"}`, "", false},
		{"forbidden, wrapped", fmt.Errorf("user 7: %w", reachfive.CodeForbidden), 403, `{"success":false,"error":"forbidden: the user may not do this"}`, "", false},
		{"the Code goes before ErrUnauthenticated", errors.Join(embedreach.ErrUnauthenticated, reachfive.CodeForbidden), 403, `{"success":false,"error":"forbidden: the user may not do this"}`, "", false},
		{"keys unavailable", down, 503, `{"success":false,"error":"keys_unavailable: the provider's keys are not available at the moment"}`, "2", true},
		{"keys unavailable, no hint", reachfive.CodeKeysUnavailable, 503, `{"success":false,"error":"keys_unavailable: the provider's keys are not available at the moment"}`, "1", true},
		{"an unknown Code", reachfive.Code("of_tomorrow"), 500, failed, "", true},
		{"any other error", errors.New("no such table: tenants"), 500, failed, "", true},
		{"a nil *Error", (*reachfive.Error)(nil), 500, failed, "", true},
		{"another context's cancellation", context.Canceled, 500, failed, "", true},
		{"another context's deadline", context.DeadlineExceeded, 500, failed, "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log bytes.Buffer
			s := newSigner(t, embedreach.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			w := get(s.Handler(failing(tc.err)), nil)
			assert.Equal(t, tc.status, w.Code)
			assert.Equal(t, tc.body, w.Body.String())
			assert.Equal(t, tc.retryAfter, w.Header().Get("Retry-After"))
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
			assert.Equal(t, tc.status == 401, w.Header().Get("WWW-Authenticate") != "")
			if tc.logged {
				assert.Contains(t, log.String(), tc.err.Error())
			} else {
				assert.Empty(t, log.String())
			}
		})
	}
}

func TestHandlerKeepsAMissingFieldToTheLog(t *testing.T) {
	var log bytes.Buffer
	s := newSigner(t, embedreach.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	w := get(s.Handler(func(*http.Request) (embedreach.Identity, error) {
		id := identity()
		id.TenantExternalID = ""
		return id, nil
	}), nil)
	assert.Equal(t, http.StatusInternalServerError, w.Code)
	assert.Equal(t, failed, w.Body.String())
	assert.Contains(t, log.String(), "tenantExternalId is empty")
	assert.NotContains(t, log.String(), identity().Email)
}

func TestHandlerIsSilentWithoutALogger(t *testing.T) {
	w := get(newSigner(t).Handler(failing(errors.New("no such table"))), nil)
	assert.Equal(t, failed, w.Body.String())
}

func TestHandlerWritesNoBodyOnceTheCallerHasGone(t *testing.T) {
	for name, identify := range map[string]func(*http.Request) (embedreach.Identity, error){
		"identify gives up": func(r *http.Request) (embedreach.Identity, error) {
			return embedreach.Identity{}, fmt.Errorf("lookup: %w", r.Context().Err())
		},
		"identify fails in its own words": failing(errors.New("interrupted")),
		"identify succeeds all the same":  signedIn,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var log bytes.Buffer
			h := newSigner(t, embedreach.WithLogger(slog.New(slog.NewTextHandler(&log, nil)))).
				Handler(func(r *http.Request) (embedreach.Identity, error) {
					cancel()
					return identify(r)
				})
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
			assert.Equal(t, 499, w.Code, "net/http would send 200 by itself")
			assert.Empty(t, w.Body.String())
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			assert.Empty(t, log.String())
		})
	}
}

func TestHandlerAnswers503WhenTheRequestsDeadlineHasPassed(t *testing.T) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(issuedAt, 0))
	defer cancel()
	w := httptest.NewRecorder()
	h := newSigner(t).Handler(func(r *http.Request) (embedreach.Identity, error) {
		return embedreach.Identity{}, r.Context().Err()
	})
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Equal(t, "1", w.Header().Get("Retry-After"))
	assert.Equal(t, failed, w.Body.String())
}

func TestHandlerPanicsWhileWiringWithoutIdentify(t *testing.T) {
	s := newSigner(t)
	assert.Panics(t, func() { s.Handler(nil) })
}

func TestHandlerWorksOverARealConnection(t *testing.T) {
	server := httptest.NewServer(newSigner(t).Handler(signedIn))
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	var body struct {
		Success bool
		Token   string
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&body))
	assert.True(t, body.Success)
	open(t, body.Token, secret)
}
