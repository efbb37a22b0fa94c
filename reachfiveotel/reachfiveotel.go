// Package reachfiveotel reports what a [reachfive.Verifier] does to
// OpenTelemetry: metrics for every verification, every refused request and every
// fetch of the keys, and a span for each fetch. It needs only the OpenTelemetry
// API; the program chooses the SDK and the exporter.
//
//	telemetry, err := reachfiveotel.New()
//	...
//	v, err := reachfive.New(domain, clientID, reachfive.WithObserver(telemetry.Observer()))
//	...
//	registration, err := telemetry.WatchKeys(v)
//	...
//	protect := reachfive.Middleware(v, reachfive.OnRefusal(telemetry.HTTPRefusal))
//
// # Metrics
//
//	reachfive.verifications          counter    {verification}  reachfive.code, reachfive.issuer, reachfive.keys_available
//	reachfive.verification.duration  histogram  s               reachfive.outcome
//	reachfive.token_cache.hits       counter    {hit}
//	reachfive.requests.refused       counter    {request}       reachfive.code, reachfive.transport
//	reachfive.keys.refreshes         counter    {refresh}       reachfive.cause, reachfive.result, reachfive.issuer
//	reachfive.keys.shared            counter    {fetch}         reachfive.shared, reachfive.cause, reachfive.issuer
//	reachfive.keys.age               gauge      s               reachfive.issuer
//	reachfive.keys.shared_store.up   gauge                      reachfive.issuer
//	reachfive.signouts.lag           gauge      s
//	reachfive.signouts.entries       gauge      {entry}
//	reachfive.signouts.ready         gauge
//
// A verification is one call of Verify. A refused request is one that the HTTP
// middleware or a gRPC interceptor did not let pass, and so includes the ones
// that no Verifier saw: without a token, from a foreign origin, with a form that
// is too large, or refused by Require. A request with a bad token counts in
// both metrics, once in each: do not add them up.
//
// The attributes:
//
//   - reachfive.code is "accepted", a reachfive.Code, or "canceled" or
//     "deadline_exceeded" if the caller went away. A Code of the program's own
//     counts as "other", and a request that failed with an error without a Code
//     as "server_error".
//   - reachfive.keys_available is set only on verifications that could not be
//     decided. It is false if the Verifier had no usable keys at all, and true
//     if it lacked only the key that the token names, as made-up tokens cause.
//   - reachfive.outcome is "accepted", "refused" or "undecided".
//   - reachfive.issuer is the issuer of the Verifier, and empty for a token
//     that reachfive.ByIssuer has no Verifier for. After 100 issuers, further
//     ones count as "other".
//   - reachfive.transport is "http" or "grpc".
//   - reachfive.cause is a reachfive.FetchCause.
//   - reachfive.shared tells what became of a fetch with a
//     reachfive.SharedKeyStore. It is "taken" if another process had made it,
//     "fetched" if this one made it for all, and "waited" if none could start, or
//     another process did not finish one in time. Only fetches of this process
//     count in reachfive.keys.refreshes, and have a span. A fetch that the store
//     was not asked about does not count in reachfive.keys.shared.
//   - reachfive.result is "ok" or a class of failure as in
//     reachfive.Status.LastError, with only the first digit of a status:
//     "status 5xx".
//
// So the number of series is bounded, and no attribute contains a claim, a token
// or a key ID.
//
// Prometheus writes underscores for dots and adds unit and kind:
// reachfive_verifications_total, reachfive_verification_duration_seconds,
// reachfive_token_cache_hits_total, reachfive_requests_refused_total,
// reachfive_keys_refreshes_total, reachfive_keys_shared_total,
// reachfive_keys_age_seconds, reachfive_keys_shared_store_up,
// reachfive_signouts_lag_seconds, reachfive_signouts_entries and
// reachfive_signouts_ready.
//
// # Spans
//
// A fetch of the keys is a root span, "reachfive.keys.fetch", linked to the
// request that caused it, because it serves many requests and outlives that one.
// A verification has no span: the span would cost about as much.
package reachfiveotel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/reachfive-community/reachfive"
)

// scope is the name of the instrumentation.
const scope = "github.com/reachfive-community/reachfive/reachfiveotel"

// Telemetry reports to one MeterProvider and one TracerProvider. Make it with
// New, and share it between the Verifiers of a program. It is safe for
// concurrent use.
type Telemetry struct {
	meter  metric.Meter
	tracer trace.Tracer

	verifications metric.Int64Counter
	duration      metric.Float64Histogram
	cacheHits     metric.Int64Counter
	refused       metric.Int64Counter
	refreshes     metric.Int64Counter
	shared        metric.Int64Counter
	keysAge       metric.Float64ObservableGauge
	storeUp       metric.Float64ObservableGauge

	issuers      issuers
	ofVerify     cache[verification]
	ofDuration   cache[string]
	ofRefusal    cache[refusal]
	ofRefreshing cache[refresh]
	ofSharing    cache[sharing]
}

// The keys of the caches of attributes. Every field has a bounded number of
// values.
type (
	verification struct {
		code, issuer  string
		undecided     bool
		keysAvailable bool
	}
	refusal struct{ code, transport string }
	refresh struct{ cause, result, issuer string }
	sharing struct{ shared, cause, issuer string }
)

// Option configures New, which returns an error for a nil one.
type Option func(*config)

type config struct {
	meters  metric.MeterProvider
	tracers trace.TracerProvider
}

// WithMeterProvider sets the provider for metrics. The default is the global
// one.
func WithMeterProvider(p metric.MeterProvider) Option { return func(c *config) { c.meters = p } }

// WithTracerProvider sets the provider for spans. The default is the global one.
func WithTracerProvider(p trace.TracerProvider) Option { return func(c *config) { c.tracers = p } }

// New makes the instruments. It returns the errors of the MeterProvider, and an
// error for a nil provider or option.
func New(opts ...Option) (*Telemetry, error) {
	c := config{meters: otel.GetMeterProvider(), tracers: otel.GetTracerProvider()}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("reachfiveotel: option %d is nil", i)
		}
		opt(&c)
	}
	if c.meters == nil || c.tracers == nil {
		return nil, errors.New("reachfiveotel: a provider is nil")
	}
	t := &Telemetry{meter: c.meters.Meter(scope), tracer: c.tracers.Tracer(scope)}
	if err := t.makeInstruments(); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Telemetry) makeInstruments() error {
	var errs [8]error
	t.verifications, errs[0] = t.meter.Int64Counter("reachfive.verifications",
		metric.WithUnit("{verification}"), metric.WithDescription("Verifications of an ID token, by their outcome."))
	t.duration, errs[1] = t.meter.Float64Histogram("reachfive.verification.duration",
		metric.WithUnit("s"), metric.WithDescription("Time that a verification took, waiting for keys included."),
		metric.WithExplicitBucketBoundaries(0.000002, 0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.01, 0.1, 1, 5))
	t.cacheHits, errs[2] = t.meter.Int64Counter("reachfive.token_cache.hits",
		metric.WithUnit("{hit}"), metric.WithDescription("Verifications that the verified-token cache answered."))
	t.refused, errs[3] = t.meter.Int64Counter("reachfive.requests.refused",
		metric.WithUnit("{request}"), metric.WithDescription("Requests that the middleware or an interceptor refused, by reason."))
	t.refreshes, errs[4] = t.meter.Int64Counter("reachfive.keys.refreshes",
		metric.WithUnit("{refresh}"), metric.WithDescription("Fetches of the tenant's keys, by cause and result."))
	t.keysAge, errs[5] = t.meter.Float64ObservableGauge("reachfive.keys.age",
		metric.WithUnit("s"), metric.WithDescription("Time since the last good fetch of the keys began."))
	t.shared, errs[6] = t.meter.Int64Counter("reachfive.keys.shared",
		metric.WithUnit("{fetch}"), metric.WithDescription("Fetches of the tenant's keys that the shared key store was asked about, by what became of them."))
	t.storeUp, errs[7] = t.meter.Float64ObservableGauge("reachfive.keys.shared_store.up",
		metric.WithDescription("1 if the last call of the shared key store succeeded, else 0."))
	return errors.Join(errs[:]...)
}

// Observer returns the Observer for reachfive.WithObserver. Its functions may be
// called concurrently.
func (t *Telemetry) Observer() reachfive.Observer {
	return reachfive.Observer{VerifyDone: t.verifyDone, FetchDone: t.fetchDone}
}

func (t *Telemetry) verifyDone(ctx context.Context, e reachfive.VerifyEvent) {
	key := verification{code: codeLabel(e.Code), issuer: t.issuers.label(e.Issuer)}
	if isUndecided(e.Code) {
		key.undecided, key.keysAvailable = true, e.KeysAvailable
	}
	t.verifications.Add(ctx, 1, t.ofVerify.get(key, key.attributes))
	result := outcome(e.Code)
	t.duration.Record(ctx, e.Duration.Seconds(), t.ofDuration.get(result, func() []attribute.KeyValue {
		return []attribute.KeyValue{outcomeKey.String(result)}
	}))
	if e.CacheHit {
		t.cacheHits.Add(ctx, 1)
	}
}

func (v verification) attributes() []attribute.KeyValue {
	attrs := []attribute.KeyValue{codeKey.String(v.code), issuerKey.String(v.issuer)}
	if v.undecided {
		attrs = append(attrs, keysAvailableKey.Bool(v.keysAvailable))
	}
	return attrs
}

// HTTPRefusal counts a refused request. Pass it to reachfive.OnRefusal.
func (t *Telemetry) HTTPRefusal(r *http.Request, err error) {
	t.countRefusal(r.Context(), "http", err)
}

// GRPCRefusal counts a refused call, or a stream that ended at expiry. Pass it
// to reachfivegrpc.OnRefusal.
func (t *Telemetry) GRPCRefusal(ctx context.Context, _ string, err error) {
	t.countRefusal(ctx, "grpc", err)
}

func (t *Telemetry) countRefusal(ctx context.Context, transport string, err error) {
	key := refusal{refusalLabel(ctx, err), transport}
	t.refused.Add(ctx, 1, t.ofRefusal.get(key, func() []attribute.KeyValue {
		return []attribute.KeyValue{codeKey.String(key.code), transportKey.String(transport)}
	}))
}

func (t *Telemetry) fetchDone(ctx context.Context, e reachfive.FetchEvent) {
	end := time.Now()
	if e.Shared != reachfive.SharedNone {
		key := sharing{string(e.Shared), string(e.Cause), t.issuers.label(e.Issuer)}
		t.shared.Add(ctx, 1, t.ofSharing.get(key, func() []attribute.KeyValue {
			return []attribute.KeyValue{sharedKey.String(key.shared), causeKey.String(key.cause), issuerKey.String(key.issuer)}
		}))
	}
	if e.Shared == reachfive.SharedTaken || e.Shared == reachfive.SharedWaited {
		return // this process has asked nobody
	}
	key := refresh{string(e.Cause), resultClass(e.Result), t.issuers.label(e.Issuer)}
	t.refreshes.Add(ctx, 1, t.ofRefreshing.get(key, func() []attribute.KeyValue {
		return []attribute.KeyValue{causeKey.String(key.cause), resultKey.String(key.result), issuerKey.String(key.issuer)}
	}))

	_, span := t.tracer.Start(ctx, "reachfive.keys.fetch",
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithLinks(trace.LinkFromContext(ctx)),
		trace.WithTimestamp(end.Add(-e.Duration)),
		trace.WithAttributes(causeKey.String(key.cause), resultKey.String(e.Result), issuerKey.String(e.Issuer),
			attribute.Int("reachfive.keys.usable", e.Keys), attribute.Int("reachfive.keys.skipped", e.Skipped)))
	if e.Result != "ok" {
		span.SetStatus(codes.Error, e.Result)
	}
	span.End(trace.WithTimestamp(end))
}

// WatchKeys reports the age of v's keys whenever metrics are collected, and
// whether its shared key store answers if it has one, until the registration's
// Unregister is called or the MeterProvider is shut down. It keeps v in memory
// until then. A Verifier that has no keys yet, or needs none, reports no age. Watch at most one Verifier of each issuer: OpenTelemetry
// keeps one value for each.
func (t *Telemetry) WatchKeys(v *reachfive.Verifier) (metric.Registration, error) {
	if v == nil {
		return nil, errors.New("reachfiveotel: WatchKeys: nil verifier")
	}
	issuer := attributes(issuerKey.String(t.issuers.label(v.Status().Issuer)))
	return t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := v.Status()
		if !s.FetchedAt.IsZero() {
			o.ObserveFloat64(t.keysAge, time.Since(s.FetchedAt).Seconds(), issuer)
		}
		if s.SharesKeys {
			up := 1.0
			if s.SharedStoreError != "" {
				up = 0
			}
			o.ObserveFloat64(t.storeUp, up, issuer)
		}
		return nil
	}, t.keysAge, t.storeUp)
}
