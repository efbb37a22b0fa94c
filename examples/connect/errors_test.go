package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// refusing is a verifier that returns itself as the error.
type refusing struct{ err error }

func (v refusing) Verify(context.Context, string, ...reachfive.Check) (*reachfive.User, error) {
	return nil, v.err
}

// seen is what a client reads in an error.
type seen struct {
	code     connect.Code
	reason   string
	metadata map[string]string
	retry    time.Duration
}

func see(t *testing.T, err error) seen {
	t.Helper()
	refusal, isConnect := errors.AsType[*connect.Error](err)
	require.True(t, isConnect, "%v", err)
	got := seen{code: refusal.Code()}
	for _, detail := range refusal.Details() {
		message, err := detail.Value()
		require.NoError(t, err)
		switch message := message.(type) {
		case *errdetails.ErrorInfo:
			assert.Equal(t, "reachfive", message.GetDomain())
			got.reason, got.metadata = message.GetReason(), message.GetMetadata()
		case *errdetails.RetryInfo:
			got.retry = message.GetRetryDelay().AsDuration()
		}
	}
	return got
}

const secret = "a text for nobody"

type refusalCase struct {
	name string
	err  error
	// fault is returned by ChecksFor instead of err by the verifier.
	fault bool
	want  seen
}

func refusalCases() []refusalCase {
	none := map[string]string(nil)
	undecided := seen{connect.CodeUnavailable, "", none, time.Second}
	internal := seen{connect.CodeInternal, "", none, 0}
	why := func(code connect.Code, reason reachfive.Code) seen { return seen{code, string(reason), none, 0} }
	return []refusalCase{
		{name: "expired", err: reachfive.CodeExpired, want: why(connect.CodeUnauthenticated, reachfive.CodeExpired)},
		{name: "forbidden", err: reachfive.CodeForbidden, want: why(connect.CodePermissionDenied, reachfive.CodeForbidden)},
		{name: "two tokens", err: reachfive.CodeInvalidRequest, want: why(connect.CodeUnauthenticated, reachfive.CodeInvalidRequest)},
		{
			name: "keys unavailable", err: &reachfive.Error{Code: reachfive.CodeKeysUnavailable, RetryAfter: 6500 * time.Millisecond},
			want: seen{connect.CodeUnavailable, string(reachfive.CodeKeysUnavailable), none, 7 * time.Second},
		},
		{
			name: "sign-outs unavailable", err: reachfive.CodeRevocationsUnavailable,
			want: seen{connect.CodeUnavailable, string(reachfive.CodeRevocationsUnavailable), none, time.Second},
		},
		{
			name: "step-up", err: &reachfive.Error{Code: reachfive.CodeReauthenticationRequired, MaxAge: 5 * time.Minute},
			want: seen{connect.CodeUnauthenticated, string(reachfive.CodeReauthenticationRequired), map[string]string{"max_age": "300"}, 0},
		},
		{
			name: "sign in now", err: &reachfive.Error{Code: reachfive.CodeReauthenticationRequired},
			want: seen{connect.CodeUnauthenticated, string(reachfive.CodeReauthenticationRequired), map[string]string{"max_age": "0"}, 0},
		},
		{
			name: "another class", err: &reachfive.Error{Code: reachfive.CodeInsufficientAuthentication, ACRValues: []string{"a", "b"}},
			want: seen{connect.CodeUnauthenticated, string(reachfive.CodeInsufficientAuthentication), map[string]string{"acr_values": "a b"}, 0},
		},
		{name: "a Code of the caller's own", err: reachfive.Code(secret), want: internal},
		{name: "a Code of the caller's own, of a check", err: reachfive.Code(secret), fault: true, want: internal},
		{name: "an error without a Code", err: errors.New(secret), want: internal},
		{name: "an error of a check, without a Code", err: errors.New(secret), fault: true, want: internal},
		{name: "the time ran out", err: context.DeadlineExceeded, want: undecided},
		{name: "the time of something else ran out", err: context.DeadlineExceeded, fault: true, want: internal},
		{name: "something else was cancelled", err: context.Canceled, want: internal},
	}
}

func (c refusalCase) guard() (reachfive.TokenVerifier, []reachfive.MiddlewareOption) {
	if !c.fault {
		return refusing{c.err}, nil
	}
	fails := func(*http.Request) ([]reachfive.Check, error) { return nil, c.err }
	return refusing{}, []reachfive.MiddlewareOption{reachfive.ChecksFor(fails)}
}

func TestARefusalIsAnErrorOfTheClientsOwnProtocol(t *testing.T) {
	t.Parallel()
	for _, tt := range refusalCases() {
		v, opts := tt.guard()
		server := startServer(t, newMux(v, opts...))
		for name, protocol := range protocols() {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				_, err := unary(t.Context(), server, "Me", "token", protocol...)
				got := see(t, err)
				assert.Equal(t, tt.want, got)
				assert.NotContains(t, err.Error(), secret)
				_, err = serverStream(t.Context(), server, "Me", "token", protocol...)
				assert.Equal(t, got, see(t, err), "as a stream")
			})
		}
	}
}

// The same decision has the same status with Connect and without it.
func TestTheStatusIsTheMiddlewaresOwn(t *testing.T) {
	t.Parallel()
	for _, tt := range refusalCases() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v, opts := tt.guard()
			bare := startServer(t, reachfive.Middleware(v, opts...)(http.NotFoundHandler()))
			server := startServer(t, newMux(v, opts...))
			middleware := post(t, bare, "application/json")
			for contentType, connects := range map[string]bool{"application/json": true, "text/plain": false} {
				want := middleware.StatusCode
				if connects && tt.want.code == connect.CodeUnauthenticated {
					want = http.StatusUnauthorized // Connect has no other status for this code
				}
				got := post(t, server, contentType)
				assert.Equal(t, want, got.StatusCode, contentType)
				for _, name := range []string{"WWW-Authenticate", "Retry-After", "Cache-Control"} {
					assert.Equal(t, middleware.Header.Get(name), got.Header.Get(name), "%s: %s", contentType, name)
				}
			}
		})
	}
}

// post makes a request to Me without a Connect client.
func post(t *testing.T, server *httptest.Server, contentType string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+service+"Me", strings.NewReader("{}"))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer token")
	r.Header.Set("Content-Type", contentType)
	response, err := server.Client().Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.NotContains(t, string(body), secret)
	return response
}

// The deadline is the server's own here; a client's is a timeout of the client.
func TestADeadlineOfTheRequestIsAnsweredAsUndecided(t *testing.T) {
	t.Parallel()
	waits := verifierFunc(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	mux := newMux(waits)
	server := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Millisecond)
		defer cancel()
		mux.ServeHTTP(w, r.WithContext(ctx))
	}))
	_, err := unary(t.Context(), server, "Me", "token")
	assert.Equal(t, seen{code: connect.CodeUnavailable, retry: time.Second}, see(t, err))
	assert.Equal(t, http.StatusServiceUnavailable, post(t, server, "application/json").StatusCode)
}

type verifierFunc func(ctx context.Context) error

func (f verifierFunc) Verify(ctx context.Context, _ string, _ ...reachfive.Check) (*reachfive.User, error) {
	return nil, f(ctx)
}

func TestAnOutageSaysWhenToTryAgain(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	tenant.SetDown(true)
	_, err := unary(t.Context(), startServer(t, newMux(tenant.Verifier())), "Me", tenant.Token())
	got := see(t, err)
	assert.Equal(t, connect.CodeUnavailable, got.code)
	assert.Equal(t, string(reachfive.CodeKeysUnavailable), got.reason)
	assert.Positive(t, got.retry)
}
