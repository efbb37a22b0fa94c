package reachfivegrpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/internal/bearer"
)

// UnaryServerInterceptor returns an interceptor that passes a unary call to its
// handler only with a token that v accepts, and puts the user into the handler's
// context (reachfive.UserFromContext). It panics if v or an option is nil, or if
// the options contradict each other.
func UnaryServerInterceptor(v reachfive.TokenVerifier, opts ...Option) grpc.UnaryServerInterceptor {
	g := newGate(v, opts)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		user, err := g.admit(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		return handler(withUser(ctx, user), req)
	}
}

// StreamServerInterceptor returns the same for streams: the token is verified
// before the handler runs, and the stream ends when the token expires unless
// EndAtExpiry(false) is set. It panics as UnaryServerInterceptor does.
func StreamServerInterceptor(v reachfive.TokenVerifier, opts ...Option) grpc.StreamServerInterceptor {
	g := newGate(v, opts)
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		user, err := g.admit(ss.Context(), info.FullMethod)
		if err != nil {
			return err
		}
		if user == nil || !g.endAtExpiry || user.ExpiresAt.IsZero() {
			return handler(srv, &userStream{ServerStream: ss, ctx: withUser(ss.Context(), user)})
		}
		return g.serveUntilExpiry(srv, ss, info.FullMethod, user, handler)
	}
}

// withUser returns a context with this user and no other: without one it hides
// the user that an outer interceptor or an HTTP middleware has found.
func withUser(ctx context.Context, user *reachfive.User) context.Context {
	if user == nil {
		if _, ok := reachfive.UserFromContext(ctx); !ok {
			return ctx
		}
	}
	return reachfive.ContextWithUser(ctx, user)
}

// isNil reports whether v is nil, or a nil pointer to a verifier of package
// reachfive.
func isNil(v reachfive.TokenVerifier) bool {
	switch v := v.(type) {
	case nil:
		return true
	case *reachfive.Verifier:
		return v == nil
	case *reachfive.IssuerVerifier:
		return v == nil
	}
	return false
}

// gate decides about calls: a verifier and the options.
type gate struct {
	*config
	verifier reachfive.TokenVerifier
}

func newGate(v reachfive.TokenVerifier, opts []Option) *gate {
	if isNil(v) {
		panic("reachfivegrpc: nil verifier")
	}
	return &gate{config: newConfig(opts), verifier: v}
}

// admit returns the user of a call that may pass, nil for a call that may pass
// without one, or the status that refuses it.
func (g *gate) admit(ctx context.Context, fullMethod string) (*reachfive.User, error) {
	policy := g.policies.of(fullMethod)
	if policy.mode == modePublic {
		return nil, nil
	}
	token, err := bearerToken(ctx)
	if err == nil && token == "" {
		if policy.mode == modeOptional {
			return nil, nil
		}
		err = &reachfive.Error{Code: reachfive.CodeMissingToken}
	}
	if err != nil {
		return nil, g.refuse(ctx, fullMethod, err)
	}
	user, err := g.verifier.Verify(ctx, token, policy.checks...)
	if err == nil && user == nil {
		err = errNoUser{}
	}
	if err != nil {
		return nil, g.refuse(ctx, fullMethod, err)
	}
	return user, nil
}

// refuse reports a refusal and returns its status.
func (g *gate) refuse(ctx context.Context, fullMethod string, err error) error {
	for _, report := range g.onRefusal {
		report(ctx, fullMethod, err)
	}
	return statusOf(ctx, err).Err()
}

// errNoUser is the error for a verifier that returns neither a user nor an
// error: such a call does not pass.
type errNoUser struct{}

func (errNoUser) Error() string { return "reachfivegrpc: the verifier returned no user and no error" }

// bearerToken reads the token from the authorization metadata, under the rules
// of reachfive.FromBearer. It returns "" if there is none.
func bearerToken(ctx context.Context) (string, error) {
	token, err := bearer.Token(metadata.ValueFromIncomingContext(ctx, "authorization"))
	if err != nil {
		return "", &reachfive.Error{Code: reachfive.CodeInvalidRequest}
	}
	return token, nil
}
