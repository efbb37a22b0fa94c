package reachfivegrpc_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivegrpc"
)

func newServer(v reachfive.TokenVerifier) *grpc.Server {
	rules := []reachfivegrpc.Option{
		reachfivegrpc.Public("/grpc.health.v1.Health/*"), // what is not named needs a token
		reachfivegrpc.Require("/bank.v1.Payouts/Send", reachfive.MaxAge(5*time.Minute)),
	}
	return grpc.NewServer(
		grpc.ChainUnaryInterceptor(reachfivegrpc.UnaryServerInterceptor(v, rules...)),
		grpc.ChainStreamInterceptor(reachfivegrpc.StreamServerInterceptor(v, rules...)))
}

func ExampleUnaryServerInterceptor() {
	v, err := reachfive.New("acme.reach5.net", "AtnY5xDg4fbanentihip")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := newServer(v)
	healthgrpc.RegisterHealthServer(server, health.NewServer())
	fmt.Println(len(server.GetServiceInfo()), "service")
	// Output: 1 service
}

// A rule for a method that is not there, or not there any more, guards nothing.
func ExampleCheckMethods() {
	server := grpc.NewServer()
	healthgrpc.RegisterHealthServer(server, health.NewServer())
	err := reachfivegrpc.CheckMethods(server,
		reachfivegrpc.Public("/grpc.health.v1.Health/*"),
		reachfivegrpc.Require("/bank.v1.Payouts/Send", reachfive.MaxAge(5*time.Minute)))
	fmt.Println(err)
	// Output: reachfivegrpc: no such method on the server: /bank.v1.Payouts/Send
}

func TestGuideShowsTheTestedServer(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	_, code, _ := strings.Cut(string(source), "\nfunc newServer(")
	code, _, _ = strings.Cut(code, "\n}\n")
	guide, err := os.ReadFile("../docs/grpc.md")
	require.NoError(t, err)
	assert.Contains(t, string(guide), "```go\nfunc newServer("+code+"\n}\n```")
}
