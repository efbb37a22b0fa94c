package reachfivegrpc_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivegrpc"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// grpcStatus is the gRPC column of the table of codes.
func grpcStatus(decision error) string {
	switch reachfive.CodeOf(decision) {
	case reachfive.CodeKeysUnavailable, reachfive.CodeRevocationsUnavailable:
		return codes.Unavailable.String()
	case reachfive.CodeForbidden, reachfive.CodeUntrustedOrigin:
		return codes.PermissionDenied.String()
	case "":
	default:
		return codes.Unauthenticated.String()
	}
	switch {
	case decision == nil:
		return codes.OK.String()
	case errors.Is(decision, context.Canceled):
		return codes.Canceled.String()
	case errors.Is(decision, context.DeadlineExceeded):
		return codes.DeadlineExceeded.String()
	}
	return codes.Internal.String()
}

func TestBothInterceptorsPassTheTransportSuite(t *testing.T) {
	for method, call := range calls() {
		t.Run(method, func(t *testing.T) {
			reachfivetest.RunTransportSuite(t, func(tb testing.TB, v reachfive.TokenVerifier) reachfivetest.TransportCall {
				tb.Helper()
				var reason atomic.Value
				hook := reachfivegrpc.OnRefusal(func(_ context.Context, _ string, err error) { reason.Store(reachfive.CodeOf(err)) })
				// One server for each operation: they differ in the options.
				invoke := map[reachfivetest.Operation]func(context.Context) outcome{}
				for operation, opt := range map[reachfivetest.Operation]reachfivegrpc.Option{
					reachfivetest.OperationToken:    hook,
					reachfivetest.OperationOptional: reachfivegrpc.Optional(method),
					reachfivetest.OperationPublic:   reachfivegrpc.Public(method),
					reachfivetest.OperationStepUp:   reachfivegrpc.Require(method, reachfive.MaxAge(reachfivetest.StepUpMaxAge)),
				} {
					client := serve(tb, v, &service{}, hook, opt)
					invoke[operation] = func(ctx context.Context) outcome { return call(ctx, client) }
				}
				return func(ctx context.Context, token string, operation reachfivetest.Operation) reachfivetest.Outcome {
					reason.Store(reachfive.Code(""))
					if token != "" {
						ctx = withAuthorization(ctx, "Bearer "+token)
					}
					got := invoke[operation](ctx)
					if got.subject == "nobody" {
						got.subject = ""
					}
					return reachfivetest.Outcome{
						Status: got.code.String(), Subject: got.subject,
						Reason: reason.Load().(reachfive.Code),
					}
				}
			}, grpcStatus)
		})
	}
}
