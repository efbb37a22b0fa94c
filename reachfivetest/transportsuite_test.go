package reachfivetest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// httpAnswer returns the HTTP status of an error.
func httpAnswer(err error) int {
	switch code := reachfive.CodeOf(err); {
	case err == nil:
		return http.StatusOK
	case code == "" && errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	default:
		return code.HTTPStatus()
	}
}

func httpStatus(decision error) string {
	if errors.Is(decision, context.Canceled) {
		return "gone"
	}
	return strconv.Itoa(httpAnswer(decision))
}

// serveHTTP is an adapter for net/http: answer returns a refusal's status, and
// open, if set, replaces the middleware.
func serveHTTP(answer func(error) int, open func(http.Handler) http.Handler) func(testing.TB, reachfive.TokenVerifier) TransportCall {
	return func(tb testing.TB, v reachfive.TokenVerifier) TransportCall {
		tb.Helper()
		var reason atomic.Value
		onError := reachfive.OnError(func(w http.ResponseWriter, _ *http.Request, err error) {
			reason.Store(reachfive.CodeOf(err))
			w.WriteHeader(answer(err))
		})
		required, optional := reachfive.Middleware(v, onError), reachfive.Middleware(v, onError, reachfive.Optional())
		if open != nil {
			required, optional = open, open
		}
		stepUp := reachfive.Require(reachfive.MaxAge(StepUpMaxAge))
		hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user, ok := reachfive.UserFromContext(r.Context()); ok {
				_, _ = io.WriteString(w, user.Subject)
			}
		})
		mux := http.NewServeMux()
		mux.Handle("/token", required(hello))
		mux.Handle("/optional", optional(hello))
		mux.Handle("/public", hello)
		mux.Handle("/step-up", required(stepUp(hello)))
		server := httptest.NewServer(mux)
		tb.Cleanup(server.Close)

		return func(ctx context.Context, token string, operation Operation) Outcome {
			reason.Store(reachfive.Code(""))
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/"+string(operation), nil)
			require.NoError(tb, err)
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			response, err := server.Client().Do(r)
			if errors.Is(err, context.Canceled) {
				return Outcome{Status: "gone"}
			}
			require.NoError(tb, err)
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			require.NoError(tb, err)
			return Outcome{
				Status:  strconv.Itoa(response.StatusCode),
				Reason:  reason.Load().(reachfive.Code),
				Subject: string(body),
			}
		}
	}
}

func TestNetHTTPPassesTheTransportSuite(t *testing.T) {
	RunTransportSuite(t, serveHTTP(httpAnswer, nil), httpStatus)
}

// failures returns the names of the cases that fail on an adapter.
func failures(t *testing.T, serve func(testing.TB, reachfive.TokenVerifier) TransportCall) (failed []string, of int) {
	t.Helper()
	cases := transportCases(t, serve)
	for _, c := range cases {
		if c.problems(t.Context(), httpStatus) != nil {
			failed = append(failed, c.name)
		}
	}
	return failed, len(cases)
}

func TestTransportSuiteFailsAnAdapterThatSwapsTwoCodes(t *testing.T) {
	swapped := func(err error) int {
		switch reachfive.CodeOf(err) {
		case reachfive.CodeKeysUnavailable: // an outage signs users out
			return reachfive.CodeExpired.HTTPStatus()
		case reachfive.CodeExpired:
			return reachfive.CodeKeysUnavailable.HTTPStatus()
		}
		return httpAnswer(err)
	}
	failed, _ := failures(t, serveHTTP(swapped, nil))
	assert.ElementsMatch(t, []string{
		"refused: expired", "refused: keys_unavailable", "optional: a bad token", "step-up: a bad token",
		"tenant: expired", "tenant: provider down",
	}, failed)
}

func TestTransportSuiteFailsAnAdapterThatLetsEverythingIn(t *testing.T) {
	open := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user := &reachfive.User{Subject: scriptSubject}
			next.ServeHTTP(w, r.WithContext(reachfive.ContextWithUser(r.Context(), user)))
		})
	}
	failed, of := failures(t, serveHTTP(httpAnswer, open))
	assert.Greater(t, len(failed), of*9/10)
	for _, name := range []string{"no token", "refused: invalid_signature", "the caller goes away", "optional: a bad token", "tenant: tampered", "tenant: provider down"} {
		assert.Contains(t, failed, name)
	}
}

// Reporting one Code and answering as for another is wrong, even if both have
// the same status.
func TestTransportSuiteFailsAnAdapterWhoseReasonIsNotItsStatus(t *testing.T) {
	serve := func(tb testing.TB, v reachfive.TokenVerifier) TransportCall {
		tb.Helper()
		call := serveHTTP(httpAnswer, nil)(tb, v)
		return func(ctx context.Context, token string, operation Operation) Outcome {
			got := call(ctx, token, operation)
			if got.Reason == reachfive.CodeWrongIssuer { // a 401 like the other
				got.Reason = reachfive.CodeWrongAudience
			}
			return got
		}
	}
	failed, _ := failures(t, serve)
	assert.Equal(t, []string{"refused: wrong_issuer", "tenant: another issuer"}, failed)
}
