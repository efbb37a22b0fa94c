package reachfivegrpc_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/reachfive-community/reachfive/reachfivegrpc"
)

func source(token string, err error) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, err }
}

// signedOnly are transport credentials of a protocol that signs what it sends
// and does not encrypt it.
type signedOnly struct {
	credentials.TransportCredentials
}

type signedInfo struct{ credentials.CommonAuthInfo }

func (signedInfo) AuthType() string { return "signed" }

func (signedOnly) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "signed"}
}

func (c signedOnly) Clone() credentials.TransportCredentials { return c }

func (signedOnly) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return conn, signedInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.IntegrityOnly}}, nil
}

func TestPerRPCCredentialsSendTheTokenWithEveryCall(t *testing.T) {
	client := serve(t, accepts(alice()), &service{})
	creds := reachfivegrpc.PerRPCCredentials(source("good", nil), reachfivegrpc.InsecureAllowPlaintext())
	reply, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.PerRPCCredentials(creds))
	require.NoError(t, err)
	assert.Equal(t, "alice", reply.GetUsername())
}

func TestPerRPCCredentialsKeepTheTokenOffPlaintext(t *testing.T) {
	asked := func(context.Context) (string, error) { t.Error("the source was asked"); return "good", nil }
	creds := reachfivegrpc.PerRPCCredentials(asked)

	_, err := grpc.NewClient("passthrough:///plaintext", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(creds))
	require.Error(t, err, "for a connection")

	_, err = serve(t, accepts(alice()), &service{}).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.PerRPCCredentials(creds))
	assert.Equal(t, codes.Unauthenticated, status.Code(err), "for one call")

	listener := bufconn.Listen(1 << 10)
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, &service{})
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) })
	defer func() { server.Stop(); served.Wait() }()
	conn, err := grpc.NewClient("passthrough:///signed", grpc.WithTransportCredentials(signedOnly{insecure.NewCredentials()}),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = testgrpc.NewTestServiceClient(conn).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.PerRPCCredentials(creds))
	assert.Equal(t, codes.Unauthenticated, status.Code(err), "for a protocol that does not encrypt")
}

func TestPerRPCCredentialsSendNothingThatIsNoToken(t *testing.T) {
	client := serve(t, accepts(alice()), &service{})
	for name, tt := range map[string]struct {
		token string
		err   error
		want  codes.Code
	}{
		"empty":             {"", nil, codes.Unauthenticated},
		"two words":         {"a b", nil, codes.Unauthenticated},
		"line feed":         {"a\nb", nil, codes.Unauthenticated},
		"comma":             {"a,b", nil, codes.Unauthenticated},
		"not ASCII":         {"\u00e9", nil, codes.Unauthenticated},
		"source fails":      {"good", errors.New("refresh failed"), codes.Unauthenticated},
		"source's status":   {"good", status.Error(codes.Unavailable, "refresh failed"), codes.Unavailable},
		"source's deadline": {"good", context.DeadlineExceeded, codes.DeadlineExceeded},
		"source cancelled":  {"good", context.Canceled, codes.Canceled},
		"source's client":   {"good", fmt.Errorf("post https://id.example/?client_secret=hunter2: %w", context.DeadlineExceeded), codes.DeadlineExceeded},
	} {
		creds := reachfivegrpc.PerRPCCredentials(source(tt.token, tt.err), reachfivegrpc.InsecureAllowPlaintext())
		_, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.PerRPCCredentials(creds))
		assert.Equal(t, tt.want, status.Code(err), name)
		assert.NotContains(t, err.Error(), "hunter2")
	}
	assert.PanicsWithValue(t, "reachfivegrpc: PerRPCCredentials: nil source", func() { reachfivegrpc.PerRPCCredentials(nil) })
	assert.PanicsWithValue(t, "reachfivegrpc: PerRPCCredentials: nil option", func() { reachfivegrpc.PerRPCCredentials(source("good", nil), nil) })
}
