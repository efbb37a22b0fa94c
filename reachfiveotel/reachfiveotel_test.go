package reachfiveotel_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveotel"
)

// collector is an OpenTelemetry SDK that keeps everything in memory.
type collector struct {
	telemetry *reachfiveotel.Telemetry
	reader    *sdkmetric.ManualReader
	spans     *tracetest.InMemoryExporter
	tracers   *sdktrace.TracerProvider
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{reader: sdkmetric.NewManualReader(), spans: tracetest.NewInMemoryExporter()}
	c.tracers = sdktrace.NewTracerProvider(sdktrace.WithSyncer(c.spans))
	var err error
	c.telemetry, err = reachfiveotel.New(
		reachfiveotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(c.reader))),
		reachfiveotel.WithTracerProvider(c.tracers))
	require.NoError(t, err)
	return c
}

// series are the values of one metric, by the label that tells them apart.
func (c *collector) series(t *testing.T, name, label string) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, c.reader.Collect(t.Context(), &all))
	values := make(map[string]float64)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					v, _ := p.Attributes.Value(attribute.Key(label))
					values[v.AsString()] = float64(p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					v, _ := p.Attributes.Value(attribute.Key(label))
					values[v.AsString()] = float64(p.Count)
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					v, _ := p.Attributes.Value(attribute.Key(label))
					values[v.AsString()] = p.Value
				}
			}
		}
	}
	return values
}

func TestVerificationsAreCountedByCode(t *testing.T) {
	c := newCollector(t)
	done := c.telemetry.Observer().VerifyDone
	for _, code := range []reachfive.Code{
		"", "", reachfive.CodeExpired, reachfive.CodeKeysUnavailable, reachfive.CodeRevoked, reachfive.CodeRevocationsUnavailable, "canceled", "deadline_exceeded", "of_a_check", "of_another",
	} {
		done(t.Context(), reachfive.VerifyEvent{Code: code, Duration: time.Microsecond, CacheHit: code == ""})
	}
	assert.Equal(t, map[string]float64{
		"accepted": 2, "expired": 1, "keys_unavailable": 1, "revoked": 1, "revocations_unavailable": 1, "canceled": 1, "deadline_exceeded": 1, "other": 2,
	}, c.series(t, "reachfive.verifications", "reachfive.code"))
	assert.Equal(t, map[string]float64{"accepted": 2, "refused": 4, "undecided": 4},
		c.series(t, "reachfive.verification.duration", "reachfive.outcome"))
	assert.Equal(t, map[string]float64{"": 2}, c.series(t, "reachfive.token_cache.hits", ""))
}

func TestEveryCodeOfAVerifierHasItsOwnLabel(t *testing.T) {
	c := newCollector(t)
	codes := []reachfive.Code{
		reachfive.CodeMissingToken, reachfive.CodeMalformedToken, reachfive.CodeUnsupportedAlgorithm,
		reachfive.CodeUnknownKey, reachfive.CodeKeysUnavailable, reachfive.CodeInvalidSignature,
		reachfive.CodeMissingClaim, reachfive.CodeInvalidClaim, reachfive.CodeWrongIssuer,
		reachfive.CodeWrongAudience, reachfive.CodeExpired, reachfive.CodeNotYetValid,
		reachfive.CodeWrongNonce, reachfive.CodeWrongAccessToken, reachfive.CodeReauthenticationRequired,
		reachfive.CodeInsufficientAuthentication,
		reachfive.CodeRevoked, reachfive.CodeRevocationsUnavailable, reachfive.CodeForbidden,
	}
	for _, code := range codes {
		c.telemetry.Observer().VerifyDone(t.Context(), reachfive.VerifyEvent{Code: code})
	}
	assert.Len(t, c.series(t, "reachfive.verifications", "reachfive.code"), len(codes))
}

func TestResultsOfFetchesAreABoundedLabel(t *testing.T) {
	c := newCollector(t)
	for _, result := range []string{"ok", "status 500", "status 503", "status 404", "discovery: status 502", "timeout"} {
		c.telemetry.Observer().FetchDone(t.Context(), reachfive.FetchEvent{Cause: reachfive.CauseAhead, Result: result})
	}
	assert.Equal(t, map[string]float64{
		"ok": 1, "status 5xx": 2, "status 4xx": 1, "discovery: status 5xx": 1, "timeout": 1,
	}, c.series(t, "reachfive.keys.refreshes", "reachfive.result"))
}

func TestAFetchIsASpanLinkedToTheRequestThatCausedIt(t *testing.T) {
	c := newCollector(t)
	ctx, request := c.tracers.Tracer("test").Start(t.Context(), "GET /me")
	v, err := reachfive.New("acme.reach5.net", "client",
		reachfive.WithObserver(c.telemetry.Observer()),
		reachfive.WithHTTPClient(&http.Client{Transport: down{}}))
	require.NoError(t, err)
	_, err = v.Verify(ctx, "eyJhbGciOiJSUzI1NiJ9.e30.AA")
	require.ErrorIs(t, err, reachfive.CodeKeysUnavailable)
	request.End()
	require.NoError(t, v.Close()) // waits for what the fetch reports

	spans := c.spans.GetSpans()
	require.Len(t, spans, 2)
	fetch := spans[0]
	if fetch.Name == "GET /me" {
		fetch = spans[1]
	}
	assert.Equal(t, "reachfive.keys.fetch", fetch.Name)
	assert.False(t, fetch.Parent.IsValid())
	require.Len(t, fetch.Links, 1)
	assert.Equal(t, request.SpanContext().SpanID(), fetch.Links[0].SpanContext.SpanID())
	assert.Equal(t, "connection", fetch.Status.Description)
	assert.Equal(t, map[string]float64{"first": 1}, c.series(t, "reachfive.keys.refreshes", "reachfive.cause"))
	assert.Equal(t, map[string]float64{"keys_unavailable": 1}, c.series(t, "reachfive.verifications", "reachfive.code"))
}

func TestAVerifierWithoutKeysHasNoAge(t *testing.T) {
	c := newCollector(t)
	v, err := reachfive.New("acme.reach5.net", "client")
	require.NoError(t, err)
	require.NoError(t, c.telemetry.WatchKeys(v))
	assert.Empty(t, c.series(t, "reachfive.keys.age", "reachfive.issuer"))
}

func TestNewNeedsProviders(t *testing.T) {
	_, err := reachfiveotel.New(reachfiveotel.WithMeterProvider(nil))
	require.Error(t, err)
}

// down is a provider that cannot be reached.
type down struct{}

func (down) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no route to host")
}
