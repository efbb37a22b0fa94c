package keycache

import "time"

// reportPatience is how long a report waits for the one before it.
const reportPatience = time.Second

// Cause is why the keys were fetched.
type Cause string

// The causes of a fetch.
const (
	CauseFirst      Cause = "first"       // there were no keys, or none that may still serve
	CauseAhead      Cause = "ahead"       // most of the lifetime was over
	CauseLifetime   Cause = "lifetime"    // the lifetime was over
	CauseUnknownKID Cause = "unknown_kid" // a token named a key that was not at hand
	CauseAsked      Cause = "asked"       // Refresh was called
	CauseLook       Cause = "look"        // no fetch: other processes may have newer keys
)

// Shared is what became of a fetch where processes share their fetches.
type Shared string

// The fates of such a fetch.
const (
	SharedNone    Shared = ""        // no shared store was asked, or it did not answer
	SharedTaken   Shared = "taken"   // another process had fetched
	SharedFetched Shared = "fetched" // this process fetched
	SharedWaited  Shared = "waited"  // none may fetch now, or another does and takes long
)

// Change is what a fetch changed in how the cache is.
type Change string

// The changes of a cache.
const (
	ChangeNone      Change = ""          // it is as before
	ChangeHealthy   Change = "healthy"   // the first good fetch
	ChangeFailing   Change = "failing"   // a fetch failed, after a good one or at first
	ChangeRecovered Change = "recovered" // a fetch was good again
)

// Event is the outcome of one fetch.
type Event struct {
	Cause    Cause
	Shared   Shared
	Failure  string // its class, safe to log; "" if the fetch was good
	Change   Change
	Keys     Keys // what a good fetch brought; nil after a failure
	Replaced Keys // the keys whose place these have taken; nil if they have not, or if there were none
	Took     time.Duration
}

// queue orders reports: the report that comes last tells how things are.
type queue struct{ last <-chan struct{} }

// turn is a place in a queue.
type turn struct {
	after <-chan struct{} // closed when the report before has returned; nil for the first
	done  chan struct{}
}

func (q *queue) join() turn {
	t := turn{after: q.last, done: make(chan struct{})}
	q.last = t.done
	return t
}

// take calls report when the report before has returned. One that hangs delays
// those after it, and does not silence them. A report that panics is over: on
// this goroutine the panic would end the process.
func (t turn) take(report func()) {
	defer close(t.done)
	defer func() { _ = recover() }()
	if t.after != nil {
		patience := time.NewTimer(reportPatience)
		defer patience.Stop()
		select {
		case <-t.after:
		case <-patience.C:
		}
	}
	report()
}

// Status is what a Cache knows. Its times are those of the wall clock.
type Status struct {
	Keys                                            Keys   // nil for none
	URL                                             string // without user information and query
	FetchedAt, FreshUntil, ServesUntil, NextAttempt time.Time
	Failing, SharesKeys                             bool
	LastError, StoreError, SharedError              string
	Fetches, Failures                               uint64
}

// Status tells what the cache knows.
func (c *Cache) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{
		URL: withoutCredentials(c.url), Fetches: c.fetches, Failures: c.failures, StoreError: c.records.lastError(),
		SharesKeys: c.shared != nil, SharedError: c.shared.lastError(),
	}
	snapshot, failing := c.snapshot.Load(), c.failing.Load()
	if snapshot != nil {
		s.Keys = snapshot.Keys
		s.FetchedAt = snapshot.fetchedAt.Round(0)
		s.FreshUntil = s.FetchedAt.Add(snapshot.lifetime)
		s.ServesUntil = s.FetchedAt.Add(snapshot.servesFor)
		s.NextAttempt = s.FetchedAt.Add(snapshot.refreshAfter)
	}
	if failing != nil {
		s.Failing, s.LastError = true, failing.class
		if next := failing.nextAttempt(snapshot.serves(c.now())).Round(0); next.After(s.NextAttempt) {
			s.NextAttempt = next
		}
	}
	if c.closed {
		s.NextAttempt = time.Time{}
	}
	return s
}
