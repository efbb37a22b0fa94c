package serve_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/extauthz"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/gatewaytest"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/serve"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// grpcParts are settings and parts with a gRPC listener for a tenant.
func grpcParts(t *testing.T, tenant *reachfivetest.Tenant) (*config.Config, serve.Parts) {
	t.Helper()
	cfg, p := settings(), parts()
	cfg.GRPC = &config.Listener{Address: "127.0.0.1:0"}
	p.Authorization = extauthz.New(gatewaytest.Start(t, tenant.Verifier()).Handler, "api")
	return cfg, p
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestGRPCHealthIsThatOfReadyz(t *testing.T) {
	t.Parallel()
	cfg, p := grpcParts(t, reachfivetest.NewTenant(t))
	healthy := make(chan map[string]error, 1)
	healthy <- map[string]error{"main": context.DeadlineExceeded}
	p.Health = func(context.Context) map[string]error {
		health := <-healthy
		healthy <- health
		return health
	}
	gateway := start(t, cfg, p)
	client := grpc_health_v1.NewHealthClient(dial(t, gateway.Address("grpc")))
	ask := func(service string) grpc_health_v1.HealthCheckResponse_ServingStatus {
		response, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		require.NoError(t, err)
		return response.GetStatus()
	}
	assert.Equal(t, grpc_health_v1.HealthCheckResponse_NOT_SERVING, ask(""))
	stream, err := client.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	receive := func() grpc_health_v1.HealthCheckResponse_ServingStatus {
		response, err := stream.Recv()
		require.NoError(t, err)
		return response.GetStatus()
	}
	assert.Equal(t, grpc_health_v1.HealthCheckResponse_NOT_SERVING, receive())
	<-healthy
	healthy <- map[string]error{"main": nil}
	assert.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, receive())
	assert.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, ask("envoy.service.auth.v3.Authorization"))
	_, err = client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "other"})
	assert.Equal(t, codes.NotFound, status.Code(err))

	drained := make(chan error, 1)
	go func() { drained <- gateway.Drain(t.Context()) }()
	assert.Equal(t, grpc_health_v1.HealthCheckResponse_NOT_SERVING, receive())
	_, err = stream.Recv()
	require.Error(t, err)
	require.NoError(t, <-drained)
}

func TestDrainFinishesCallsUnderWay(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	cfg, p := grpcParts(t, tenant)
	tenant.SetDelay(500 * time.Millisecond) // the first decision waits for the keys
	gateway := start(t, cfg, p)
	client := authv3.NewAuthorizationClient(dial(t, gateway.Address("grpc")))
	answered := make(chan error, 1)
	go func() {
		response, err := client.Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
				Headers: map[string]string{"authorization": "Bearer " + tenant.Token()},
			}},
		}})
		if err == nil && response.GetOkResponse() == nil {
			err = status.Error(codes.Unknown, response.String())
		}
		answered <- err
	}()
	require.Eventually(t, func() bool { return tenant.JWKSRequests() > 0 }, 20*time.Second, time.Millisecond)
	require.NoError(t, gateway.Drain(t.Context()))
	require.NoError(t, <-answered)
}

// protoset writes the descriptors of the Authorization service, because the
// gateway offers no reflection.
func protoset(t *testing.T) string {
	t.Helper()
	set, seen := &descriptorpb.FileDescriptorSet{}, map[string]bool{}
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	add(authv3.File_envoy_service_auth_v3_external_auth_proto)
	add(grpc_health_v1.File_grpc_health_v1_health_proto)
	encoded, err := proto.Marshal(set)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "auth.protoset")
	require.NoError(t, os.WriteFile(path, encoded, 0o600))
	return path
}

func TestGrpcurlGetsItsAnswers(t *testing.T) {
	t.Parallel()
	program := os.Getenv("GRPCURL")
	if program == "" {
		program = "../../../../bin/grpcurl"
	}
	require.FileExists(t, program, "run `make setup`, which builds it, or set GRPCURL to its path")
	tenant := reachfivetest.NewTenant(t)
	cfg, p := grpcParts(t, tenant)
	gateway := start(t, cfg, p)
	descriptors := protoset(t)
	ask := func(method, body string) string {
		output, err := exec.Command(program, "-plaintext", "-protoset", descriptors, "-d", body, gateway.Address("grpc"), method).CombinedOutput()
		require.NoError(t, err, "%s", output)
		return string(output)
	}
	question := func(token string) string {
		return `{"attributes":{"context_extensions":{"policy":"api"},"request":{"http":{"headers":{"authorization":"Bearer ` + token + `"}}}}}`
	}
	const method = "envoy.service.auth.v3.Authorization/Check"
	allowed := ask(method, question(tenant.Token(reachfivetest.Claim("sub", "u-1"))))
	assert.Contains(t, allowed, `"okResponse"`)
	assert.Contains(t, allowed, `"value": "u-1"`)
	denied := ask(method, question(tenant.Token(reachfivetest.Expired())))
	assert.Contains(t, denied, `"deniedResponse"`)
	assert.Contains(t, denied, `"code": "Unauthorized"`)
	assert.Contains(t, ask("grpc.health.v1.Health/Check", "{}"), `"SERVING"`)
}
