package reachfivegrpc_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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

// withoutToken is a stream whose incoming metadata is empty.
type withoutToken struct{ grpc.ServerStream }

func (s withoutToken) Context() context.Context {
	return metadata.NewIncomingContext(s.ServerStream.Context(), nil)
}

// chain serves behind two pairs of interceptors. The outer pair accepts "good";
// the inner pair, with the options, is given no token.
func chain(t *testing.T, inner ...reachfivegrpc.Option) testgrpc.TestServiceClient {
	t.Helper()
	outer, never := accepts(alice()), refuses(reachfive.CodeInvalidSignature)
	return serveWith(t, native(), &service{},
		grpc.ChainUnaryInterceptor(
			reachfivegrpc.UnaryServerInterceptor(outer),
			func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
				return handler(metadata.NewIncomingContext(ctx, nil), req)
			},
			reachfivegrpc.UnaryServerInterceptor(never, inner...)),
		grpc.ChainStreamInterceptor(
			reachfivegrpc.StreamServerInterceptor(outer),
			func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
				return handler(srv, withoutToken{ss})
			},
			reachfivegrpc.StreamServerInterceptor(never, inner...)))
}

func TestAnInnerInterceptorHidesTheOuterUser(t *testing.T) {
	for name, opt := range map[string]reachfivegrpc.Option{
		"optional": reachfivegrpc.Optional(allMethods),
		"public":   reachfivegrpc.Public(allMethods),
	} {
		for method, call := range calls() {
			t.Run(name+method, func(t *testing.T) {
				ctx := withAuthorization(t.Context(), "Bearer good")
				assert.Equal(t, outcome{subject: "nobody"}, call(ctx, chain(t, opt)))
				assert.Equal(t, reachfive.CodeMissingToken, call(ctx, chain(t)).reason, "the inner pair gets no token")
			})
		}
	}
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
