package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveotel"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

const operations = "../docs/operations/"

// TestAlertRulesFireAndClear lets promtool judge the alerts by their own tests.
func TestAlertRulesFireAndClear(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		promtool := exec.CommandContext(t.Context(), program(t, "promtool"), args...)
		promtool.Dir = operations
		output, err := promtool.CombinedOutput()
		require.NoError(t, err, string(output))
		t.Log(string(output))
	}
}

// service is a program that verifies tokens and exports what it sees.
type service struct {
	telemetry *reachfiveotel.Telemetry
	metrics   *httptest.Server
}

func newService(t *testing.T) *service {
	t.Helper()
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	require.NoError(t, err)
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	telemetry, err := reachfiveotel.New(reachfiveotel.WithMeterProvider(provider))
	require.NoError(t, err)
	s := &service{telemetry: telemetry, metrics: httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))}
	t.Cleanup(s.metrics.Close)
	return s
}

// verifier is one that reports to the service's metrics.
func (s *service) verifier(t *testing.T, tenant *reachfivetest.Tenant, opts ...reachfive.Option) *reachfive.Verifier {
	t.Helper()
	v := tenant.Verifier(append(opts, reachfive.WithObserver(s.telemetry.Observer()))...)
	require.NoError(t, s.telemetry.WatchKeys(v))
	return v
}

// scrape is what Prometheus would get.
func (s *service) scrape(t *testing.T) string {
	t.Helper()
	return get(t, s.metrics.URL)
}

func get(t *testing.T, from string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, from, http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(body)
}

// promQL is a running Prometheus.
type promQL struct{ address string }

// startPrometheus starts Debian's Prometheus on loopback. It scrapes the
// service every second and judges the project's own alerts, whose minutes are
// made seconds.
func startPrometheus(t *testing.T, s *service) promQL {
	t.Helper()
	dir := t.TempDir()
	rules, err := os.ReadFile(operations + "alerts.yml")
	require.NoError(t, err)
	quick := regexp.MustCompile(`\[\d+m\]`).ReplaceAllString(string(rules), "[15s]")
	quick = regexp.MustCompile(`for: \d+m`).ReplaceAllString(quick, "for: 1s")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "alerts.yml"), []byte(quick), 0o600))
	target, err := url.Parse(s.metrics.URL)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), fmt.Appendf(nil, `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [alerts.yml]
scrape_configs:
  - job_name: api
    static_configs: [{targets: ["%s"]}]
`, target.Host), 0o600))

	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := promQL{address: free.Addr().String()}
	require.NoError(t, free.Close())
	server := exec.CommandContext(t.Context(), program(t, "prometheus"),
		"--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+p.address)
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	server.Stdout, server.Stderr = log, log
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Wait(); _ = log.Close() })
	require.Eventually(t, func() bool {
		return strings.Contains(get(t, "http://"+p.address+"/-/ready"), "Ready")
	}, 30*time.Second, 100*time.Millisecond, "Prometheus does not start")
	return p
}

// value is the value of the one series that query gives; ok is false for none.
func (p promQL) value(t *testing.T, query string) (value string, ok bool) {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	err := json.Unmarshal([]byte(get(t, "http://"+p.address+"/api/v1/query?query="+url.QueryEscape(query))), &answer)
	if err != nil || len(answer.Data.Result) == 0 { // the server is busy, or knows none
		return "", false
	}
	require.Len(t, answer.Data.Result, 1, query)
	value, _ = answer.Data.Result[0].Value[1].(string)
	return value, true
}

// eventually waits until a scrape and a rule evaluation have passed.
func (p promQL) eventually(t *testing.T, query, want string) {
	t.Helper()
	require.Eventually(t, func() bool {
		value, ok := p.value(t, query)
		return ok && value == want
	}, 60*time.Second, 250*time.Millisecond, "%s is never %s", query, want)
	t.Logf("%s = %s", query, want)
}

func (p promQL) gone(t *testing.T, query string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, ok := p.value(t, query)
		return !ok
	}, 60*time.Second, 250*time.Millisecond, "%s stays", query)
	t.Logf("%s has no series", query)
}

// TestPrometheusSeesWhatTheVerifierDecides takes a service through a thousand
// verifications, a rotation and an outage, and asks Prometheus about it.
func TestPrometheusSeesWhatTheVerifierDecides(t *testing.T) {
	tenant := reachfivetest.NewTenant(t)
	s := newService(t)
	v := s.verifier(t, tenant, reachfive.WithTokenCache(100))
	p := startPrometheus(t, s)

	token := tenant.Token()
	for range 990 {
		_, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
	}
	for range 10 {
		_, err := v.Verify(t.Context(), tenant.Token(reachfivetest.Expired()))
		require.ErrorIs(t, err, reachfive.CodeExpired)
	}
	p.eventually(t, `reachfive_verifications_total{reachfive_code="accepted"}`, "990")
	p.eventually(t, `reachfive_verifications_total{reachfive_code="expired"}`, "10")
	p.eventually(t, `reachfive_verification_duration_seconds_count{reachfive_outcome="accepted"}`, "990")
	p.eventually(t, `reachfive_token_cache_hits_total`, "989")
	p.eventually(t, `reachfive_keys_refreshes_total{reachfive_cause="first",reachfive_result="ok"}`, "1")

	tenant.Rotate()
	_, err := v.Verify(t.Context(), tenant.Token())
	require.NoError(t, err)
	p.eventually(t, `reachfive_keys_refreshes_total{reachfive_cause="unknown_kid",reachfive_result="ok"}`, "1")
	p.eventually(t, `reachfive_keys_age_seconds < bool 60`, "1")
	everyNameIsScraped(t, s.scrape(t))

	// The provider goes down, and a process that has just started has no keys.
	tenant.SetDown(true)
	fresh := s.verifier(t, tenant)
	require.Eventually(t, func() bool {
		_, err := fresh.Verify(t.Context(), token)
		require.ErrorIs(t, err, reachfive.CodeKeysUnavailable)
		value, ok := p.value(t, `ALERTS{alertname="ReachFiveCannotDecide",alertstate="firing"}`)
		return ok && value == "1"
	}, 60*time.Second, 250*time.Millisecond, "nobody is woken")
	t.Log(`ALERTS{alertname="ReachFiveCannotDecide",alertstate="firing"} = 1`)

	tenant.SetDown(false)
	require.Eventually(t, func() bool {
		_, err := fresh.Verify(t.Context(), token)
		return err == nil
	}, 30*time.Second, 100*time.Millisecond)
	p.gone(t, `ALERTS{alertname="ReachFiveCannotDecide",alertstate="firing"}`)
}

// everyNameIsScraped fails if an alert or a panel asks for a metric that the
// service does not have.
func everyNameIsScraped(t *testing.T, scraped string) {
	t.Helper()
	names := make(map[string]bool)
	for _, file := range []string{"alerts.yml", "dashboard.json"} {
		text, err := os.ReadFile(operations + file)
		require.NoError(t, err)
		for _, name := range regexp.MustCompile(`reachfive_[a-z_]+(_total|_seconds|_bucket|_count|_sum)\b`).FindAllString(string(text), -1) {
			names[name] = true
		}
	}
	for name := range names {
		assert.Regexp(t, `(?m)^`+name+`[{ ]`, scraped, name)
	}
	t.Logf("%d metric names of alerts and panels are in the scrape", len(names))
	assert.GreaterOrEqual(t, len(names), 5)
}
