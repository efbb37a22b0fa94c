// Package suite runs the transport suite on the examples that speak HTTP.
package suite

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// gone is the status of a caller who went away before there was one.
const gone = "gone"

// Run runs the transport suite on a server with the four routes of the examples.
func Run(t *testing.T, newServer func(reachfive.TokenVerifier, ...reachfive.MiddlewareOption) http.Handler) {
	t.Helper()
	reachfivetest.RunTransportSuite(t, func(tb testing.TB, v reachfive.TokenVerifier) reachfivetest.TransportCall {
		tb.Helper()
		reason := &Reason{}
		server := httptest.NewServer(newServer(v, reachfive.OnError(func(w http.ResponseWriter, _ *http.Request, err error) {
			reason.Hear(err)
			w.WriteHeader(answer(err))
		})))
		tb.Cleanup(server.Close)
		return func(ctx context.Context, token string, operation reachfivetest.Operation) reachfivetest.Outcome {
			reason.Forget()
			status, subject := get(ctx, tb, server, token, operation)
			return reachfivetest.Outcome{Status: status, Reason: reason.Heard(), Subject: subject}
		}
	}, status)
}

func get(ctx context.Context, tb testing.TB, server *httptest.Server, token string, operation reachfivetest.Operation) (status, subject string) {
	tb.Helper()
	method, path := http.MethodGet, "/me"
	switch operation {
	case reachfivetest.OperationPublic:
		path = "/health"
	case reachfivetest.OperationOptional:
		path = "/greeting"
	case reachfivetest.OperationStepUp:
		method, path = http.MethodPost, "/payout"
	case reachfivetest.OperationToken:
	}
	request, err := http.NewRequestWithContext(ctx, method, server.URL+path, http.NoBody)
	require.NoError(tb, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := server.Client().Do(request)
	if errors.Is(err, context.Canceled) {
		return gone, ""
	}
	require.NoError(tb, err)
	defer func() { _ = response.Body.Close() }()
	var body struct {
		Subject string `json:"subject"`
	}
	if response.StatusCode == http.StatusOK {
		require.NoError(tb, json.NewDecoder(response.Body).Decode(&body))
	}
	return strconv.Itoa(response.StatusCode), body.Subject
}

// answer is the HTTP status of a refusal.
func answer(err error) int {
	code := reachfive.CodeOf(err)
	if code == "" && errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable
	}
	return code.HTTPStatus()
}

// status is what a client sees of a decision.
func status(decision error) string {
	switch {
	case decision == nil:
		return strconv.Itoa(http.StatusOK)
	case errors.Is(decision, context.Canceled):
		return gone
	}
	return strconv.Itoa(answer(decision))
}

// Reason is the Code of a server's last refusal.
type Reason struct{ code atomic.Value }

// Hear records the Code of err.
func (r *Reason) Hear(err error) { r.code.Store(reachfive.CodeOf(err)) }

// Forget removes the Code before the next call.
func (r *Reason) Forget() { r.Hear(nil) }

// Heard returns the last Code, "" if there was none.
func (r *Reason) Heard() reachfive.Code {
	code, _ := r.code.Load().(reachfive.Code)
	return code
}
