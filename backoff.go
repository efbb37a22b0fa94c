package reachfive

import (
	"math/rand/v2"
	"time"
)

const (
	minBackoff = time.Second
	maxBackoff = time.Minute

	maxRetryAfter      = 5 * time.Minute  // with a set at hand
	maxRetryAfterEmpty = 30 * time.Second // without one

	// knownDown is how long a failure within the lifetime of the keys says that
	// the provider is down when the lifetime has ended: as long as requests
	// keep asking it is renewed, whatever the backoff is.
	knownDown = 5 * time.Minute

	unknownKIDBudget = 2
	unknownKIDRegain = 10 * time.Second
)

// elapsed is the time from since to now, by the monotonic or the wall clock,
// whichever saw more pass: one stands still while the machine is suspended, the
// other can be set back.
func elapsed(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// pause is a span of time in which no fetch may start.
type pause struct {
	from   time.Time
	length time.Duration
}

// left is how much of the pause is still to come. One that starts in the
// future, after a clock without monotonic reading was set back, is over: it
// must not last as long as the clock was set back.
func (p pause) left(now time.Time) time.Duration {
	passed := elapsed(p.from, now)
	if passed < 0 {
		return 0
	}
	return max(p.length-passed, 0)
}

func (p pause) end() time.Time { return p.from.Add(p.length) }

// failure is the outcome of the last fetch, when it failed.
type failure struct {
	at      time.Time
	seq     uint64 // of the fetch
	class   string
	delay   time.Duration // the backoff before jitter
	backoff pause
	asked   pause // what the provider asked for with Retry-After
}

// next is the failure after f, which is nil if the fetch before was good.
func (f *failure) next(now time.Time, of *fetch, result fetchResult) *failure {
	after := &failure{
		at: now, seq: of.seq, class: result.failure,
		delay: minBackoff, asked: pause{now, result.retryAfter},
	}
	if f != nil {
		if f.asked.left(now) > result.retryAfter {
			after.asked = f.asked
		}
		if of.cause == CauseAsked {
			// What a person asks for does not postpone what is due.
			after.delay, after.backoff = f.delay, f.backoff
			return after
		}
		after.delay = min(2*f.delay, maxBackoff)
	}
	after.backoff = pause{now, jitter(after.delay*3/4, after.delay)}
	return after
}

// pauses are what keeps the next fetch from starting. A provider that asks for
// more time than we can be without keys gets less.
func (f *failure) pauses(haveSet bool) (backoff, asked pause) {
	limit := maxRetryAfterEmpty
	if haveSet {
		limit = maxRetryAfter
	}
	return f.backoff, pause{f.asked.from, min(f.asked.length, limit)}
}

// left is how long from now no fetch may start.
func (f *failure) left(now time.Time, haveSet bool) time.Duration {
	backoff, asked := f.pauses(haveSet)
	return max(backoff.left(now), asked.left(now))
}

// over is when the next fetch may start.
func (f *failure) over(haveSet bool) time.Time {
	backoff, asked := f.pauses(haveSet)
	if asked.end().After(backoff.end()) {
		return asked.end()
	}
	return backoff.end()
}

// jitter returns a duration from least up to most, so that a fleet of
// processes does not ask in step.
func jitter(least, most time.Duration) time.Duration {
	return least + rand.N(most-least+1) //nolint:gosec // spreads load, guards nothing
}

// budget is what unknown kids may cost: fetches that regain over time, so that
// a flood of junk cannot turn us against the provider.
type budget struct {
	left  int
	since time.Time // when the regaining of the next one began
}

// take takes a fetch from the budget, and reports whether it had one.
func (b *budget) take(now time.Time) bool {
	if b.left < unknownKIDBudget {
		passed := elapsed(b.since, now)
		if passed < 0 { // a clock without monotonic reading was set back
			b.since, passed = now, 0
		}
		regained := int(min(passed/unknownKIDRegain, unknownKIDBudget))
		b.left = min(b.left+regained, unknownKIDBudget)
		b.since = b.since.Add(time.Duration(regained) * unknownKIDRegain)
	}
	if b.left == 0 {
		return false
	}
	if b.left == unknownKIDBudget {
		b.since = now
	}
	b.left--
	return true
}

// regains is how long from now the budget stays empty, if it is.
func (b *budget) regains(now time.Time) time.Duration {
	if b.left > 0 {
		return 0
	}
	return pause{b.since, unknownKIDRegain}.left(now)
}
