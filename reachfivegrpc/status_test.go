package reachfivegrpc_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivegrpc"
)

func TestStatusFollowsTheTableOfCodes(t *testing.T) {
	const secret = "a claim value that no status may carry"
	tests := []struct {
		err  error
		want codes.Code
	}{
		{&reachfive.Error{Code: reachfive.CodeMissingToken}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeInvalidRequest}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeMalformedToken}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeUnsupportedAlgorithm}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeUnknownKey}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeInvalidSignature}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeMissingClaim, Claim: "sub"}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeInvalidClaim, Claim: "exp"}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeWrongIssuer}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeWrongAudience}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeExpired}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeNotYetValid}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeWrongNonce}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeWrongAccessToken}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeReauthenticationRequired}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeInsufficientAuthentication}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeForbidden}, codes.PermissionDenied},
		{&reachfive.Error{Code: reachfive.CodeUntrustedOrigin}, codes.PermissionDenied},
		{&reachfive.Error{Code: reachfive.CodeKeysUnavailable}, codes.Unavailable},
		{&reachfive.Error{Code: reachfive.CodeRevoked}, codes.Unauthenticated},
		{&reachfive.Error{Code: reachfive.CodeRevocationsUnavailable}, codes.Unavailable},
		{&reachfive.Error{Code: "a_code_of_the_callers_own"}, codes.Internal},
		{reachfive.CodeExpired, codes.Unauthenticated},
		{errors.Join(errors.New(secret), reachfive.CodeForbidden), codes.PermissionDenied},
		// A fetch's own deadline is the cause of keys_unavailable, not the caller's.
		{errors.Join(reachfive.CodeKeysUnavailable, context.DeadlineExceeded), codes.Unavailable},
	}
	for _, tt := range tests {
		code := reachfive.CodeOf(tt.err)
		t.Run(string(code), func(t *testing.T) {
			var first, second atomic.Pointer[error]
			client := serve(t, refuses(tt.err), &service{},
				reachfivegrpc.OnRefusal(func(_ context.Context, _ string, err error) { first.Store(&err) }),
				reachfivegrpc.OnRefusal(func(_ context.Context, _ string, err error) { second.Store(&err) }))
			_, err := client.UnaryCall(withAuthorization(t.Context(), "Bearer good"), &testgrpc.SimpleRequest{})
			assert.Equal(t, tt.want, status.Code(err))
			assert.NotContains(t, status.Convert(err).String(), secret)
			info := detail[*errdetails.ErrorInfo](err)
			require.NotNil(t, info)
			assert.Equal(t, string(code), info.GetReason())
			assert.Equal(t, "reachfive", info.GetDomain())
			assert.Equal(t, tt.want == codes.Unavailable, detail[*errdetails.RetryInfo](err) != nil)
			assert.Equal(t, tt.err, *first.Load())
			assert.Equal(t, tt.err, *second.Load(), "each function is called")
		})
	}
}

func TestUnavailableSaysWhenToTryAgain(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{0: time.Second, 42 * time.Second: 42 * time.Second} {
		client := serve(t, refuses(&reachfive.Error{Code: reachfive.CodeKeysUnavailable, RetryAfter: after}), &service{})
		_, err := client.UnaryCall(withAuthorization(t.Context(), "Bearer good"), &testgrpc.SimpleRequest{})
		assert.Equal(t, want, detail[*errdetails.RetryInfo](err).GetRetryDelay().AsDuration())
	}
}

func TestStepUpSaysWhatItAsksFor(t *testing.T) {
	for _, tt := range []struct {
		err  *reachfive.Error
		want map[string]string
	}{
		{&reachfive.Error{Code: reachfive.CodeReauthenticationRequired, MaxAge: 5 * time.Minute}, map[string]string{"max_age": "300"}},
		{&reachfive.Error{Code: reachfive.CodeRevoked, MaxAge: time.Minute}, map[string]string{"max_age": "60"}},
		{&reachfive.Error{Code: reachfive.CodeReauthenticationRequired}, map[string]string{"max_age": "0"}}, // MaxAge(0)
		{&reachfive.Error{Code: reachfive.CodeReauthenticationRequired, MaxAge: 1999 * time.Millisecond}, map[string]string{"max_age": "1"}},
		{&reachfive.Error{Code: reachfive.CodeRevoked}, map[string]string{"max_age": "0"}},
		{&reachfive.Error{Code: reachfive.CodeInsufficientAuthentication, ACRValues: []string{"gold", "silver"}}, map[string]string{"acr_values": "gold silver"}},
		{&reachfive.Error{Code: reachfive.CodeInsufficientAuthentication}, nil},
	} {
		client := serve(t, refuses(tt.err), &service{})
		_, err := client.UnaryCall(withAuthorization(t.Context(), "Bearer good"), &testgrpc.SimpleRequest{})
		assert.Equal(t, tt.want, detail[*errdetails.ErrorInfo](err).GetMetadata())
	}
}

func TestErrorWithoutACodeTellsTheClientNothing(t *testing.T) {
	tests := map[string]struct {
		verifier verifierFunc
		want     codes.Code
	}{
		"neither user nor error":      {refuses(nil), codes.Internal},
		"an error of its own":         {refuses(errors.New("internal host name")), codes.Internal},
		"a deadline of its own":       {refuses(context.DeadlineExceeded), codes.DeadlineExceeded},
		"a cancellation not the call": {refuses(context.Canceled), codes.Internal},
	}
	for name, tt := range tests {
		for method, call := range calls() {
			t.Run(name+method, func(t *testing.T) {
				got := call(withAuthorization(t.Context(), "Bearer good"), serve(t, tt.verifier, &service{}))
				assert.Equal(t, outcome{code: tt.want}, got)
			})
		}
	}
}

func TestCallersOwnContextComesBackAsItself(t *testing.T) {
	wait := verifierFunc(func(ctx context.Context, _ string, _ ...reachfive.Check) (*reachfive.User, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	interceptor := reachfivegrpc.UnaryServerInterceptor(wait)
	incoming := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer good"))
	handler := func(context.Context, any) (any, error) { t.Error("the handler ran"); return nil, nil }

	cancelled, cancel := context.WithCancel(incoming)
	cancel()
	_, err := interceptor(cancelled, nil, &grpc.UnaryServerInfo{FullMethod: unaryMethod}, handler)
	assert.Equal(t, codes.Canceled, status.Code(err))

	late, cancel := context.WithDeadline(incoming, time.Now())
	defer cancel()
	_, err = interceptor(late, nil, &grpc.UnaryServerInfo{FullMethod: unaryMethod}, handler)
	assert.Equal(t, codes.DeadlineExceeded, status.Code(err))
}
