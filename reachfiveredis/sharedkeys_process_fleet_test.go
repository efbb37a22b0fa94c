//go:build fleet

package reachfiveredis_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// childVerifier is the environment variable that makes the test program a process
// of its own that verifies the tokens on its standard input.
const childVerifier = "REACHFIVEREDIS_TEST_VERIFIER"

type verifierSettings struct {
	Redis, Domain, ClientID, Certificate string
}

func TestChildVerifier(t *testing.T) {
	text := os.Getenv(childVerifier)
	if text == "" {
		return // the parent
	}
	var s verifierSettings
	require.NoError(t, json.Unmarshal([]byte(text), &s))
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM([]byte(s.Certificate)))
	_, port, err := net.SplitHostPort(s.Domain)
	require.NoError(t, err)
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}
	v, err := reachfive.New(s.Domain, s.ClientID, reachfive.WithHTTPClient(&http.Client{Transport: transport}),
		reachfive.WithLogger(slog.New(slog.DiscardHandler)),
		reachfive.WithSharedKeyStore(keysOf(t, &redis.UniversalOptions{Addrs: []string{s.Redis}})))
	require.NoError(t, err)
	defer func() { assert.NoError(t, v.Close()) }()
	fmt.Println("ready")
	tokens := bufio.NewScanner(os.Stdin)
	for tokens.Scan() {
		fmt.Println("verdict", string(verdict(v, tokens.Text())))
	}
}

func startVerifiers(t *testing.T, n int, server *redisProcess, tenant *reachfivetest.Tenant) []*child {
	t.Helper()
	settings, err := json.Marshal(verifierSettings{
		Redis: server.addr, Domain: tenant.Domain, ClientID: tenant.ClientID,
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tenant.Certificate().Raw})),
	})
	require.NoError(t, err)
	children := make([]*child, n)
	for i := range children {
		children[i] = startChild(t, "TestChildVerifier", childVerifier+"="+string(settings))
	}
	for _, c := range children {
		c.expect(t, "ready", time.Minute)
	}
	return children
}

// ask has a process verify a token. The answer comes with verdict.
func (c *child) ask(t *testing.T, token string) {
	t.Helper()
	_, err := fmt.Fprintln(c.input, token)
	require.NoError(t, err)
}

func (c *child) verdict(t *testing.T) reachfive.Code {
	t.Helper()
	select {
	case line := <-c.lines:
		code, ok := strings.CutPrefix(line, "verdict")
		require.True(t, ok, line)
		return reachfive.Code(strings.TrimSpace(code))
	case <-time.After(time.Minute):
		require.Fail(t, "the child says nothing")
		return ""
	}
}

func TestEightProcessesShareOneFetch(t *testing.T) {
	t.Parallel()
	server, tenant := startRedis(t), reachfivetest.NewTenant(t)
	tenant.SetDelay(300 * time.Millisecond)
	children := startVerifiers(t, 8, server, tenant)
	token := tenant.Token()
	for _, c := range children {
		c.ask(t, token)
	}
	for _, c := range children {
		assert.Empty(t, c.verdict(t))
	}
	t.Logf("%d fetches of 8 processes", tenant.JWKSRequests())
	assert.Less(t, tenant.JWKSRequests(), 8, "one, and those of processes that wait for Redis longer than 200 ms")
}

// hang makes the tenant hang at the next request for keys, and tells when one
// arrives.
func hang(tenant *reachfivetest.Tenant) (arrived chan struct{}) {
	arrived = make(chan struct{})
	var once atomic.Bool
	tenant.OnJWKS(func(_ http.ResponseWriter, r *http.Request) bool {
		if once.Swap(true) {
			return false
		}
		close(arrived)
		<-r.Context().Done()
		return true
	})
	return arrived
}

func waitFor(t *testing.T, arrived chan struct{}) {
	t.Helper()
	select {
	case <-arrived:
	case <-time.After(patience):
		require.Fail(t, "no request for keys has arrived")
	}
}

// A process that is killed while it fetches for the fleet delays the others by a
// few seconds.
func TestKilledProcessDoesNotKeepTheOthersFromFetching(t *testing.T) {
	t.Parallel()
	server, tenant := startRedis(t), reachfivetest.NewTenant(t)
	children := startVerifiers(t, 8, server, tenant)
	arrived := hang(tenant)
	old := tenant.Token()
	children[0].ask(t, old)
	waitFor(t, arrived)
	begun := time.Now()
	for _, c := range children[1:] {
		c.ask(t, old)
	}
	children[0].kill()
	for _, c := range children[1:] {
		assert.Empty(t, c.verdict(t), "a process without keys fetches by itself")
	}
	t.Logf("killed during the first fetch: 7 processes without keys have them after %v, %d fetches", time.Since(begun), tenant.JWKSRequests())
	assert.LessOrEqual(t, tenant.JWKSRequests(), 8)

	before := tenant.JWKSRequests()
	arrived = hang(tenant)
	tenant.Rotate()
	rotated := tenant.Token()
	begun = time.Now()
	children[1].ask(t, rotated)
	waitFor(t, arrived)
	children[1].kill()
	accepted := 0
	for accepted < 6 {
		require.Less(t, time.Since(begun), 2*patience)
		accepted = 0
		for _, c := range children[2:] {
			c.ask(t, old)
			assert.Empty(t, c.verdict(t), "known keys serve meanwhile")
			c.ask(t, rotated)
			code := c.verdict(t)
			assert.Contains(t, []reachfive.Code{"", reachfive.CodeKeysUnavailable}, code)
			if code == "" {
				accepted++
			}
		}
		pauseFor(50 * time.Millisecond)
	}
	fetches := tenant.JWKSRequests() - before
	t.Logf("killed during the fetch for a new key: 6 processes accept it after %v, %d fetches", time.Since(begun), fetches)
	assert.Less(t, fetches, 14, "two for each process, if this machine made all of them wait for Redis")
}
