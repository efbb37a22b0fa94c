// Command grpc protects a gRPC server. Health and reflection are open, one
// method needs a recent sign-in, and a stream ends when its token expires. The
// service is grpc-go's own test service.
package main

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/examples/internal/demo"
	"github.com/reachfive-community/reachfive/reachfivegrpc"
)

func main() {
	// In your service: v, err := reachfive.New("acme.reach5.net", "AtnY5xDg4fbanentihip")
	demo.Main(func(d *demo.Demo) (demo.Server, error) {
		d.Try(calls()...)
		return newServer(d.Verifier), nil
	})
}

func calls() []demo.Command {
	return []demo.Command{
		{Line: `grpcurl -plaintext "$ADDR" list`, Want: `grpc.testing.TestService`},
		{Line: `grpcurl -plaintext "$ADDR" grpc.testing.TestService/UnaryCall`, Want: `Unauthenticated missing_token`},
		{Line: `grpcurl -plaintext -H "authorization: Bearer $GOOD" "$ADDR" grpc.testing.TestService/UnaryCall`, Want: `username`},
		{Line: `grpcurl -plaintext -H "authorization: Bearer $EXPIRED" "$ADDR" grpc.testing.TestService/UnaryCall`, Want: `Unauthenticated expired`},
		{Line: `grpcurl -plaintext -H "authorization: Bearer $OLD" "$ADDR" grpc.testing.TestService/EmptyCall`, Want: `Unauthenticated reauthentication_required max_age`},
	}
}

// rules is a function so that a test can compare it with the server's methods.
func rules() []reachfivegrpc.Option {
	return []reachfivegrpc.Option{
		reachfivegrpc.Public("/grpc.health.v1.Health/*",
			"/grpc.reflection.v1.ServerReflection/*", "/grpc.reflection.v1alpha.ServerReflection/*"),
		reachfivegrpc.Require("/grpc.testing.TestService/EmptyCall", reachfive.MaxAge(5*time.Minute)),
	}
}

func newServer(v reachfive.TokenVerifier) *grpc.Server {
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(reachfivegrpc.UnaryServerInterceptor(v, rules()...)),
		grpc.ChainStreamInterceptor(reachfivegrpc.StreamServerInterceptor(v, rules()...)))
	testgrpc.RegisterTestServiceServer(server, service{})
	healthgrpc.RegisterHealthServer(server, health.NewServer())
	reflection.Register(server)
	return server
}

type service struct {
	testgrpc.UnimplementedTestServiceServer
}

// UnaryCall answers with the subject of the user.
func (service) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	user, _ := reachfive.UserFromContext(ctx)
	return &testgrpc.SimpleResponse{Username: user.Subject}, nil
}

// EmptyCall needs a recent sign-in: see rules.
func (service) EmptyCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, nil
}

// FullDuplexCall sends back what it receives, for as long as the token holds.
func (service) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: request.GetPayload()}); err != nil {
			return err
		}
	}
}
