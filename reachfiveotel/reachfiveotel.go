// Package reachfiveotel reports what a [reachfive.Verifier] does to
// OpenTelemetry: metrics for every verification and every fetch of the keys,
// and a span for each fetch. It needs the OpenTelemetry API alone; which SDK
// and which exporter stand behind it is the program's own choice.
//
//	telemetry, err := reachfiveotel.New()
//	...
//	v, err := reachfive.New(domain, clientID, reachfive.WithObserver(telemetry.Observer()))
//	...
//	err = telemetry.WatchKeys(v)
//
// # Metrics
//
//	reachfive.verifications          counter    {verification}  reachfive.code
//	reachfive.verification.duration  histogram  s               reachfive.outcome
//	reachfive.token_cache.hits       counter    {hit}
//	reachfive.keys.refreshes         counter    {refresh}       reachfive.cause, reachfive.result
//	reachfive.keys.age               gauge      s               reachfive.issuer
//
// reachfive.code is "accepted", a reachfive.Code, or "canceled" or
// "deadline_exceeded" for a caller that went away; a Code of the program's own
// counts as "other". reachfive.outcome is "accepted", "refused" or "undecided".
// reachfive.cause is a reachfive.FetchCause, reachfive.result is "ok" or a class
// of failure as in reachfive.Status.LastError, with statuses by their hundreds:
// "status 5xx". So no label can grow without bound, and no claim, no token and
// no key ID is in any of them.
//
// Prometheus writes an underscore for a dot and adds unit and kind:
// reachfive_verifications_total, reachfive_verification_duration_seconds,
// reachfive_token_cache_hits_total, reachfive_keys_refreshes_total and
// reachfive_keys_age_seconds.
//
// # Spans
//
// A fetch of the keys is a root span of its own, "reachfive.keys.fetch", linked
// to the request that caused it: it serves many requests and outlives the one.
// A verification makes no span: it costs about as much as one.
package reachfiveotel

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/reachfive-community/reachfive"
)

// scope names the instrumentation to OpenTelemetry.
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
	refreshes     metric.Int64Counter
	keysAge       metric.Float64ObservableGauge

	// Sets of attributes are made once: the hot path picks one.
	byCode    map[reachfive.Code]metric.MeasurementOption
	otherCode metric.MeasurementOption
	byOutcome map[outcome]metric.MeasurementOption
}

// Option configures New.
type Option func(*config)

type config struct {
	meters  metric.MeterProvider
	tracers trace.TracerProvider
}

// WithMeterProvider reports metrics to p. The default is the global one.
func WithMeterProvider(p metric.MeterProvider) Option { return func(c *config) { c.meters = p } }

// WithTracerProvider reports spans to p. The default is the global one.
func WithTracerProvider(p trace.TracerProvider) Option { return func(c *config) { c.tracers = p } }

// New makes the instruments. Its error is the MeterProvider's.
func New(opts ...Option) (*Telemetry, error) {
	c := config{meters: otel.GetMeterProvider(), tracers: otel.GetTracerProvider()}
	for _, opt := range opts {
		opt(&c)
	}
	if c.meters == nil || c.tracers == nil {
		return nil, errors.New("reachfiveotel: a provider is nil")
	}
	t := &Telemetry{
		meter:     c.meters.Meter(scope),
		tracer:    c.tracers.Tracer(scope),
		byCode:    make(map[reachfive.Code]metric.MeasurementOption),
		otherCode: attributes(codeKey.String("other")),
		byOutcome: make(map[outcome]metric.MeasurementOption),
	}
	for _, code := range knownCodes() {
		label := string(code)
		if code == "" {
			label = string(accepted)
		}
		t.byCode[code] = attributes(codeKey.String(label))
	}
	for _, o := range []outcome{accepted, refused, undecided} {
		t.byOutcome[o] = attributes(outcomeKey.String(string(o)))
	}
	return t, t.makeInstruments()
}

func (t *Telemetry) makeInstruments() error {
	var errs [5]error
	t.verifications, errs[0] = t.meter.Int64Counter("reachfive.verifications",
		metric.WithUnit("{verification}"), metric.WithDescription("Verifications of an ID token, by their outcome."))
	t.duration, errs[1] = t.meter.Float64Histogram("reachfive.verification.duration",
		metric.WithUnit("s"), metric.WithDescription("Time that a verification took, waiting for keys included."),
		metric.WithExplicitBucketBoundaries(0.000002, 0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.01, 0.1, 1, 5))
	t.cacheHits, errs[2] = t.meter.Int64Counter("reachfive.token_cache.hits",
		metric.WithUnit("{hit}"), metric.WithDescription("Verifications that the verified-token cache answered."))
	t.refreshes, errs[3] = t.meter.Int64Counter("reachfive.keys.refreshes",
		metric.WithUnit("{refresh}"), metric.WithDescription("Fetches of the tenant's keys, by cause and result."))
	t.keysAge, errs[4] = t.meter.Float64ObservableGauge("reachfive.keys.age",
		metric.WithUnit("s"), metric.WithDescription("Time since the last good fetch of the keys began."))
	return errors.Join(errs[:]...)
}

const (
	codeKey    = attribute.Key("reachfive.code")
	outcomeKey = attribute.Key("reachfive.outcome")
	causeKey   = attribute.Key("reachfive.cause")
	resultKey  = attribute.Key("reachfive.result")
	issuerKey  = attribute.Key("reachfive.issuer")
)

// outcome is what a verification came to, in the fewest words.
type outcome string

const (
	accepted  outcome = "accepted"
	refused   outcome = "refused"
	undecided outcome = "undecided" // no verdict on the token
)

// canceled and deadlineExceeded are what VerifyEvent.Code has for a caller that
// went away.
const (
	canceled         reachfive.Code = "canceled"
	deadlineExceeded reachfive.Code = "deadline_exceeded"
)

func outcomeOf(code reachfive.Code) outcome {
	switch {
	case code == "":
		return accepted
	case code == canceled, code == deadlineExceeded, code.HTTPStatus() == http.StatusServiceUnavailable:
		return undecided
	}
	return refused
}

// knownCodes are the Codes that a Verifier gives a VerifyEvent.
func knownCodes() []reachfive.Code {
	return []reachfive.Code{
		"", canceled, deadlineExceeded,
		reachfive.CodeMissingToken, reachfive.CodeMalformedToken, reachfive.CodeUnsupportedAlgorithm,
		reachfive.CodeUnknownKey, reachfive.CodeKeysUnavailable, reachfive.CodeInvalidSignature,
		reachfive.CodeMissingClaim, reachfive.CodeInvalidClaim, reachfive.CodeWrongIssuer,
		reachfive.CodeWrongAudience, reachfive.CodeExpired, reachfive.CodeNotYetValid,
		reachfive.CodeWrongNonce, reachfive.CodeWrongAccessToken,
		reachfive.CodeReauthenticationRequired, reachfive.CodeInsufficientAuthentication,
		reachfive.CodeRevoked, reachfive.CodeRevocationsUnavailable, reachfive.CodeForbidden,
	}
}

func attributes(kv ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(kv...))
}

// Observer returns what WithObserver takes. Its functions may be called
// concurrently.
func (t *Telemetry) Observer() reachfive.Observer {
	return reachfive.Observer{VerifyDone: t.verifyDone, FetchDone: t.fetchDone}
}

func (t *Telemetry) verifyDone(ctx context.Context, e reachfive.VerifyEvent) {
	byCode, known := t.byCode[e.Code]
	if !known {
		byCode = t.otherCode
	}
	t.verifications.Add(ctx, 1, byCode)
	t.duration.Record(ctx, e.Duration.Seconds(), t.byOutcome[outcomeOf(e.Code)])
	if e.CacheHit {
		t.cacheHits.Add(ctx, 1)
	}
}

func (t *Telemetry) fetchDone(ctx context.Context, e reachfive.FetchEvent) {
	end := time.Now()
	cause, result := causeKey.String(string(e.Cause)), resultKey.String(resultClass(e.Result))
	t.refreshes.Add(ctx, 1, attributes(cause, result))

	_, span := t.tracer.Start(ctx, "reachfive.keys.fetch",
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithLinks(trace.LinkFromContext(ctx)),
		trace.WithTimestamp(end.Add(-e.Duration)),
		trace.WithAttributes(cause, resultKey.String(e.Result),
			attribute.Int("reachfive.keys.usable", e.Keys), attribute.Int("reachfive.keys.skipped", e.Skipped)))
	if e.Result != "ok" {
		span.SetStatus(codes.Error, e.Result)
	}
	span.End(trace.WithTimestamp(end))
}

// resultClass bounds the label: a provider can make up statuses, but not more
// than five classes of them.
func resultClass(result string) string {
	stage, status, isStatus := strings.Cut(result, "status ")
	if !isStatus || status == "" {
		return result
	}
	return stage + "status " + status[:1] + "xx"
}

// WatchKeys reports the age of v's keys whenever metrics are collected, for as
// long as the MeterProvider lives. A Verifier that has no keys yet, or needs
// none, reports nothing.
func (t *Telemetry) WatchKeys(v *reachfive.Verifier) error {
	issuer := attributes(issuerKey.String(v.Status().Issuer))
	_, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		if fetched := v.Status().FetchedAt; !fetched.IsZero() {
			o.ObserveFloat64(t.keysAge, time.Since(fetched).Seconds(), issuer)
		}
		return nil
	}, t.keysAge)
	return err
}
