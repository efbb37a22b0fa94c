package reachfiveotel

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// SignOutReading is what WatchSignOuts reports of one process: the fields of
// reachfiveredis.Status with these names.
type SignOutReading struct {
	// Ready tells whether tokens are decided.
	Ready bool
	// Lag is the time since everything that the store has was known.
	Lag time.Duration
	// Entries is the number of sign-outs that count.
	Entries int
}

// WatchSignOuts reports what read returns whenever metrics are collected, until
// the registration's Unregister is called or the MeterProvider is shut down. A
// process has one store of sign-outs, so call it once:
//
//	telemetry.WatchSignOuts(func() reachfiveotel.SignOutReading {
//		s := signOuts.Status()
//		return reachfiveotel.SignOutReading{Ready: s.Ready, Lag: s.Lag, Entries: s.Entries}
//	})
func (t *Telemetry) WatchSignOuts(read func() SignOutReading) (metric.Registration, error) {
	if read == nil {
		return nil, errors.New("reachfiveotel: WatchSignOuts: nil function")
	}
	lag, err := t.meter.Float64ObservableGauge("reachfive.signouts.lag",
		metric.WithUnit("s"), metric.WithDescription("Time since all sign-outs of the store were known."))
	if err != nil {
		return nil, err
	}
	entries, err := t.meter.Float64ObservableGauge("reachfive.signouts.entries",
		metric.WithUnit("{entry}"), metric.WithDescription("Sign-outs that count."))
	if err != nil {
		return nil, err
	}
	ready, err := t.meter.Float64ObservableGauge("reachfive.signouts.ready",
		metric.WithDescription("1 if the sign-outs are known well enough to decide, else 0."))
	if err != nil {
		return nil, err
	}
	return t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		r := read()
		isReady := 0.0
		if r.Ready {
			isReady = 1
		}
		o.ObserveFloat64(lag, r.Lag.Seconds())
		o.ObserveFloat64(entries, float64(r.Entries))
		o.ObserveFloat64(ready, isReady)
		return nil
	}, lag, entries, ready)
}
