package reachfiveredis

import (
	"context"
	"time"
)

// Status is what SignOuts knows, for a dashboard or for a person on call.
type Status struct {
	// Ready tells whether tokens are decided.
	Ready bool
	// Lag is how long ago everything that the store had was known: about two
	// seconds at most while the store answers. It is 0 before the first reading.
	Lag time.Duration
	// Entries is the number of sign-outs that count.
	Entries int
	// HistorySince is when the store was initialized: sign-outs from before it
	// are not known.
	HistorySince time.Time
	// Skipped counts entries that a newer version of this package has written.
	Skipped uint64
	// LastError says why the last attempt to read the store failed; "" if it
	// did not.
	LastError string
}

// Status tells what SignOuts knows. It uses no network and does not wait.
func (o *SignOuts) Status() Status {
	v := o.view.Load()
	s := Status{
		Ready: v.decides(o.maxSilence), Entries: int(o.set.size.Load()),
		HistorySince: v.historySince, Skipped: v.skipped,
	}
	if !v.heardAt.IsZero() {
		s.Lag = v.silence()
	}
	if v.reason != nil {
		s.LastError = v.reason.Error()
	}
	return s
}

// Ready returns nil while tokens can be decided. When they cannot, it waits for
// the next attempt to read the store to end, within ctx, and returns its error.
// It is for readiness, not for liveness: a restart does not help.
func (o *SignOuts) Ready(ctx context.Context) error {
	o.start()
	v := o.view.Load()
	for !v.decides(o.maxSilence) {
		select {
		case <-v.changed:
		case <-o.stopped:
			return errClosed
		case <-ctx.Done():
			if err := v.failure(); err != nil {
				return err
			}
			return ctx.Err()
		}
		v = o.view.Load()
		if err := v.failure(); err != nil {
			return err
		}
	}
	return nil
}
