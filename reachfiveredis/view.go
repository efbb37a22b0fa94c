package reachfiveredis

import (
	"errors"
	"time"
)

var (
	// errLoading is why nothing is decided before the log has been read.
	errLoading = errors.New("reachfiveredis: the sign-outs have not been read yet")
	errClosed  = errors.New("reachfiveredis: SignOuts is closed")
)

// view is what the follower last learned. It is replaced, never changed.
type view struct {
	loaded       bool      // the log has been read whole
	heardAt      time.Time // when the store was last asked with success; by this process's clock
	storeTime    time.Time // the store's clock at that moment
	oldestSignIn int64     // Unix seconds: the start of the retention
	historySince time.Time
	skipped      uint64
	reason       error         // why the last attempt failed; nil if it did not
	changed      chan struct{} // closed when another view takes its place
}

// silence is how long the store has not been heard, by the monotonic clock: it
// is asked for at each check, and reading both clocks costs more.
func (v *view) silence() time.Duration { return time.Since(v.heardAt) }

// longestSilence goes by the wall clock, too: a suspended machine stops the
// monotonic one.
func (v *view) longestSilence() time.Duration {
	return max(v.silence(), time.Now().Round(0).Sub(v.heardAt.Round(0)))
}

// failure is why the last attempt failed; nil if it did not, and while the log
// is being read for the first time.
func (v *view) failure() error {
	if errors.Is(v.reason, errLoading) {
		return nil
	}
	return v.reason
}

// decides reports whether the sign-outs are known well enough.
func (v *view) decides(maxSilence time.Duration) bool {
	return v.loaded && v.silence() <= maxSilence
}

// since is the greatest max_age, in whole seconds, that a sign-in after before
// satisfies and one at it does not; at least a second, because no sign-in
// satisfies less.
func (v *view) since(before int64) time.Duration {
	now := time.Now()
	if !v.storeTime.IsZero() {
		now = v.storeTime.Add(v.silence())
	}
	return max(now.Sub(time.Unix(before, 0)).Truncate(time.Second)-time.Second, time.Second)
}
