// Package telemetry counts the gateway's decisions, and serves them to
// Prometheus together with the metrics of package reachfiveotel.
package telemetry

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/policy"
	"github.com/reachfive-community/reachfive/reachfiveotel"
	"github.com/reachfive-community/reachfive/reachfiveredis"
)

// Telemetry is the gateway's metrics. It is safe for concurrent use.
type Telemetry struct {
	library  *reachfiveotel.Telemetry
	provider *sdkmetric.MeterProvider
	registry *prometheus.Registry
	meter    metric.Meter

	decisions metric.Int64Counter
	duration  metric.Float64Histogram
	omitted   metric.Int64Counter

	// The attributes of decisions, made once each: policies and codes are few.
	attributes sync.Map // of label to metric.MeasurementOption
}

type label struct {
	policy string
	reason reachfive.Code
}

// New makes the instruments.
func New() (*Telemetry, error) {
	t := &Telemetry{registry: prometheus.NewRegistry()}
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(t.registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, err
	}
	t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	t.provider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	t.meter = t.provider.Meter("github.com/reachfive-community/reachfive/cmd/reachfive-gateway")
	var errs [4]error
	t.library, errs[0] = reachfiveotel.New(reachfiveotel.WithMeterProvider(t.provider))
	t.decisions, errs[1] = t.meter.Int64Counter("reachfive.gateway.decisions",
		metric.WithUnit("{decision}"), metric.WithDescription("Decisions, by policy and code."))
	t.duration, errs[2] = t.meter.Float64Histogram("reachfive.gateway.decision.duration",
		metric.WithUnit("s"), metric.WithDescription("Time that a decision took, waiting for keys included."),
		metric.WithExplicitBucketBoundaries(0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.01, 0.1, 1, 5))
	t.omitted, errs[3] = t.meter.Int64Counter("reachfive.gateway.headers.omitted",
		metric.WithUnit("{header}"), metric.WithDescription("Identity headers left empty because they did not fit."))
	return t, errors.Join(errs[:]...)
}

// Observer is for the verifiers.
func (t *Telemetry) Observer() reachfive.Observer { return t.library.Observer() }

// WatchKeys reports the age of a verifier's keys.
func (t *Telemetry) WatchKeys(v *reachfive.Verifier) error {
	_, err := t.library.WatchKeys(v)
	return err
}

// WatchSignOuts reports how far behind the sign-outs are.
func (t *Telemetry) WatchSignOuts(signOuts *reachfiveredis.SignOuts) error {
	_, err := t.library.WatchSignOuts(func() reachfiveotel.SignOutReading {
		s := signOuts.Status()
		return reachfiveotel.SignOutReading{Ready: s.Ready, Lag: s.Lag, Entries: s.Entries}
	})
	return err
}

// WatchCertificate reports when a listener's certificate expires.
func (t *Telemetry) WatchCertificate(listener string, notAfter func() time.Time) error {
	gauge, err := t.meter.Float64ObservableGauge("reachfive.gateway.certificate.expiry",
		metric.WithUnit("s"), metric.WithDescription("Time until the listener's certificate expires."))
	if err != nil {
		return err
	}
	of := metric.WithAttributes(attribute.String("listener", listener))
	_, err = t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveFloat64(gauge, time.Until(notAfter()).Seconds(), of)
		return nil
	}, gauge)
	return err
}

// Observe counts a decision.
func (t *Telemetry) Observe(policyName string, outcome policy.Outcome) {
	ctx := context.Background()
	labels := t.labels(label{policyName, known(outcome.Reason)})
	t.decisions.Add(ctx, 1, labels)
	t.duration.Record(ctx, outcome.Took.Seconds(), t.labels(label{policy: policyName}))
	if outcome.Omitted > 0 {
		t.omitted.Add(ctx, int64(outcome.Omitted), t.labels(label{policy: policyName}))
	}
}

// labels are those of a decision, without a code where there is none.
func (t *Telemetry) labels(of label) metric.MeasurementOption {
	if made, ok := t.attributes.Load(of); ok {
		option, _ := made.(metric.MeasurementOption)
		return option
	}
	pairs := []attribute.KeyValue{attribute.String("policy", of.policy)}
	if of.reason != "" {
		pairs = append(pairs, attribute.String("code", string(of.reason)))
	}
	made, _ := t.attributes.LoadOrStore(of, metric.WithAttributeSet(attribute.NewSet(pairs...)))
	option, _ := made.(metric.MeasurementOption)
	return option
}

// known bounds the label: every other code counts as "other".
func known(reason reachfive.Code) reachfive.Code {
	switch reason {
	case policy.Accepted, policy.Anonymous, policy.Canceled, policy.DeadlineExceeded, policy.Failed, "unknown_policy":
		return reason
	}
	if reason.HTTPStatus() == http.StatusInternalServerError {
		return "other"
	}
	return reason
}

// Handler serves the metrics to Prometheus.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{})
}

// Close ends the collection of metrics.
func (t *Telemetry) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }
