package keycache

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	// lateAfter is how long requests wait for the fetch of another process, which
	// may have died. After it, known keys serve; a process without any fetches by
	// itself.
	lateAfter = 2 * time.Second
	// yieldFor is how long a process that could not reach the provider leaves the
	// right to fetch to the others.
	yieldFor = 2 * time.Second
	// leaseOver is longer than the right to fetch of a process that has died.
	leaseOver = 7 * time.Second

	minPoll = 20 * time.Millisecond // between questions while another process fetches
	maxPoll = 150 * time.Millisecond

	// startTogether is how old the keys may be that Refresh takes in a process
	// without any: processes that start together make one fetch.
	startTogether = 10 * time.Second

	maxBegun = 64 // fetches whose beginnings are remembered
)

// The reasons why a fetch of a process ended without an answer of the provider.
const (
	fetchedElsewhere = "another process fetches the keys"
	tooManyUnknown   = "too many tokens of unknown kids"
	askedForPause    = "the provider asked for a pause"
)

// obtain gets keys: from another process if it can, else from the provider.
func (c *Cache) obtain(ctx context.Context, calls *foreignCalls, f *fetch) answer {
	switch {
	case f.cause == CauseLook:
		return c.look(ctx, calls)
	case c.shared == nil, c.shared.down() && f.cause != CauseAsked:
		// No request waits for Refresh, and what it brings should reach the others:
		// it asks even a store that was down a moment ago.
		return c.source.fetch(ctx, calls, f)
	}
	return c.share(ctx, calls, f)
}

// share asks the store until it has the keys or the right to fetch them, or until
// the patience of f is over.
func (c *Cache) share(ctx context.Context, calls *foreignCalls, f *fetch) answer {
	if f.cause == CauseAsked {
		// It overtakes the fetches of requests, also of this process: they may hang.
		c.shared.release(calls, c.shared.held(), 0, "")
	}
	began := time.Now()
	patience, alone := c.patienceOf(f)
	yields := f.cause != CauseAsked && c.shared.yielding()
	late := false
	for poll := minPoll; ; poll = min(2*poll, maxPoll) {
		cause := f.cause
		if yields && time.Since(began) < yieldFor {
			cause = CauseLook
		}
		r, a, err := c.askOnce(ctx, calls, f, cause)
		switch {
		case err != nil && ctx.Err() != nil:
			return answer{shared: SharedWaited, failure: classOf(ctx, ctx.Err())}
		case err != nil:
			return c.source.fetch(ctx, calls, f)
		case a != nil:
			return *a
		case r.lease != "":
			return c.fetchForAll(ctx, calls, f, r.lease)
		case r.wait > 0 && cause == CauseUnknownKID || r.wait > 0 && r.reason != "":
			return c.paused(ctx, calls, r)
		}
		waited := time.Since(began)
		if waited >= lateAfter && !late {
			late = true
			close(f.late)
		}
		switch {
		case waited < patience:
			sleep(ctx, jitter(poll*3/4, poll))
		case alone:
			return c.source.fetch(ctx, calls, f)
		default:
			return answer{shared: SharedWaited, failure: fetchedElsewhere, unasked: minBackoff}
		}
	}
}

// patienceOf is how long f waits for the fetches of other processes, and whether
// it fetches without the right after that: the keys must not stay as they are for
// as long as a broken store says that somebody fetches.
func (c *Cache) patienceOf(f *fetch) (patience time.Duration, alone bool) {
	switch {
	case !c.snapshot.Load().serves(c.now()):
		return lateAfter, true
	case f.cause == CauseUnknownKID:
		return fetchTimeout, false
	}
	return leaseOver, f.cause != CauseAhead
}

// askOnce returns the keys of the record if there is one that stands for f. One
// that does not must not keep the processes from fetching: it asks again for a
// later record, or the right to fetch.
func (c *Cache) askOnce(ctx context.Context, calls *foreignCalls, f *fetch, cause Cause) (reply, *answer, error) {
	youngerThan := c.youngerThan(f)
	for range 2 {
		r, err := c.shared.ask(ctx, calls, cause, youngerThan)
		if err == nil && c.hasHonoured(r) {
			r, err = c.shared.ask(ctx, calls, CauseAsked, youngerThan)
		}
		if err != nil || r.record == nil {
			return r, nil, err
		}
		if a, ok := c.shared.read(r, youngerThan); ok && a.newerThan(c.snapshot.Load(), 0) {
			return r, &a, nil
		}
		if r.age < 0 || r.age >= youngerThan { // the store breaks its contract
			r.age = 0
		}
		youngerThan = r.age
	}
	return reply{}, nil, nil
}

// hasHonoured reports whether this process has waited for as long of the pause as
// one in its place does: without keys, that is less than the provider asked for.
func (c *Cache) hasHonoured(r reply) bool {
	f := c.failing.Load()
	if f == nil || r.reason == "" {
		return false
	}
	left := f.retryAfter.remaining(c.now())
	return left > 0 && r.wait <= left+time.Second // else it is another pause
}

// youngerThan is the age below which a record stands for f: its fetch was granted
// after the token of an unknown kid had arrived, after Refresh had been called, or
// after the keys at hand had been fetched.
func (c *Cache) youngerThan(f *fetch) time.Duration {
	now := c.now()
	switch {
	case f.cause == CauseUnknownKID:
		return now.Sub(f.began)
	case f.cause == CauseAsked && f.first:
		return now.Sub(f.began) + startTogether
	case f.cause == CauseAsked:
		return now.Sub(f.began)
	}
	if s := c.snapshot.Load(); s != nil {
		return min(s.age(now), maxLifetime)
	}
	return maxLifetime
}

// newerThan reports whether an answer is newer than s, which may be nil. g is the
// generation of the fetch; keys of another process go by when they were fetched.
func (a *answer) newerThan(s *Snapshot, g Generation) bool {
	if s == nil {
		return true
	}
	if a.shared == SharedTaken {
		return a.fetchedAt.After(s.fetchedAt)
	}
	return g > s.generation
}

// fetchForAll fetches with the right to do so.
func (c *Cache) fetchForAll(ctx context.Context, calls *foreignCalls, f *fetch, lease string) answer {
	c.shared.hold(lease)
	f.lease = lease
	a := c.source.fetch(ctx, calls, f)
	a.shared = SharedFetched
	if a.failure == "" {
		a.lookedAt = c.now() // nobody else could fetch
	}
	return a
}

// settle ends the right to fetch that f had: with its keys, or with what the
// provider said. What only this process has seen, as that a name does not
// resolve, is not for the others.
func (c *Cache) settle(calls *foreignCalls, f *fetch, a answer, serves bool) {
	if c.shared == nil || f.cause == CauseLook {
		return
	}
	if a.shared != SharedTaken && a.shared != SharedWaited && a.failure != canceled {
		c.shared.setYields(a.failure != "")
	}
	switch {
	case f.lease == "":
	case serves:
		c.shared.publish(calls, f.lease, a, max(a.lifetime, c.maxStale))
	case slices.Contains(pauseReasons(), a.failure) && a.retryAfter > 0:
		c.shared.release(calls, f.lease, a.retryAfter, a.failure)
	default:
		c.shared.release(calls, f.lease, 0, "")
	}
}

// pauseReasons are the failures that hold for all processes if the provider has
// asked for a pause with them.
func pauseReasons() []string {
	var reasons []string
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		class := "status " + strconv.Itoa(status)
		reasons = append(reasons, class, "discovery: "+class)
	}
	return reasons
}

// paused is the answer when no process may fetch now: the provider has asked one
// of them for a pause, or has been asked about an unknown kid a short while ago.
func (c *Cache) paused(ctx context.Context, calls *foreignCalls, r reply) answer {
	if r.reason != "" {
		reason := askedForPause
		if slices.Contains(pauseReasons(), r.reason) { // others are not safe to log
			reason = r.reason
		}
		return answer{shared: SharedWaited, failure: reason, retryAfter: min(r.wait, maxRetryAfter)}
	}
	// The key may be in what that fetch has brought.
	a := c.look(ctx, calls)
	if a.keys == nil {
		a.shared, a.failure = SharedWaited, tooManyUnknown
	}
	a.unasked = min(r.wait, budgetRefill)
	return a
}

func (s *shared) yielding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.yields
}

func (s *shared) setYields(yields bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.yields = yields
}

// sleep waits for d or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// beginning is when a fetch of this process began.
type beginning struct {
	generation Generation
	at         time.Time
}

// generationAt is the generation of the last fetch of this process that began
// before at, or 0. Keys that another process fetched from then on are as new as
// the answer of that fetch.
func (c *Cache) generationAt(at time.Time) Generation {
	for _, b := range slices.Backward(c.begun) {
		if !b.at.After(at) {
			return b.generation
		}
	}
	return 0
}

// remember notes when f began.
func (c *Cache) remember(f *fetch) {
	if len(c.begun) == maxBegun {
		c.begun = slices.Delete(c.begun, 0, 1)
	}
	c.begun = append(c.begun, beginning{f.generation, f.began})
}
