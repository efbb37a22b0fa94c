package keycache

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	closeTimeout = time.Second
	// saveGrace is what Close leaves a store to finish what it writes, so that a
	// short-lived process leaves its keys to the next one.
	saveGrace = closeTimeout / 2
)

// fetch is one fetch in flight.
type fetch struct {
	generation Generation
	cause      Cause
	kid        string // of the token that caused it, if it is for an unknown kid
	cancel     context.CancelFunc
	done       chan struct{}     // closed when the outcome is in the cache
	err        *UnavailableError // the outcome, to be read after done; nil if it was good
	ended      chan struct{}     // closed when its goroutine and all that it called have ended

	// With a shared store:
	began time.Time
	first bool          // there were no keys when it began
	lease string        // the right to fetch, "" without
	late  chan struct{} // closed when another process takes long to fetch
}

// wait waits for the outcome, or for the end of the waiting caller's context.
func (f *fetch) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// waitServing is wait for a caller with a snapshot that may serve, nil for none:
// with one it does not wait for long while another process fetches.
func (f *fetch) waitServing(ctx context.Context, s *Snapshot) error {
	var late <-chan struct{}
	if s != nil {
		late = f.late
	}
	select {
	case <-late:
		return nil
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start starts a fetch with a context of its own: Report gets the values of the
// caller's context, and neither its end nor its deadline ends the fetch.
func (c *Cache) start(caller context.Context, cause Cause, kid string) *fetch {
	ctx, cancel := context.WithCancel(context.Background())
	f := &fetch{
		generation: Generation(c.started.Add(1)), cause: cause, kid: strings.Clone(kid), cancel: cancel,
		done: make(chan struct{}), ended: make(chan struct{}),
	}
	if c.shared != nil {
		f.began, f.first, f.late = c.now(), c.snapshot.Load() == nil, make(chan struct{})
		c.remember(f)
	}
	c.running[f] = struct{}{}
	c.pending = f
	go c.run(ctx, context.WithoutCancel(caller), f)
	return f
}

// run is the goroutine of a fetch.
func (c *Cache) run(ctx, caller context.Context, f *fetch) {
	var calls foreignCalls
	defer close(f.ended)
	defer calls.Wait()
	defer f.cancel()
	began := time.Now()
	c.loadStored(ctx, &calls)
	answer := c.obtain(ctx, &calls, f)
	event, turn, serves := c.take(f, answer)
	event.Took = time.Since(began)
	close(f.done)
	c.settle(&calls, f, answer, serves)
	if serves || f.cause != CauseLook {
		turn.take(func() { c.report(caller, event) })
	}
	if serves && c.records != nil {
		c.records.save(&calls, f.generation, answer)
	}
	c.mu.Lock()
	delete(c.running, f)
	c.mu.Unlock()
}

// loadStored brings back what an earlier process kept, before the first fetch:
// it serves if that fails.
func (c *Cache) loadStored(ctx context.Context, calls *foreignCalls) {
	if c.records == nil {
		return
	}
	s := c.records.loadOnce(ctx, calls, c.now())
	if s == nil {
		return
	}
	s.servesFor = c.maxStale
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.snapshot.Load() == nil {
		c.snapshot.Store(s)
	}
}

// take puts the answer of a fetch into the cache. It returns what to report and
// when, and whether the keys of the answer are the ones that serve now.
func (c *Cache) take(f *fetch, a answer) (e Event, t turn, serves bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shared != nil {
		defer c.takeLook(f, a.lookedAt)
		if f.cause == CauseLook && (a.keys == nil || !a.newerThan(c.snapshot.Load(), 0)) {
			return e, t, false
		}
	}
	e = Event{Cause: f.cause, Shared: a.shared, Failure: a.failure, Keys: a.keys}
	t = c.reports.join()
	if c.pending == f {
		c.pending = nil
	}
	if a.url != "" {
		c.url = a.url
	}
	provider := a.shared == SharedNone || a.shared == SharedFetched
	if provider {
		c.fetches++
	}
	if f.cause == CauseUnknownKID && a.unasked > 0 {
		c.budget.refund(c.now(), a.unasked)
	}
	switch {
	case a.failure != "" && a.unasked > 0:
		f.err = &UnavailableError{Reason: a.failure, RetryAfter: a.unasked}
		return e, t, false
	case a.failure != "":
		if provider {
			c.failures++
		}
		e.Change = c.takeFailure(f, a)
		return e, t, false
	}
	old := c.snapshot.Load()
	if !a.newerThan(old, f.generation) {
		// A newer answer is here already: this one may hold a key that has been
		// removed since.
		return e, t, false
	}
	e.Change = c.takeKeys(f, a, old)
	if old != nil {
		e.Replaced = old.Keys
	}
	return e, t, true
}

func (c *Cache) takeFailure(f *fetch, a answer) Change {
	now, s, failing := c.now(), c.snapshot.Load(), c.failing.Load()
	change := ChangeNone
	switch {
	case c.closed: // and so the fetch was cancelled, which says nothing about the provider
	case s != nil && s.generation >= f.generation, failing != nil && failing.generation > f.generation:
		// The provider has given a newer answer.
	default:
		if failing == nil {
			change = ChangeFailing
		}
		c.failing.Store(failureAfter(failing, now, f, a))
	}
	f.err = c.unavailable(now)
	if !c.closed {
		f.err.Reason = a.failure
	}
	return change
}

func (c *Cache) takeKeys(f *fetch, a answer, old *Snapshot) Change {
	generation, kids := f.generation, f.kids()
	if a.shared == SharedTaken {
		generation = c.generationAt(a.fetchedAt)
		if generation < f.generation {
			kids = nil // nobody has asked the provider about it since it came
		}
	}
	for older := range c.running {
		if older != f && older.cause != CauseLook && older.generation <= generation {
			// Nobody needs its answer any more, and requests may wait for it.
			older.cancel()
			kids = append(kids, older.kids()...)
		}
	}
	var replaced Keys
	if old != nil {
		replaced = old.Keys
	}
	c.absent.learn(replaced, a.keys, kids)
	s := &Snapshot{
		Keys: a.keys, generation: generation, fetchedAt: a.fetchedAt, lifetime: a.lifetime,
		refreshAfter: jitter(a.lifetime*8/10, a.lifetime*9/10),
		servesFor:    max(a.lifetime, c.maxStale),
	}
	if a.shared == SharedTaken {
		c.shared.setKnown(a.digest)
	}
	c.settleQuiet(s)
	c.snapshot.Store(s)
	failing := c.failing.Load()
	switch {
	case failing != nil && failing.generation > generation:
		return ChangeNone // the provider is down: this answer is older
	case failing != nil:
		c.failing.Store(nil)
		return ChangeRecovered
	case old == nil || old.restored:
		return ChangeHealthy
	}
	return ChangeNone
}

// kids is the kid that the fetch is for, if it is for one.
func (f *fetch) kids() []string {
	if f.kid == "" {
		return nil
	}
	return []string{f.kid}
}

// Refresh fetches whatever backoff says. A fetch that started before the call
// may not know what the caller knows, so its answer does not count.
func (c *Cache) Refresh(ctx context.Context) error {
	for since := c.Generation(); ; {
		f, err := c.asked(ctx, since)
		if err != nil {
			return err
		}
		if err := f.wait(ctx); err != nil {
			return err
		}
		if s := c.snapshot.Load(); s != nil && s.generation > since {
			return nil // by this fetch, or by one that has overtaken it
		}
		switch {
		case f.generation <= since:
		case f.err != nil:
			err := *f.err // each caller gets its own
			return &err
		case f.cause == CauseAsked:
			return nil // by keys that another process fetched just before the call
		}
	}
}

// asked returns the fetch that Refresh waits for. It starts one that overtakes
// the fetches of requests, which may hang; but fetches that were asked for do not
// overtake each other.
func (c *Cache) asked(ctx context.Context, since Generation) (*fetch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, c.unavailable(c.now())
	}
	if f := c.pending; f != nil && (f.cause == CauseAsked || f.generation > since) {
		return f, nil
	}
	return c.start(ctx, CauseAsked, ""), nil
}

// HealthCheck returns nil if a token can be decided. If not, it does what a
// request would do.
func (c *Cache) HealthCheck(ctx context.Context) error {
	if c.snapshot.Load().serves(c.now()) {
		return nil
	}
	_, err := c.Current(ctx)
	return err
}

// Close ends what runs: fetches at once, a save of keys after its grace.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	running := slices.Collect(maps.Keys(c.running))
	c.mu.Unlock()
	for _, f := range running {
		f.cancel()
	}
	if allEnded(running, saveGrace) {
		return
	}
	if c.records != nil {
		c.records.close()
	}
	allEnded(running, closeTimeout-saveGrace)
}

// allEnded waits until the goroutines of all fetches have ended, or for limit.
func allEnded(fetches []*fetch, limit time.Duration) bool {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for _, f := range fetches {
		select {
		case <-f.ended:
		case <-timeout.C:
			return false
		}
	}
	return true
}
