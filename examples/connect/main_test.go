package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/examples/internal/suite"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

const ok = "ok"

// connectStatus is what a client of any protocol sees of a decision.
func connectStatus(decision error) string {
	switch {
	case decision == nil:
		return ok
	case errors.Is(decision, context.Canceled):
		return connect.CodeCanceled.String()
	case errors.Is(decision, context.DeadlineExceeded):
		return connect.CodeUnavailable.String()
	}
	switch reachfive.CodeOf(decision) {
	case reachfive.CodeKeysUnavailable, reachfive.CodeRevocationsUnavailable:
		return connect.CodeUnavailable.String()
	case reachfive.CodeForbidden, reachfive.CodeUntrustedOrigin:
		return connect.CodePermissionDenied.String()
	case "":
		return connect.CodeInternal.String()
	}
	return connect.CodeUnauthenticated.String()
}

func methodOf(operation reachfivetest.Operation) string {
	switch operation {
	case reachfivetest.OperationPublic:
		return "Health"
	case reachfivetest.OperationOptional:
		return "Greeting"
	case reachfivetest.OperationStepUp:
		return "Payout"
	case reachfivetest.OperationToken:
	}
	return "Me"
}

func startServer(tb testing.TB, handler http.Handler) *httptest.Server {
	tb.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true // what the gRPC protocol needs
	server.StartTLS()
	tb.Cleanup(server.Close)
	return server
}

func request(token string) *connect.Request[emptypb.Empty] {
	r := connect.NewRequest(&emptypb.Empty{})
	if token != "" {
		r.Header().Set("Authorization", "Bearer "+token)
	}
	return r
}

func client(server *httptest.Server, method string, protocol ...connect.ClientOption) *connect.Client[emptypb.Empty, wrapperspb.StringValue] {
	return connect.NewClient[emptypb.Empty, wrapperspb.StringValue](server.Client(), server.URL+service+method, protocol...)
}

func unary(ctx context.Context, server *httptest.Server, method, token string, protocol ...connect.ClientOption) (string, error) {
	response, err := client(server, method, protocol...).CallUnary(ctx, request(token))
	if err != nil {
		return "", err
	}
	return response.Msg.GetValue(), nil
}

func serverStream(ctx context.Context, server *httptest.Server, method, token string, protocol ...connect.ClientOption) (string, error) {
	stream, err := client(server, "Watch"+method, protocol...).CallServerStream(ctx, request(token))
	if err != nil {
		return "", err
	}
	defer func() { _ = stream.Close() }()
	subject := ""
	for stream.Receive() {
		subject = stream.Msg().GetValue()
	}
	return subject, stream.Err()
}

func protocols() map[string][]connect.ClientOption {
	return map[string][]connect.ClientOption{
		"Connect": nil, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()},
	}
}

func TestConnectPassesTheTransportSuite(t *testing.T) {
	t.Parallel()
	calls := map[string]func(context.Context, *httptest.Server, string, string, ...connect.ClientOption) (string, error){
		"unary": unary, "server stream": serverStream,
	}
	for protocolName, protocol := range protocols() {
		for callName, call := range calls {
			t.Run(protocolName+", "+callName, func(t *testing.T) {
				t.Parallel()
				reachfivetest.RunTransportSuite(t, func(tb testing.TB, v reachfive.TokenVerifier) reachfivetest.TransportCall {
					tb.Helper()
					reason := &suite.Reason{}
					answer := writeError(connect.NewErrorWriter())
					server := startServer(tb, newMux(v, reachfive.OnError(func(w http.ResponseWriter, r *http.Request, err error) {
						reason.Hear(err)
						answer(w, r, err)
					})))
					return func(ctx context.Context, token string, operation reachfivetest.Operation) reachfivetest.Outcome {
						reason.Forget()
						subject, err := call(ctx, server, methodOf(operation), token, protocol...)
						status := ok
						if err != nil {
							status = connect.CodeOf(err).String()
						}
						return reachfivetest.Outcome{Status: status, Reason: reason.Heard(), Subject: subject}
					}
				}, connectStatus)
			})
		}
	}
}
