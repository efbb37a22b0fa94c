package keycache

import (
	"math/rand/v2"
	"time"
)

const (
	minBackoff = time.Second
	maxBackoff = time.Minute

	maxRetryAfter      = 5 * time.Minute  // while keys serve
	maxRetryAfterEmpty = 30 * time.Second // without keys that serve

	// knownDownFor is how long after the pause that follows a failed attempt the
	// provider counts as down. Requests keep renewing it: they start the next
	// attempt when the pause ends.
	knownDownFor = 5 * time.Minute
)

// elapsed is the time from since to now, by the monotonic or the wall clock,
// whichever advanced more: one stands still while the machine is suspended, the
// other can be set back.
func elapsed(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// pause is a span of time in which no fetch may start.
type pause struct {
	from   time.Time
	length time.Duration
}

// remaining is how much of the pause is still to come. A pause that starts in the
// future is over: the clock has no monotonic reading and was set back, and the
// pause must not last as long as the clock was set back.
func (p pause) remaining(now time.Time) time.Duration {
	passed := elapsed(p.from, now)
	if passed < 0 {
		return 0
	}
	return max(p.length-passed, 0)
}

func (p pause) end() time.Time { return p.from.Add(p.length) }

// failure is the outcome of the last fetch, if it failed.
type failure struct {
	generation Generation // of the fetch
	class      string
	delay      time.Duration // the backoff before jitter
	backoff    pause
	retryAfter pause // what the provider asked for
}

// failureAfter is the failure of f, with this answer. before is the failure of
// the fetch before, nil if that was good.
func failureAfter(before *failure, now time.Time, f *fetch, a answer) *failure {
	after := &failure{
		generation: f.generation, class: a.failure,
		delay: minBackoff, retryAfter: pause{now, a.retryAfter},
	}
	if before != nil {
		if before.retryAfter.remaining(now) > a.retryAfter {
			after.retryAfter = before.retryAfter
		}
		if f.cause == CauseAsked {
			// A fetch that a person asked for does not postpone what is due.
			after.delay, after.backoff = before.delay, before.backoff
			return after
		}
		after.delay = min(2*before.delay, maxBackoff)
	}
	after.backoff = pause{now, jitter(after.delay*3/4, after.delay)}
	return after
}

// bounded is what the provider asked for, bounded by how long we can wait:
// less without keys that serve.
func (f *failure) bounded(serving bool) pause {
	limit := maxRetryAfterEmpty
	if serving {
		limit = maxRetryAfter
	}
	return pause{f.retryAfter.from, min(f.retryAfter.length, limit)}
}

// remaining is how long from now no fetch may start.
func (f *failure) remaining(now time.Time, serving bool) time.Duration {
	return max(f.backoff.remaining(now), f.bounded(serving).remaining(now))
}

// nextAttempt is when the next fetch may start.
func (f *failure) nextAttempt(serving bool) time.Time {
	backoff, retryAfter := f.backoff.end(), f.bounded(serving).end()
	if retryAfter.After(backoff) {
		return retryAfter
	}
	return backoff
}

// jitter returns a duration from least up to most, so that many processes do not
// ask at the same moment.
func jitter(least, most time.Duration) time.Duration {
	return least + rand.N(most-least+1) //nolint:gosec // spreads load, guards nothing
}
