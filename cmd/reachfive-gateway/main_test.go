package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/gatewaytest"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noEnvironment is an empty one.
func noEnvironment(string) (string, bool) { return "", false }

// gatewayRun is the program, run to its end.
func gatewayRun(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, noEnvironment, &out, &errs)
	return code, out.String(), errs.String()
}

// file writes a file of this content.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// configFor is a configuration for a tenant of this test.
func configFor(t *testing.T, tenant *reachfivetest.Tenant, more string) string {
	t.Helper()
	ca := file(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tenant.Certificate().Raw})))
	_, port, _ := strings.Cut(tenant.Domain, ":")
	return file(t, "gateway.yaml", `version: 1
decision: {address: "127.0.0.1:0"}
health: {address: "127.0.0.1:0"}
tenants:
  main:
    domain: "`+tenant.Domain+`"
    client_ids: [`+tenant.ClientID+`]
    jwks_url: "https://127.0.0.1:`+port+`/jwks.json"
    ca_file: `+ca+`
policies:
  api: {tenants: [main]}
drain: {delay: 0s}
`+more)
}

// served is a gateway that runs until stop is called.
type served struct {
	addresses map[string]string // of the listeners by name
	stop      func() (code int, log string)
}

// serveConfig runs `serve` until its listeners are there.
func serveConfig(t *testing.T, path string) served {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"serve", "--config", path}, noEnvironment, io.Discard, writer)
		_ = writer.Close()
	}()
	s := served{addresses: map[string]string{}}
	lines := bufio.NewScanner(reader)
	var log strings.Builder
	for len(s.addresses) < 2 && lines.Scan() {
		log.WriteString(lines.Text() + "\n")
		var line struct{ Msg, Listener, Address string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line), lines.Text())
		if line.Msg == "listening" {
			s.addresses[line.Listener] = "http://" + line.Address
		}
	}
	require.Len(t, s.addresses, 2, log.String())
	rest := make(chan struct{})
	go func() {
		defer close(rest)
		for lines.Scan() {
			log.WriteString(lines.Text() + "\n")
		}
	}()
	s.stop = func() (int, string) {
		cancel()
		status := <-code
		<-rest
		return status, log.String()
	}
	t.Cleanup(cancel)
	return s
}

func TestServeDecidesIsReadyCountsAndDrains(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	s := serveConfig(t, configFor(t, tenant, "log: {level: debug}\n"))
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}

	response, body, err := gatewaytest.Get(t.Context(), client, s.addresses["health"]+"/readyz", "")
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.JSONEq(t, `{"status":"ready","tenants":{"main":"ready"}}`, body)

	response, _, err = gatewaytest.Get(t.Context(), client, s.addresses["decision"]+"/auth/api", tenant.Token(reachfivetest.Claim("sub", "u-1")))
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Equal(t, "u-1", response.Header.Get("X-Reachfive-Subject"))
	response, _, err = gatewaytest.Get(t.Context(), client, s.addresses["decision"]+"/auth/api", tenant.Token(reachfivetest.Expired()))
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
	_, _, err = gatewaytest.Get(t.Context(), client, s.addresses["decision"]+"/auth/nope", "")
	require.NoError(t, err)

	scrape := func() string {
		_, metrics, err := gatewaytest.Get(t.Context(), client, s.addresses["health"]+"/metrics", "")
		require.NoError(t, err)
		return metrics
	}
	// A fetch is reported once its keys serve already.
	require.Eventually(t, func() bool { return strings.Contains(scrape(), "reachfive_keys_refreshes_total{") }, 20*time.Second, time.Millisecond)
	metrics := scrape()
	for _, line := range []string{
		`reachfive_gateway_decisions_total{code="accepted",policy="api"} 1`,
		`reachfive_gateway_decisions_total{code="expired",policy="api"} 1`,
		`reachfive_gateway_decisions_total{code="unknown_policy",policy=""} 1`,
		`reachfive_gateway_decision_duration_seconds_count{policy="api"} 2`,
		`reachfive_verifications_total{reachfive_code="accepted"`,
		`reachfive_keys_refreshes_total{reachfive_cause="first"`,
		`go_goroutines `,
	} {
		assert.Contains(t, metrics, line)
	}

	code, log := s.stop()
	assert.Equal(t, exitOK, code)
	assert.Contains(t, log, `"msg":"draining"`)
	assert.Contains(t, log, `"msg":"refused","policy":"api","code":"expired"`)
	assert.NotContains(t, log, "u-1")
}

func TestAProviderThatIsDownIs503AndNotReady(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	tenant.SetDown(true)
	s := serveConfig(t, configFor(t, tenant, ""))
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	response, body, err := gatewaytest.Get(t.Context(), client, s.addresses["decision"]+"/auth/api", tenant.Token())
	require.NoError(t, err)
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	assert.NotEmpty(t, response.Header.Get("Retry-After"))
	assert.Contains(t, body, "temporarily_unavailable")
	response, body, err = gatewaytest.Get(t.Context(), client, s.addresses["health"]+"/readyz", "")
	require.NoError(t, err)
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	assert.JSONEq(t, `{"status":"not ready","tenants":{"main":"keys_unavailable"}}`, body)
	code, _ := s.stop()
	assert.Equal(t, exitOK, code)
}

func TestCheckConfigTellsAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	good := configFor(t, reachfivetest.NewTenant(t), "  \n")
	code, out, errs := gatewayRun(t, "check-config", "--config", good)
	assert.Equal(t, exitOK, code, errs)
	assert.Equal(t, good+": ok; policies: api\n", out)

	bad := file(t, "bad.yaml", `version: 1
decision: {address: "127.0.0.1:9400", tls: {certificate: /nowhere, key: /nowhere}}
tenants:
  main: {domain: "http://acme.reach5.net", client_ids: [web]}
policies:
  api: {tenants: [main], headers: [{name: X-User, claim: mail}]}
log: {level: loud}
`)
	for _, command := range []string{"check-config", "serve"} {
		code, out, errs = gatewayRun(t, command, "--config", bad)
		assert.Equal(t, exitUsage, code)
		assert.Empty(t, out)
		var places []string
		for line := range strings.SplitSeq(strings.TrimSpace(errs), "\n") {
			require.True(t, strings.HasPrefix(line, bad+":"), line)
			place := strings.SplitN(strings.TrimPrefix(line, bad+":"), ": ", 3)
			places = append(places, place[0]+" "+place[1])
		}
		assert.Equal(t, []string{
			"2:45 decision.tls.certificate", "2:68 decision.tls.key", "4:10 tenants.main.domain",
			"6:37 policies.api.headers[0].name", "6:51 policies.api.headers[0].claim", "7:7 log.level",
		}, places)
	}
}

func TestACommandLineThatIsWrong(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"missing flags: --config=FILE":       {"serve"},
		"there is no such file":              {"check-config", "--config", "/nowhere/gateway.yaml"},
		"unexpected argument token":          {"version", "token"},
		"unknown flag --client-secret":       {"serve", "--client-secret", "x"},
		"expected one of \"serve\"":          {},
		"unexpected argument frobnicate":     {"frobnicate"},
		"another program listens on 127.0.0": {"serve", "--config", configOfATakenPort(t)},
	} {
		code, _, errs := gatewayRun(t, args...)
		assert.NotEqual(t, exitOK, code, args)
		assert.Contains(t, errs, want)
		assert.NotContains(t, errs, "panic")
	}
	code, out, _ := gatewayRun(t, "--help")
	assert.Equal(t, exitOK, code)
	assert.Contains(t, out, "check-config")
	code, out, _ = gatewayRun(t, "version")
	assert.Equal(t, exitOK, code)
	assert.True(t, strings.HasPrefix(out, "reachfive-gateway "), out)
}

// configOfATakenPort names a port on which somebody listens.
func configOfATakenPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return file(t, "gateway.yaml", `version: 1
decision: {address: "`+listener.Addr().String()+`"}
health: {address: "127.0.0.1:0"}
tenants: {main: {domain: acme.reach5.net, client_ids: [web]}}
policies: {api: {tenants: [main]}}
`)
}
