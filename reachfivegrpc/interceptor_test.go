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

func TestEveryMethodNeedsATokenUnlessItIsNamed(t *testing.T) {
	var (
		accepted  = outcome{subject: "alice"}
		anonymous = outcome{subject: "nobody"}
		missing   = outcome{code: codes.Unauthenticated, reason: reachfive.CodeMissingToken}
		bad       = outcome{code: codes.Unauthenticated, reason: reachfive.CodeInvalidSignature}
		denied    = outcome{code: codes.PermissionDenied, reason: reachfive.CodeForbidden}
	)
	deny := func(context.Context, *reachfive.User) error {
		return &reachfive.Error{Code: reachfive.CodeForbidden}
	}
	tests := map[string]struct {
		opts                            []reachfivegrpc.Option
		withGood, withBad, withoutToken outcome
	}{
		"nothing named": {nil, accepted, bad, missing},
		"another service is public": {
			[]reachfivegrpc.Option{reachfivegrpc.Public("/grpc.health.v1.Health/*", "/grpc.testing.Test/*", emptyMethod)},
			accepted, bad, missing,
		},
		"public method":  {[]reachfivegrpc.Option{reachfivegrpc.Public(unaryMethod, outputMethod)}, anonymous, anonymous, anonymous},
		"public service": {[]reachfivegrpc.Option{reachfivegrpc.Public(allMethods)}, anonymous, anonymous, anonymous},
		"optional method": {
			[]reachfivegrpc.Option{reachfivegrpc.Optional(unaryMethod, outputMethod)},
			accepted, bad, anonymous,
		},
		"optional service": {[]reachfivegrpc.Option{reachfivegrpc.Optional(allMethods)}, accepted, bad, anonymous},
		"required method of a public service": {
			[]reachfivegrpc.Option{
				reachfivegrpc.Public(allMethods),
				reachfivegrpc.Require(unaryMethod), reachfivegrpc.Require(outputMethod),
			},
			accepted, bad, missing,
		},
		"check of the method": {
			[]reachfivegrpc.Option{reachfivegrpc.Require(unaryMethod, deny), reachfivegrpc.Require(outputMethod, deny)},
			denied, bad, missing,
		},
		"check of the service": {[]reachfivegrpc.Option{reachfivegrpc.Require(allMethods, deny)}, denied, bad, missing},
		"check of the service of a named method": {
			[]reachfivegrpc.Option{
				reachfivegrpc.Require(unaryMethod), reachfivegrpc.Require(outputMethod),
				reachfivegrpc.Require(allMethods, deny),
			},
			denied, bad, missing,
		},
		"check of the service of an optional method": {
			[]reachfivegrpc.Option{
				reachfivegrpc.Require(allMethods, deny),
				reachfivegrpc.Optional(unaryMethod, outputMethod),
			},
			denied, bad, anonymous,
		},
		"checks of one method given twice": {
			[]reachfivegrpc.Option{
				reachfivegrpc.Require(unaryMethod, deny), reachfivegrpc.Require(unaryMethod),
				reachfivegrpc.Require(outputMethod), reachfivegrpc.Require(outputMethod, deny),
			},
			denied, bad, missing,
		},
	}
	for name, tt := range tests {
		for method, call := range calls() {
			t.Run(name+method, func(t *testing.T) {
				client := serve(t, accepts(alice()), &service{}, tt.opts...)
				assert.Equal(t, tt.withGood, call(withAuthorization(t.Context(), "Bearer good"), client), "good token")
				assert.Equal(t, tt.withBad, call(withAuthorization(t.Context(), "Bearer bad"), client), "bad token")
				assert.Equal(t, tt.withoutToken, call(t.Context(), client), "no token")
			})
		}
	}
}

func TestAuthorizationMetadataCarriesOneBearerToken(t *testing.T) {
	tests := map[string]struct {
		values []string
		want   reachfive.Code // "" is accepted
	}{
		"as written":               {[]string{"Bearer good"}, ""},
		"lower case":               {[]string{"bearer good"}, ""},
		"upper case":               {[]string{"BEARER good"}, ""},
		"several spaces":           {[]string{"Bearer   good"}, ""},
		"empty value":              {[]string{""}, reachfive.CodeMissingToken},
		"another scheme":           {[]string{"Basic good"}, reachfive.CodeMissingToken},
		"a longer scheme":          {[]string{"Bearers good"}, reachfive.CodeMissingToken},
		"no scheme":                {[]string{" good"}, reachfive.CodeInvalidRequest},
		"scheme alone":             {[]string{"Bearer"}, reachfive.CodeInvalidRequest},
		"empty token":              {[]string{"Bearer "}, reachfive.CodeInvalidRequest},
		"a colon for a space":      {[]string{"Bearer: good"}, reachfive.CodeInvalidRequest},
		"no space at all":          {[]string{"Bearer:good"}, reachfive.CodeInvalidRequest},
		"two words":                {[]string{"Bearer good good"}, reachfive.CodeInvalidRequest},
		"a comma":                  {[]string{"Bearer good,good"}, reachfive.CodeInvalidRequest},
		"the same twice":           {[]string{"Bearer good", "Bearer good"}, reachfive.CodeInvalidRequest},
		"another scheme beside it": {[]string{"Basic good", "Bearer good"}, reachfive.CodeInvalidRequest},
		"empty and good":           {[]string{"", "Bearer good"}, reachfive.CodeInvalidRequest},
	}
	client := serve(t, accepts(alice()), &service{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for method, call := range calls() {
				got := call(withAuthorization(t.Context(), tt.values...), client)
				assert.Equal(t, tt.want, got.reason, method)
				assert.Equal(t, tt.want == "", got.code == codes.OK, method)
			}
		})
	}

	// What HTTP/2 would not carry can still come over an in-process transport.
	interceptor := reachfivegrpc.UnaryServerInterceptor(accepts(alice()))
	for name, tt := range map[string]struct {
		metadata metadata.MD
		want     codes.Code
	}{
		"no metadata at all": {nil, codes.Unauthenticated},
		"upper-case key":     {metadata.MD{"Authorization": {"Bearer good"}}, codes.OK},
		"tab":                {metadata.Pairs("authorization", "Bearer\tgood"), codes.Unauthenticated},
		"line feed":          {metadata.Pairs("authorization", "Bearer good\n"), codes.Unauthenticated},
		"binary twin":        {metadata.Pairs("authorization-bin", "Bearer good"), codes.Unauthenticated},
	} {
		ctx := t.Context()
		if tt.metadata != nil {
			ctx = metadata.NewIncomingContext(ctx, tt.metadata)
		}
		_, err := interceptor(ctx, nil, &grpc.UnaryServerInfo{FullMethod: unaryMethod},
			func(context.Context, any) (any, error) { return nil, nil })
		assert.Equal(t, tt.want, status.Code(err), name)
	}
}

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
			var heard atomic.Pointer[error]
			client := serve(t, refuses(tt.err), &service{}, reachfivegrpc.OnRefusal(
				func(_ context.Context, _ string, err error) { heard.Store(&err) }))
			_, err := client.UnaryCall(withAuthorization(t.Context(), "Bearer good"), &testgrpc.SimpleRequest{})
			assert.Equal(t, tt.want, status.Code(err))
			assert.NotContains(t, status.Convert(err).String(), secret)
			info := detail[*errdetails.ErrorInfo](err)
			require.NotNil(t, info)
			assert.Equal(t, string(code), info.GetReason())
			assert.Equal(t, "reachfive", info.GetDomain())
			assert.Equal(t, tt.want == codes.Unavailable, detail[*errdetails.RetryInfo](err) != nil)
			assert.Equal(t, tt.err, *heard.Load())
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

func TestWiringMistakesPanic(t *testing.T) {
	v := accepts(alice())
	names := []string{
		"", "/", "//", "/pkg.Service", "/pkg.Service/", "pkg.Service/Method", "/pkg.Service/Method/", "/pkg.Service/Me*",
		"/*", "/*/Method", "/pkg.*/Method", "//Method", "/pkg.Service/ Method",
	}
	for _, name := range names {
		assert.Panics(t, func() { reachfivegrpc.Public(name) }, "Public(%q)", name)
		assert.Panics(t, func() { reachfivegrpc.Optional(name) }, "Optional(%q)", name)
		assert.Panics(t, func() { reachfivegrpc.Require(name) }, "Require(%q)", name)
	}
	assert.Panics(t, func() { reachfivegrpc.Require(unaryMethod, nil) })
	assert.Panics(t, func() { reachfivegrpc.UnaryServerInterceptor(nil) })
	assert.Panics(t, func() { reachfivegrpc.StreamServerInterceptor((*reachfive.Verifier)(nil)) })
	assert.Panics(t, func() { reachfivegrpc.UnaryServerInterceptor(v, nil) })
	assert.Panics(t, func() {
		reachfivegrpc.UnaryServerInterceptor(v, reachfivegrpc.Public(unaryMethod), reachfivegrpc.Optional(unaryMethod))
	})
	assert.Panics(t, func() {
		reachfivegrpc.StreamServerInterceptor(v, reachfivegrpc.Require(allMethods), reachfivegrpc.Public(allMethods))
	})
	assert.NotPanics(t, func() {
		reachfivegrpc.UnaryServerInterceptor(v, reachfivegrpc.Public(unaryMethod), reachfivegrpc.Public(emptyMethod, unaryMethod))
	})
}

func TestCheckMethodsFindsNamesThatMatchNothing(t *testing.T) {
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, &service{})

	require.NoError(t, reachfivegrpc.CheckMethods(server))
	require.NoError(t, reachfivegrpc.CheckMethods(server, reachfivegrpc.Public(unaryMethod, duplexMethod),
		reachfivegrpc.Optional(allMethods), reachfivegrpc.EndAtExpiry(false)))
	require.EqualError(t, reachfivegrpc.CheckMethods(server, reachfivegrpc.Public(unaryMethod, "/grpc.health.v1.Health/*"),
		reachfivegrpc.Require("/grpc.testing.TestService/UnaryCal")),
		"reachfivegrpc: no such method on the server: /grpc.health.v1.Health/*, /grpc.testing.TestService/UnaryCal")
}

func TestInterceptorAllocatesLittle(t *testing.T) {
	user := alice()
	accept := verifierFunc(func(context.Context, string, ...reachfive.Check) (*reachfive.User, error) { return user, nil })
	interceptor := reachfivegrpc.UnaryServerInterceptor(accept, reachfivegrpc.Public(emptyMethod),
		reachfivegrpc.Require(unaryMethod, reachfive.MaxAge(time.Hour)))
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer good"))
	handler := func(context.Context, any) (any, error) { return nil, nil }
	call := func(method string) float64 {
		info := &grpc.UnaryServerInfo{FullMethod: method}
		return testing.AllocsPerRun(100, func() { _, _ = interceptor(ctx, nil, info, handler) })
	}
	assert.Zero(t, call(emptyMethod), "public")
	context := testing.AllocsPerRun(100, func() { reachfive.ContextWithUser(ctx, user) })
	assert.LessOrEqual(t, call(unaryMethod), context+1, "with a token: the context, and the metadata's copy of the value")
}
