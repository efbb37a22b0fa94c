package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
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

// TestAlertRulesFireAndClear runs the alerts' own tests with promtool.
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
	busy      atomic.Int64 // nanoseconds that all verifications took
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
	telemetry.Observer().FetchDone(t.Context(), reachfive.FetchEvent{
		Issuer: "https://shared.example", Cause: reachfive.CauseFirst, Shared: reachfive.SharedTaken, Result: "ok",
	})
	_, err = telemetry.WatchSignOuts(func() reachfiveotel.SignOutReading {
		return reachfiveotel.SignOutReading{Lag: 1500 * time.Millisecond, Entries: 7, Ready: true}
	})
	require.NoError(t, err)
	s := &service{telemetry: telemetry, metrics: httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))}
	t.Cleanup(s.metrics.Close)
	return s
}

// verifier is one that reports to the service's metrics.
func (s *service) verifier(t *testing.T, tenant *reachfivetest.Tenant, opts ...reachfive.Option) *reachfive.Verifier {
	t.Helper()
	observer := s.telemetry.Observer()
	report := observer.VerifyDone
	observer.VerifyDone = func(ctx context.Context, e reachfive.VerifyEvent) {
		s.busy.Add(int64(e.Duration))
		report(ctx, e)
	}
	v := tenant.Verifier(append(opts, reachfive.WithObserver(observer))...)
	registration, err := s.telemetry.WatchKeys(v)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, registration.Unregister()) })
	return v
}

// address is the service's instance label.
func (s *service) address() string { return strings.TrimPrefix(s.metrics.URL, "http://") }

// scrape returns what Prometheus would get.
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
// services and evaluates the project's own alerts five times a second. The ten
// minutes of the rules become four seconds, and other times shrink like them.
func startPrometheus(t *testing.T, services ...*service) promQL {
	t.Helper()
	dir := t.TempDir()
	rules, err := os.ReadFile(operations + "alerts.yml")
	require.NoError(t, err)
	quick := string(rules)
	for pattern, short := range map[string]string{
		`\[10m\]`: "[4s]", `< 600\b`: "< 4", `> 3600\b`: "> 24", `for: \d+m`: "for: 1s",
	} {
		require.Regexp(t, pattern, quick)
		quick = regexp.MustCompile(pattern).ReplaceAllString(quick, short)
	}
	require.NotRegexp(t, `\d+m\b`, quick, "a time that this test does not shorten")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "alerts.yml"), []byte(quick), 0o600))
	targets := make([]string, 0, len(services))
	for _, s := range services {
		targets = append(targets, strconv.Quote(s.address()))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), fmt.Appendf(nil, `
global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}
rule_files: [alerts.yml]
scrape_configs:
  - job_name: api
    static_configs: [{targets: [%s]}]
`, strings.Join(targets, ", ")), 0o600))

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

// value returns the value of the query's only series; ok is false if it has none.
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

// eventually waits until the query has one series with a value that is good.
func (p promQL) eventually(t *testing.T, query string, good func(float64) bool) {
	t.Helper()
	var last string
	require.Eventually(t, func() bool {
		text, ok := p.value(t, query)
		if !ok {
			return false
		}
		last = text
		value, err := strconv.ParseFloat(text, 64)
		return err == nil && good(value)
	}, 60*time.Second, 50*time.Millisecond, "%s: not in a minute", query)
	t.Logf("%s = %s", query, last)
}

func is(want float64) func(float64) bool { return func(got float64) bool { return got == want } }

func (p promQL) gone(t *testing.T, query string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, ok := p.value(t, query)
		return !ok
	}, 60*time.Second, 50*time.Millisecond, "%s stays", query)
	t.Logf("%s has no series", query)
}

// cannotDecide is the state of the page for one instance.
func cannotDecide(s *service, state string) string {
	return fmt.Sprintf(`ALERTS{alertname="ReachFiveCannotDecide", alertstate=~%q, instance=%q}`, state, s.address())
}

// TestPrometheusSeesWhatTheVerifierDecides takes a service through a thousand
// verifications, a rotation and made-up key IDs, and another one through an
// outage without keys, and asks Prometheus about them.
func TestPrometheusSeesWhatTheVerifierDecides(t *testing.T) {
	tenant := reachfivetest.NewTenant(t)
	s, fresh := newService(t), newService(t)
	v := s.verifier(t, tenant, reachfive.WithTokenCache(100))
	p := startPrometheus(t, s, fresh)
	of := func(query string) string { return strings.ReplaceAll(query, "{", `{instance="`+s.address()+`",`) }

	token := tenant.Token()
	start := time.Now()
	for range 990 {
		_, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
	}
	for range 10 {
		_, err := v.Verify(t.Context(), tenant.Token(reachfivetest.Expired()))
		require.ErrorIs(t, err, reachfive.CodeExpired)
	}
	protected := reachfive.Middleware(v, reachfive.OnRefusal(s.telemetry.HTTPRefusal))(http.NotFoundHandler())
	protected.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody))

	issuer := strconv.Quote(tenant.Issuer())
	p.eventually(t, of(`reachfive_verifications_total{reachfive_code="accepted",reachfive_issuer=`+issuer+`}`), is(990))
	p.eventually(t, of(`reachfive_verifications_total{reachfive_code="expired",reachfive_issuer=`+issuer+`}`), is(10))
	p.eventually(t, of(`reachfive_verification_duration_seconds_count{reachfive_outcome="accepted"}`), is(990))
	p.eventually(t, of(`sum(reachfive_verification_duration_seconds_sum{})`), func(got float64) bool {
		return math.Abs(got-time.Duration(s.busy.Load()).Seconds()) < 1e-6
	})
	p.eventually(t, of(`reachfive_token_cache_hits_total{}`), is(989))
	p.eventually(t, of(`reachfive_requests_refused_total{reachfive_code="missing_token",reachfive_transport="http"}`), is(1))
	p.eventually(t, of(`sum(reachfive_requests_refused_total{})`), is(1))
	p.eventually(t, of(`reachfive_keys_refreshes_total{reachfive_cause="first",reachfive_result="ok"}`), is(1))
	p.eventually(t, of(`reachfive_signouts_lag_seconds{}`), is(1.5))
	p.eventually(t, of(`reachfive_signouts_entries{}`), is(7))
	p.eventually(t, of(`reachfive_signouts_ready{}`), is(1))
	// The age grows, and is never older than the test.
	p.eventually(t, of(`reachfive_keys_age_seconds{}`), func(got float64) bool {
		require.LessOrEqual(t, got, time.Since(start).Seconds())
		return got >= 1
	})

	tenant.Rotate()
	rotated := time.Now()
	_, err := v.Verify(t.Context(), tenant.Token())
	require.NoError(t, err)
	p.eventually(t, of(`reachfive_keys_refreshes_total{reachfive_cause="unknown_kid",reachfive_result="ok"}`), is(1))
	p.eventually(t, of(`reachfive_keys_age_seconds{}`), func(got float64) bool { return got <= time.Since(rotated).Seconds() })
	everyNameIsScraped(t, s.scrape(t))

	// The provider goes down. One process has just started and has no keys, the
	// other has keys and gets tokens with made-up key IDs.
	tenant.SetDown(true)
	w := fresh.verifier(t, tenant)
	require.Eventually(t, func() bool {
		_, err := w.Verify(t.Context(), token)
		require.ErrorIs(t, err, reachfive.CodeKeysUnavailable)
		_, err = v.Verify(t.Context(), tenant.Token(reachfivetest.KID("made-up")))
		require.ErrorIs(t, err, reachfive.CodeKeysUnavailable)
		value, ok := p.value(t, cannotDecide(fresh, "firing"))
		return ok && value == "1"
	}, 60*time.Second, 50*time.Millisecond, "nobody is paged")
	t.Log(cannotDecide(fresh, "firing"), "= 1")
	p.eventually(t, of(`reachfive_verifications_total{reachfive_code="keys_unavailable",reachfive_keys_available="true"}`), func(got float64) bool { return got > 10 })
	p.gone(t, cannotDecide(s, "pending|firing"))

	tenant.SetDown(false)
	require.Eventually(t, func() bool {
		_, err := w.Verify(t.Context(), token)
		return err == nil
	}, 30*time.Second, 50*time.Millisecond)
	p.gone(t, cannotDecide(fresh, "firing"))
}

// everyNameIsScraped fails if an alert or a panel uses a metric that the service
// does not export.
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
