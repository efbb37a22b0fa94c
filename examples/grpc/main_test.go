package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivegrpc"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	unaryMethod  = "grpc.testing.TestService/UnaryCall"
	duplexMethod = "grpc.testing.TestService/FullDuplexCall"
	stepUpMethod = "grpc.testing.TestService/EmptyCall"
)

func TestRulesNameOnlyMethodsOfTheServer(t *testing.T) {
	require.NoError(t, reachfivegrpc.CheckMethods(newServer(reachfivetest.NewTenant(t).Verifier()), rules()...))
}

// listen serves on a loopback socket and returns its address.
func listen(t *testing.T, server *grpc.Server) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-served
	})
	return listener.Addr().String()
}

// tool returns a command of the project's bin folder.
func tool(ctx context.Context, t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", name))
	require.NoError(t, err)
	path, err = exec.LookPath(path)
	require.NoError(t, err, "run `make setup`")
	return exec.CommandContext(ctx, path, args...)
}

// grpcurl makes one call. It returns what the command printed, and whether the
// call succeeded.
func grpcurl(t *testing.T, address, token, method, data string) (printed string, ok bool) {
	t.Helper()
	args := []string{"-plaintext"}
	if token != "" {
		args = append(args, "-H", "authorization: Bearer "+token)
	}
	if data != "" {
		args = append(args, "-d", data)
	}
	out, err := tool(t.Context(), t, "grpcurl", append(args, address, method)...).CombinedOutput()
	if err != nil {
		require.ErrorAs(t, err, new(*exec.ExitError))
	}
	return string(out), err == nil
}

func TestGrpcurlSeesTheVerdicts(t *testing.T) {
	tenant := reachfivetest.NewTenant(t)
	subject := tenant.AddUser("grpcurl", map[string]any{"email": "grpcurl@example.com"})
	address := listen(t, newServer(tenant.Verifier()))
	const twice = `{"payload":{"body":"Zmlyc3Q="}} {"payload":{"body":"c2Vjb25k"}}`

	tests := []struct {
		name, method, data, token string
		want                      []string // parts of what is printed
		refused                   bool
	}{
		{"unary, good", unaryMethod, "", tenant.Token(), []string{subject}, false},
		{"unary, expired", unaryMethod, "", tenant.Token(reachfivetest.Expired()), []string{"Code: Unauthenticated", `"reason": "expired"`, `"domain": "reachfive"`}, true},
		{"unary, missing", unaryMethod, "", "", []string{"Code: Unauthenticated", `"reason": "missing_token"`}, true},
		{"stream, good", duplexMethod, twice, tenant.Token(), []string{"Zmlyc3Q=", "c2Vjb25k"}, false},
		{"stream, expired", duplexMethod, twice, tenant.Token(reachfivetest.Expired()), []string{"Code: Unauthenticated", `"reason": "expired"`}, true},
		{"stream, missing", duplexMethod, twice, "", []string{"Code: Unauthenticated", `"reason": "missing_token"`}, true},
		{"step-up, recent", stepUpMethod, "", tenant.Token(), []string{"{}"}, false},
		{"step-up, old", stepUpMethod, "", tenant.Token(reachfivetest.IssuedAt(time.Now().Add(-time.Hour))), []string{`"reason": "reauthentication_required"`, `"max_age": "300"`}, true},
		{"health, missing", "grpc.health.v1.Health/Check", "", "", []string{"SERVING"}, false},
		{"reflection, missing", "list", "", "", []string{"grpc.testing.TestService"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			printed, ok := grpcurl(t, address, tt.token, tt.method, tt.data)
			t.Logf("grpcurl %s\n%s", tt.method, printed)
			assert.Equal(t, tt.refused, !ok)
			for _, part := range tt.want {
				assert.Contains(t, printed, part)
			}
		})
	}

	down := reachfivetest.NewTenant(t)
	down.SetDown(true)
	printed, ok := grpcurl(t, listen(t, newServer(down.Verifier())), down.Token(), unaryMethod, "")
	t.Logf("grpcurl %s, the provider down\n%s", unaryMethod, printed)
	assert.False(t, ok)
	for _, part := range []string{"Code: Unavailable", `"reason": "keys_unavailable"`, "RetryInfo"} {
		assert.Contains(t, printed, part)
	}
}

// When the token expires, the client's half of the stream is open and silent: the
// server waits in RecvMsg, and the client waits for an answer.
func TestStreamOfARealSocketEndsWhenItsTokenExpires(t *testing.T) {
	tenant := reachfivetest.NewTenant(t)
	exp := time.Now().Truncate(time.Second).Add(5 * time.Second)
	token := tenant.Token(reachfivetest.Claim("exp", exp.Unix()))
	creds := reachfivegrpc.PerRPCCredentials(func(context.Context) (string, error) { return token, nil },
		reachfivegrpc.InsecureAllowPlaintext())
	conn, err := grpc.NewClient(listen(t, newServer(tenant.Verifier())),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(creds))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	stream, err := testgrpc.NewTestServiceClient(conn).FullDuplexCall(ctx)
	require.NoError(t, err)
	require.NoError(t, stream.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: []byte("hello")}}))
	reply, err := stream.Recv()
	require.NoError(t, err)
	assert.Equal(t, "hello", string(reply.GetPayload().GetBody()))

	_, err = stream.Recv()
	after := time.Since(exp)
	t.Logf("the stream ended %v after exp: %v", after, err)
	assert.GreaterOrEqual(t, after, time.Duration(0))
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	require.Len(t, status.Convert(err).Details(), 1)
	info, _ := status.Convert(err).Details()[0].(*errdetails.ErrorInfo)
	assert.Equal(t, string(reachfive.CodeExpired), info.GetReason())
	assert.Equal(t, connectivity.Ready, conn.GetState(), "other streams can still use the connection")
}

// report is the part of ghz's report that the test reads.
type report struct {
	Count        int            `json:"count"`
	Total        time.Duration  `json:"total"`
	RPS          float64        `json:"rps"`
	Slowest      time.Duration  `json:"slowest"`
	StatusCounts map[string]int `json:"statusCodeDistribution"`
}

func ghz(t *testing.T, address, authorization string, calls int) report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	metadata, err := json.Marshal(map[string]string{"authorization": authorization})
	require.NoError(t, err)
	cmd := tool(ctx, t, "ghz", "--insecure", "--call", unaryMethod, "--data", "{}", "--metadata", string(metadata),
		"--total", fmt.Sprint(calls), "--concurrency", "32", "--connections", "4", "--format", "json", address)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var got report
	require.NoError(t, json.Unmarshal(out, &got))
	t.Logf("ghz: %d calls in %v, %.0f a second, slowest %v: %v", got.Count, got.Total, got.RPS, got.Slowest, got.StatusCounts)
	return got
}

// Every tenth call has an expired token. The first half of the good tokens is
// signed with the old key, so that the verifier meets the new key in the middle.
// All calls are unary: ghz takes the end of a stream from grpc-go's client
// statistics, which have none if the client sends while it is refused.
func TestGhzSeesNoWrongVerdictThroughARotation(t *testing.T) {
	const calls = 20_000
	tenant := reachfivetest.NewTenant(t)
	v := tenant.Verifier()
	address := listen(t, newServer(v))
	require.NoError(t, v.Refresh(t.Context()))
	oldKey, oldToken, expired := tenant.KID(), tenant.Token(), tenant.Token(reachfivetest.Expired())
	newKey := tenant.Rotate()
	require.Len(t, v.Status().Keys, 1, "the verifier does not know the new key yet")
	// This is a template of ghz. RequestNumber counts from 0 over all workers.
	tokens := fmt.Sprintf("Bearer {{ternary %#q (ternary %#q %#q (lt .RequestNumber %d)) (eq (mod .RequestNumber 10) 0)}}",
		expired, oldToken, tenant.Token(), calls/2)

	got := ghz(t, address, tokens, calls)
	assert.Equal(t, map[string]int{"OK": calls * 9 / 10, "Unauthenticated": calls / 10}, got.StatusCounts)
	assert.Equal(t, calls, got.Count)
	assert.Equal(t, 2, tenant.JWKSRequests(), "one fetch at the start, one for the new key")
	assert.Len(t, v.Status().Keys, 2)

	// The rotation ends when the provider removes the old key.
	tenant.RemoveKey(oldKey)
	require.NoError(t, v.Refresh(t.Context()))
	got = ghz(t, address, "Bearer "+oldToken, 200)
	assert.Equal(t, map[string]int{"Unauthenticated": 200}, got.StatusCounts)
	_, err := v.Verify(t.Context(), oldToken)
	assert.Equal(t, reachfive.CodeUnknownKey, reachfive.CodeOf(err))
	assert.Equal(t, newKey, v.Status().Keys[0].ID)
}
