package reachfive

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	closeTimeout = time.Second
	// saveGrace is what Close leaves a key store to finish what it writes, so
	// that a short-lived process leaves its keys to the next one.
	saveGrace = closeTimeout / 2
	// reportPatience is how long an outcome waits for the one before to be told.
	reportPatience = time.Second
)

// fetch is one fetch in flight.
type fetch struct {
	seq        uint64
	cause      FetchCause
	cancel     context.CancelFunc
	cancelSave context.CancelFunc
	done       chan struct{} // closed when the outcome is in the cache
	err        error         // the outcome, to be read after done
	ended      chan struct{} // closed when its goroutine and all that it called have ended

	reportsAfter <-chan struct{} // closed when the outcome before this one has been told
	reported     chan struct{}   // closed when this one has
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

// awaitTurn waits until the outcome before has been told to the log and the
// observer, so that what they heard last is how things are. A hook that hangs
// delays those after it, and does not silence them.
func (f *fetch) awaitTurn() {
	if f.reportsAfter == nil {
		return
	}
	patience := time.NewTimer(reportPatience)
	defer patience.Stop()
	select {
	case <-f.reportsAfter:
	case <-patience.C:
	}
}

// outcome is what a fetch changed.
type outcome struct {
	taken  bool // its keys are the ones that serve now
	states []State
	keyChanges
}

// start starts a fetch on the cache's own time: it has the values of the
// caller's context for the observer alone, and neither its end nor its deadline.
func (c *keyCache) start(caller context.Context, cause FetchCause) *fetch {
	ctx, cancel := context.WithCancel(context.Background())
	saving, cancelSave := context.WithCancel(context.Background())
	f := &fetch{
		seq: c.started.Add(1), cause: cause, cancel: cancel, cancelSave: cancelSave,
		done: make(chan struct{}), ended: make(chan struct{}), reported: make(chan struct{}),
	}
	c.running[f] = struct{}{}
	c.latest = f
	go c.run(ctx, saving, context.WithoutCancel(caller), f)
	return f
}

// run is the goroutine of a fetch.
func (c *keyCache) run(ctx, saving, caller context.Context, f *fetch) {
	var calls calls
	defer close(f.ended)
	defer calls.Wait()
	defer f.cancelSave()
	defer f.cancel()
	began := time.Now()
	c.loadStored(ctx, &calls)
	startedAt := c.now()
	result := c.source.fetch(ctx, &calls)
	outcome := c.take(f, startedAt, result)
	took := time.Since(began)
	close(f.done)
	f.awaitTurn()
	c.report(caller, f.cause, took, result, outcome)
	close(f.reported)
	if outcome.taken && c.records != nil {
		c.records.save(saving, &calls, record{JWKSURL: result.url, FetchedAt: startedAt, JWKS: result.document})
	}
	c.mu.Lock()
	delete(c.running, f)
	c.mu.Unlock()
}

// loadStored brings back what an earlier process kept, before the first fetch:
// it serves if that fails.
func (c *keyCache) loadStored(ctx context.Context, calls *calls) {
	if c.records == nil {
		return
	}
	set := c.records.loadOnce(ctx, calls, c.now())
	if set == nil {
		return
	}
	set.servesFor = c.maxStale
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set.Load() == nil {
		c.set.Store(set)
	}
}

// take puts the outcome of a fetch into the cache.
func (c *keyCache) take(f *fetch, startedAt time.Time, result fetchResult) outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fetches++
	f.reportsAfter, c.reported = c.reported, f.reported
	if c.latest == f {
		c.latest = nil
	}
	if result.url != "" {
		c.jwksURL = result.url
	}
	if result.failure != "" {
		c.failures++
		return c.takeFailure(f, result)
	}
	if old := c.set.Load(); old != nil && old.seq > f.seq {
		// A newer answer is here already: this one may hold a key that has
		// been removed since.
		return outcome{}
	}
	for older := range c.running {
		if older.seq < f.seq {
			// Nobody needs its answer any more, and some may wait for it.
			older.cancel()
			older.cancelSave()
		}
	}
	return c.takeKeys(f, startedAt, result)
}

func (c *keyCache) takeFailure(f *fetch, result fetchResult) (o outcome) {
	now, set, failing := c.now(), c.set.Load(), c.failing.Load()
	switch {
	case c.closed: // and so it was cancelled, which says nothing of the provider
	case set != nil && set.seq > f.seq, failing != nil && failing.seq > f.seq:
		// The provider has given a newer answer.
	default:
		if failing == nil {
			o.states = []State{StateFailing}
		}
		c.failing.Store(failing.next(now, f, result))
	}
	err := c.unavailable(now)
	if !c.closed {
		err.detail = result.failure
	}
	f.err = err
	return o
}

func (c *keyCache) takeKeys(f *fetch, startedAt time.Time, result fetchResult) outcome {
	o := outcome{taken: true}
	old, set := c.set.Load(), result.set
	set.seq, set.fetchedAt, set.lifetime = f.seq, startedAt, result.lifetime
	set.refreshAfter = jitter(set.lifetime*8/10, set.lifetime*9/10)
	set.servesFor = max(set.lifetime, c.maxStale)
	failing := c.failing.Load()
	failedSince := failing != nil && failing.seq > f.seq // and is down: this answer is older
	switch {
	case failedSince:
	case failing != nil:
		o.states = append(o.states, StateRecovered)
	case old == nil || old.seq == 0:
		o.states = append(o.states, StateHealthy)
	}
	if old != nil {
		o.keyChanges = compareKeys(old, set)
		if len(o.added)+len(o.removed) > 0 {
			o.states = append(o.states, StateKeysChanged)
		}
	}
	c.set.Store(set)
	if !failedSince {
		c.failing.Store(nil)
	}
	return o
}

// close ends what runs: fetches at once, a save of keys after its grace.
func (c *keyCache) close() {
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
	for _, f := range running {
		f.cancelSave()
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

var errPanic = errors.New("a panic")

// calls are calls that may have been left to themselves.
type calls = sync.WaitGroup

// within calls what a caller of this package has written, which may hang
// whatever its context says, panic, or end its goroutine. It returns when ctx
// ends, and then leaves the call to itself, one of calls.
func within[T any](ctx context.Context, calls *calls, call func(context.Context) (T, error)) (T, error) {
	type returned struct {
		value T
		err   error
	}
	done := make(chan returned, 1)
	calls.Go(func() {
		var r returned
		defer func() {
			if recover() != nil {
				r = returned{err: errPanic}
			}
			done <- r
		}()
		r.err = errPanic // which runtime.Goexit leaves
		r.value, r.err = call(ctx)
	})
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-done: // both at once: what was done counts
		return r.value, r.err
	default:
		var none T
		return none, ctx.Err()
	}
}
