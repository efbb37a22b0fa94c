package reachfivegrpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivegrpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	unaryMethod  = "/grpc.testing.TestService/UnaryCall"
	emptyMethod  = "/grpc.testing.TestService/EmptyCall"
	outputMethod = "/grpc.testing.TestService/StreamingOutputCall"
	duplexMethod = "/grpc.testing.TestService/FullDuplexCall"
	allMethods   = "/grpc.testing.TestService/*"
)

// verifierFunc is a TokenVerifier in one function.
type verifierFunc func(ctx context.Context, token string, checks ...reachfive.Check) (*reachfive.User, error)

func (f verifierFunc) Verify(ctx context.Context, token string, checks ...reachfive.Check) (*reachfive.User, error) {
	return f(ctx, token, checks...)
}

// accepts accepts the token "good" as that of a user, and refuses every other.
func accepts(user *reachfive.User) verifierFunc {
	return func(ctx context.Context, token string, checks ...reachfive.Check) (*reachfive.User, error) {
		if token != "good" {
			return nil, &reachfive.Error{Code: reachfive.CodeInvalidSignature}
		}
		for _, check := range checks {
			if err := check(ctx, user); err != nil {
				return nil, err
			}
		}
		return user, nil
	}
}

func refuses(err error) verifierFunc {
	return func(context.Context, string, ...reachfive.Check) (*reachfive.User, error) { return nil, err }
}

func alice() *reachfive.User {
	return &reachfive.User{Subject: "alice", AuthTime: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
}

// service answers with the user's subject, and calls the test's own handler for
// a duplex stream.
type service struct {
	testgrpc.UnimplementedTestServiceServer
	duplex func(testgrpc.TestService_FullDuplexCallServer) error
}

func subject(ctx context.Context) string {
	if user, ok := reachfive.UserFromContext(ctx); ok {
		return user.Subject
	}
	return "nobody"
}

func (*service) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{Username: subject(ctx)}, nil
}

func (*service) EmptyCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, nil
}

func (*service) StreamingOutputCall(_ *testgrpc.StreamingOutputCallRequest, stream testgrpc.TestService_StreamingOutputCallServer) error {
	return stream.Send(payload(subject(stream.Context())))
}

func (s *service) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	return s.duplex(stream)
}

func payload(text string) *testgrpc.StreamingOutputCallResponse {
	return &testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: []byte(text)}}
}

// transport is a way to serve gRPC. It returns when the listener is closed and
// nothing is served any more.
type transport struct {
	name  string
	serve func(*grpc.Server, net.Listener)
}

func (tr transport) String() string { return tr.name }

// native is grpc-go's own transport.
func native() transport {
	return transport{"Serve", func(server *grpc.Server, listener net.Listener) { _ = server.Serve(listener) }}
}

// overNetHTTP is grpc-go behind the HTTP/2 server of net/http.
func overNetHTTP() transport {
	return transport{"ServeHTTP", func(server *grpc.Server, listener net.Listener) {
		h2 := &http.Server{Handler: server, Protocols: new(http.Protocols), ReadHeaderTimeout: time.Hour}
		h2.Protocols.SetUnencryptedHTTP2(true)
		_ = h2.Serve(listener)
		_ = h2.Close()
	}}
}

// serve starts a server behind both interceptors and returns a client of it.
func serve(tb testing.TB, v reachfive.TokenVerifier, svc *service, opts ...reachfivegrpc.Option) testgrpc.TestServiceClient {
	tb.Helper()
	return serveOver(tb, native(), v, svc, opts...)
}

func serveOver(tb testing.TB, tr transport, v reachfive.TokenVerifier, svc *service, opts ...reachfivegrpc.Option) testgrpc.TestServiceClient {
	tb.Helper()
	return serveWith(tb, tr, svc,
		grpc.UnaryInterceptor(reachfivegrpc.UnaryServerInterceptor(v, opts...)),
		grpc.StreamInterceptor(reachfivegrpc.StreamServerInterceptor(v, opts...)))
}

func serveWith(tb testing.TB, tr transport, svc *service, opts ...grpc.ServerOption) testgrpc.TestServiceClient {
	tb.Helper()
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer(opts...)
	testgrpc.RegisterTestServiceServer(server, svc)
	var served sync.WaitGroup
	served.Go(func() { tr.serve(server, listener) })
	conn, err := grpc.NewClient("passthrough:///bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	require.NoError(tb, err)
	tb.Cleanup(func() {
		require.NoError(tb, conn.Close())
		require.NoError(tb, listener.Close())
		server.Stop()
		served.Wait()
	})
	return testgrpc.NewTestServiceClient(conn)
}

// withAuthorization adds the metadata as it is, once for each value.
func withAuthorization(ctx context.Context, values ...string) context.Context {
	pairs := make([]string, 0, 2*len(values))
	for _, value := range values {
		pairs = append(pairs, "authorization", value)
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

// outcome is what a client saw of a call.
type outcome struct {
	subject string
	code    codes.Code
	reason  reachfive.Code
}

func outcomeOf(subject string, err error) outcome {
	got := outcome{subject: subject, code: status.Code(err)}
	if info := detail[*errdetails.ErrorInfo](err); info != nil {
		got.reason = reachfive.Code(info.GetReason())
	}
	return got
}

func detail[T any](err error) (found T) {
	for _, d := range status.Convert(err).Details() {
		if d, ok := d.(T); ok {
			return d
		}
	}
	return found
}

// calls are the ways into a server: each call goes through one of the two
// interceptors.
func calls() map[string]func(context.Context, testgrpc.TestServiceClient) outcome {
	return map[string]func(context.Context, testgrpc.TestServiceClient) outcome{
		unaryMethod: func(ctx context.Context, client testgrpc.TestServiceClient) outcome {
			reply, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{})
			return outcomeOf(reply.GetUsername(), err)
		},
		outputMethod: func(ctx context.Context, client testgrpc.TestServiceClient) outcome {
			stream, err := client.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{})
			if err != nil {
				return outcomeOf("", err)
			}
			reply, err := stream.Recv()
			if err == nil {
				if _, end := stream.Recv(); !errors.Is(end, io.EOF) {
					err = end
				}
			}
			return outcomeOf(string(reply.GetPayload().GetBody()), err)
		},
	}
}
