package main

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/gatewaytest"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// startRedis runs a real redis-server until the test ends.
func startRedis(t *testing.T) (address string) {
	t.Helper()
	address, _ = stoppableRedis(t)
	return address
}

// stoppableRedis runs a real redis-server until stop is called or the test ends.
func stoppableRedis(t *testing.T) (address string, stop func()) {
	t.Helper()
	program := os.Getenv("REDIS_SERVER")
	if program == "" {
		found, err := exec.LookPath("redis-server")
		require.NoError(t, err, "run `make setup`, which unpacks redis-server into .cache/bin, or set REDIS_SERVER to its path")
		program = found
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address = listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	require.NoError(t, listener.Close())
	command := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	stop = sync.OnceFunc(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	t.Cleanup(stop)
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			go func() {
				for lines.Scan() { // so that it can go on writing
				}
			}()
			return address, stop
		}
	}
	t.Fatal("redis-server does not start")
	return "", nil
}

func TestASignOutReachesTheGateway(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	config := configFor(t, tenant, "redis: {addresses: [\""+startRedis(t)+"\"]}\n")
	s := serveConfig(t, config)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	ask := func(url, token string) (*http.Response, string) {
		response, body, err := gatewaytest.Get(t.Context(), client, url, token)
		require.NoError(t, err)
		return response, body
	}
	decision, ready := s.addresses["decision"]+"/auth/api", s.addresses["health"]+"/readyz"
	subject := reachfivetest.Claim("sub", "u-1")
	before := tenant.Token(subject, reachfivetest.IssuedAt(time.Now().Add(-time.Minute)))
	others := tenant.Token(reachfivetest.Claim("sub", "u-2"))

	// Nobody has prepared this Redis: it may be the wrong one.
	response, _ := ask(decision, before)
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	assert.NotEmpty(t, response.Header.Get("Retry-After"))
	response, body := ask(ready, "")
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	assert.JSONEq(t, `{"status":"not ready","sign_outs":"not known","tenants":{"main":"ready"}}`, body)

	code, _, errs := gatewayRun(t, "sign-out", "--config", config, "--init")
	require.Equal(t, exitOK, code, errs)
	require.Eventually(t, func() bool {
		response, _ := ask(ready, "")
		return response.StatusCode == http.StatusOK
	}, 30*time.Second, 10*time.Millisecond)
	response, _ = ask(decision, before)
	assert.Equal(t, http.StatusOK, response.StatusCode)

	code, id, errs := gatewayRun(t, "sign-out", "--config", config, "--subject", "u-1", "--actor", "op-7")
	require.Equal(t, exitOK, code, errs)
	assert.Contains(t, errs, "op-7")
	assert.NotContains(t, errs, "u-1")
	require.Eventually(t, func() bool {
		response, _ := ask(decision, before)
		return response.StatusCode == http.StatusUnauthorized
	}, 30*time.Second, 10*time.Millisecond)
	response, body = ask(decision, before)
	assert.Contains(t, body, "revoked")
	assert.Contains(t, response.Header.Get("WWW-Authenticate"), `error="insufficient_user_authentication"`)
	response, _ = ask(decision, others)
	assert.Equal(t, http.StatusOK, response.StatusCode)

	_, list, _ := gatewayRun(t, "sign-out", "--config", config, "--list")
	assert.Contains(t, list, strings.TrimSpace(id)+"  ")
	_, metrics := ask(s.addresses["health"]+"/metrics", "")
	assert.Contains(t, metrics, "reachfive_signouts_lag_seconds")
	code, _, errs = gatewayRun(t, "sign-out", "--config", config, "--lift", strings.TrimSpace(id))
	require.Equal(t, exitOK, code, errs)
	require.Eventually(t, func() bool {
		response, _ := ask(decision, before)
		return response.StatusCode == http.StatusOK
	}, 30*time.Second, 10*time.Millisecond)
	code, _ = s.stop()
	assert.Equal(t, exitOK, code)
}

// TestRedisThatIsDownIs503OnlyAfterItsSilence: decisions go on from what is
// known, and then stop. The keys are not in Redis and stay known.
func TestRedisThatIsDownIs503OnlyAfterItsSilence(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	redis, stopRedis := stoppableRedis(t)
	config := configFor(t, tenant, "redis: {addresses: [\""+redis+"\"], sign_outs: {max_silence: 10s}}\n")
	code, _, errs := gatewayRun(t, "sign-out", "--config", config, "--init")
	require.Equal(t, exitOK, code, errs)
	s := serveConfig(t, config)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	ask := func(url, token string) (*http.Response, string) {
		response, body, err := gatewaytest.Get(t.Context(), client, url, token)
		require.NoError(t, err)
		return response, body
	}
	decision, ready, token := s.addresses["decision"]+"/auth/api", s.addresses["health"]+"/readyz", tenant.Token()
	becomes := func(url string, status int) {
		require.Eventually(t, func() bool {
			response, _ := ask(url, token)
			return response.StatusCode == status
		}, 30*time.Second, 10*time.Millisecond)
	}
	becomes(ready, http.StatusOK)
	becomes(decision, http.StatusOK)

	stopRedis()
	response, body := ask(decision, token)
	assert.Equal(t, http.StatusOK, response.StatusCode, body)
	becomes(decision, http.StatusServiceUnavailable)
	response, body = ask(decision, token)
	assert.NotEmpty(t, response.Header.Get("Retry-After"))
	assert.Contains(t, body, "revocations_unavailable")
	assert.Empty(t, response.Header.Get("X-Reachfive-Subject"))
	becomes(ready, http.StatusServiceUnavailable)
	_, body = ask(ready, "")
	assert.JSONEq(t, `{"status":"not ready","sign_outs":"not known","tenants":{"main":"ready"}}`, body)
	code, _ = s.stop()
	assert.Equal(t, exitOK, code)
}

func TestASignOutThatIsCalledWrongly(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	without, with := configFor(t, tenant, ""), configFor(t, tenant, "redis: {addresses: [\"127.0.0.1:1\"]}\n")
	for want, args := range map[string][]string{
		"the configuration has no redis":                  {"--config", without, "--everyone"},
		"one of --subject, --everyone, --list, --lift":    {"--config", with},
		"--subject and --everyone can't be used together": {"--config", with, "--subject", "u", "--everyone"},
		"the configuration has no tenant of this name":    {"--config", with, "--subject", "u", "--tenant", "other"},
	} {
		code, _, errs := gatewayRun(t, append([]string{"sign-out"}, args...)...)
		assert.Equal(t, exitUsage, code, errs)
		assert.Contains(t, errs, want)
	}
	code, _, errs := gatewayRun(t, "sign-out", "--config", with, "--everyone")
	assert.Equal(t, exitFailed, code)
	assert.NotEmpty(t, errs)
}
