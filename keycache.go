package reachfive

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	fetchTimeout = 5 * time.Second // for all that one fetch does
	storeTimeout = time.Second     // for a call of the key store
	closeTimeout = time.Second

	minBackoff = time.Second
	maxBackoff = time.Minute

	maxRetryAfter      = 5 * time.Minute  // with a set at hand
	maxRetryAfterEmpty = 30 * time.Second // without one

	unknownKIDBudget = 2
	unknownKIDRegain = 10 * time.Second
)

// keyCache keeps the tenant's keys. Readers load an atomic snapshot; only when
// something is due do they take the lock, and only when nothing else will do
// do they wait. There is no timer and no goroutine but for a fetch in flight:
// what is due is a matter of the clock, and the next request does it.
type keyCache struct {
	set     atomic.Pointer[keySet]
	started atomic.Uint64 // how many fetches have been started

	source   *keySource
	now      func() time.Time
	maxStale time.Duration
	records  *keyRecords // nil without a key store
	logger   *slog.Logger
	observer Observer

	mu       sync.Mutex
	closed   bool
	running  map[*fetch]struct{}
	latest   *fetch // the one that requests wait for; nil when it has ended
	failing  *failure
	fetches  uint64
	failures uint64
	jwksURL  string // last used, for Status
	budget   budget
}

// fetch is one fetch in flight.
type fetch struct {
	seq    uint64
	cause  FetchCause
	cancel context.CancelFunc
	done   chan struct{} // closed when the outcome is in the cache
	err    error         // the outcome, to be read after done
	ended  chan struct{} // closed when its goroutine ends
}

// failure is the outcome of the last fetch, when it failed.
type failure struct {
	at         time.Time
	seq        uint64 // of the fetch
	class      string
	backoff    time.Duration
	doubled    time.Duration // the backoff before jitter
	retryAfter time.Duration // what the provider asked for
}

// wait is how long after the failure no fetch may start. A provider that asks
// for more time than we can be without keys gets less.
func (f *failure) wait(haveSet bool) time.Duration {
	limit := maxRetryAfterEmpty
	if haveSet {
		limit = maxRetryAfter
	}
	return max(f.backoff, min(f.retryAfter, limit))
}

func newKeyCache(c *config) *keyCache {
	return &keyCache{
		source:   newKeySource(c),
		now:      c.now,
		maxStale: c.maxStale,
		records:  newKeyRecords(c),
		logger:   c.logger.With(slog.String("issuer", c.issuer)),
		observer: c.observer,
		running:  make(map[*fetch]struct{}),
		jwksURL:  c.jwksURL,
		budget:   budget{left: unknownKIDBudget},
	}
}

// elapsed is the time from since to now, by the monotonic or the wall clock,
// whichever saw more pass: one stands still while the machine is suspended, the
// other can be set back.
func elapsed(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// age is how old the set is. A set from the future, after a clock without
// monotonic reading was set back, is one whose lifetime is over.
func (s *keySet) age(now time.Time) time.Duration {
	age := elapsed(s.fetchedAt, now)
	if age < 0 {
		return s.lifetime
	}
	return age
}

// arrival is the moment from which on a fetch counts as an answer to a request:
// one that started earlier may have been answered before the request was made.
func (c *keyCache) arrival() uint64 { return c.started.Load() }

// current returns the set to verify with. It waits only when there is none, or
// when the lifetime has just ended and it is not yet known that the provider
// is down.
func (c *keyCache) current(ctx context.Context) (*keySet, error) {
	now := c.now()
	if set := c.set.Load(); set != nil && set.age(now) < set.refreshAfter {
		return set, nil
	}
	for waited := false; ; waited = true {
		set, pending, err := c.usable(ctx, now, waited)
		if pending == nil {
			return set, err
		}
		select {
		case <-pending.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		now = c.now()
	}
}

// usable returns a set that may serve, or the fetch to wait for, or the error
// that there is neither. It starts the fetch that is due.
func (c *keyCache) usable(ctx context.Context, now time.Time, waited bool) (*keySet, *fetch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	set := c.set.Load()
	serves, age := false, time.Duration(0)
	if set != nil {
		age = set.age(now)
		serves = age < set.servesFor
	}
	switch {
	case set != nil && age < set.refreshAfter:
		return set, nil, nil
	case set != nil && age < set.lifetime:
		c.startIfDue(ctx, now, CauseAhead)
		return set, nil, nil
	case serves:
		c.startIfDue(ctx, now, CauseLifetime)
		if c.failing != nil || c.latest == nil || waited {
			return set, nil, nil
		}
	default:
		if !waited {
			c.startIfDue(ctx, now, CauseFirst)
		}
		if c.latest == nil || waited {
			return nil, nil, c.unavailable(now)
		}
	}
	return nil, c.latest, nil
}

// newer returns a set that is newer than set, waiting for one if it must, for a
// token that set has no key for. It returns nil when set is the answer: the
// provider was asked since arrival, or was asked so often lately that it will
// not be asked again for this token.
func (c *keyCache) newer(ctx context.Context, set *keySet, arrival uint64) (*keySet, error) {
	for {
		pending, verdict, err := c.askNewer(ctx, set, arrival)
		if pending == nil {
			return verdict, err
		}
		select {
		case <-pending.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *keyCache) askNewer(ctx context.Context, set *keySet, arrival uint64) (*fetch, *keySet, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	latest := c.set.Load()
	switch {
	case latest != set:
		return nil, latest, nil
	case set.seq > arrival:
		return nil, nil, nil
	case c.latest != nil:
		return c.latest, nil, nil
	case c.failing != nil && c.failing.seq > arrival, !c.due(now):
		return nil, nil, c.unavailable(now)
	case c.budget.take(now):
		return c.start(ctx, CauseUnknownKID), nil, nil
	case c.failing != nil:
		return nil, nil, c.unavailable(now)
	}
	return nil, nil, nil
}

// due reports whether a fetch may start.
func (c *keyCache) due(now time.Time) bool {
	if c.closed {
		return false
	}
	if c.failing == nil {
		return true
	}
	passed := elapsed(c.failing.at, now)
	return passed < 0 || passed >= c.failing.wait(c.serving(now))
}

func (c *keyCache) serving(now time.Time) bool {
	set := c.set.Load()
	return set != nil && set.age(now) < set.servesFor
}

// unavailable is the error that nothing can be decided for lack of keys.
func (c *keyCache) unavailable(now time.Time) error {
	err := &Error{Code: CodeKeysUnavailable, RetryAfter: minBackoff}
	switch {
	case c.closed:
		err.detail = "the verifier is closed"
	case c.failing != nil:
		err.detail = c.failing.class
		left := c.failing.wait(c.serving(now)) - max(0, elapsed(c.failing.at, now))
		err.RetryAfter = max(left, minBackoff)
	}
	return err
}

// startIfDue starts a fetch unless one runs or none may start yet.
func (c *keyCache) startIfDue(ctx context.Context, now time.Time, cause FetchCause) {
	if c.latest == nil && c.due(now) {
		c.start(ctx, cause)
	}
}

// start starts a fetch on the cache's own time: it has the values of the
// caller's context for the observer alone, and neither its end nor its deadline.
func (c *keyCache) start(caller context.Context, cause FetchCause) *fetch {
	ctx, cancel := context.WithCancel(context.Background())
	f := &fetch{
		seq: c.started.Add(1), cause: cause, cancel: cancel,
		done: make(chan struct{}), ended: make(chan struct{}),
	}
	c.running[f] = struct{}{}
	c.latest = f
	go c.run(ctx, context.WithoutCancel(caller), f)
	return f
}

// run is the goroutine of a fetch.
func (c *keyCache) run(ctx, caller context.Context, f *fetch) {
	defer close(f.ended)
	defer f.cancel()
	began := time.Now()
	c.loadStored(ctx)
	startedAt := c.now()
	result := c.source.fetch(ctx)
	states, changes := c.take(f, startedAt, result)
	close(f.done)
	c.report(caller, f, time.Since(began), result, states, changes)
	if result.failure == "" && c.records != nil {
		c.records.save(ctx, record{JWKSURL: result.url, FetchedAt: startedAt, JWKS: string(result.document)})
	}
	c.mu.Lock()
	delete(c.running, f)
	c.mu.Unlock()
}

// loadStored brings back what an earlier process kept, before the first fetch:
// it serves if that fails.
func (c *keyCache) loadStored(ctx context.Context) {
	if c.records == nil {
		return
	}
	set := c.records.loadOnce(ctx, c.now())
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

// keyChanges are the kids, or for want of one the thumbprints, that a good
// fetch added and removed.
type keyChanges struct{ added, removed []string }

// take puts the outcome of a fetch into the cache.
func (c *keyCache) take(f *fetch, startedAt time.Time, result fetchResult) (states []State, changes keyChanges) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fetches++
	if c.latest == f {
		c.latest = nil
	}
	if result.url != "" {
		c.jwksURL = result.url
	}
	old := c.set.Load()
	overtaken := old != nil && old.seq > f.seq
	if result.failure != "" {
		c.failures++
		f.err = &Error{Code: CodeKeysUnavailable, RetryAfter: minBackoff, detail: result.failure}
		if overtaken || c.failing != nil && c.failing.seq > f.seq {
			return nil, changes
		}
		if c.failing == nil {
			states = append(states, StateFailing)
		}
		c.failing = c.failing.next(c.now(), f, result)
		return states, changes
	}
	if overtaken {
		// A newer answer is here already: this one may hold a key that has
		// been removed since.
		return nil, changes
	}
	set := result.set
	set.seq, set.fetchedAt, set.lifetime = f.seq, startedAt, result.lifetime
	set.refreshAfter = jitter(set.lifetime*8/10, set.lifetime*9/10)
	set.servesFor = max(set.lifetime, c.maxStale)
	c.set.Store(set)
	switch {
	case c.failing != nil:
		states = append(states, StateRecovered)
	case old == nil || old.seq == 0:
		states = append(states, StateHealthy)
	}
	c.failing = nil
	if old != nil {
		changes = compareKeys(old, set)
		if len(changes.added)+len(changes.removed) > 0 {
			states = append(states, StateKeysChanged)
		}
	}
	return states, changes
}

// next is the failure after f, which is nil if the fetch before was good. What
// was asked for does not postpone what is due.
func (f *failure) next(now time.Time, of *fetch, result fetchResult) *failure {
	after := failure{at: now, seq: of.seq, class: result.failure, retryAfter: result.retryAfter, doubled: minBackoff}
	switch {
	case f != nil && of.cause == CauseAsked:
		after.at, after.doubled, after.backoff = f.at, f.doubled, f.backoff
		return &after
	case f != nil:
		after.doubled = min(2*f.doubled, maxBackoff)
	}
	after.backoff = jitter(after.doubled*3/4, after.doubled)
	return &after
}

// jitter returns a duration from least up to most, so that a fleet of
// processes does not ask in step.
func jitter(least, most time.Duration) time.Duration {
	return least + rand.N(most-least+1) //nolint:gosec // spreads load, guards nothing
}

func compareKeys(old, set *keySet) keyChanges {
	return keyChanges{added: missing(old, set), removed: missing(set, old)}
}

// missing names the keys of other that set lacks.
func missing(set, other *keySet) []string {
	var names []string
	for _, key := range other.keys {
		if !set.has(key) {
			name := key.kid
			if name == "" {
				name = key.thumbprint
			}
			names = append(names, name)
		}
	}
	return names
}

// report tells the log and the observer: one line for a change of state, an
// event for each fetch.
func (c *keyCache) report(caller context.Context, f *fetch, took time.Duration, result fetchResult, states []State, changes keyChanges) {
	for _, state := range states {
		switch state {
		case StateFailing:
			c.logger.Warn("reachfive: the keys cannot be fetched", slog.String("reason", result.failure))
		case StateHealthy:
			c.logger.Info("reachfive: the keys are here", slog.Int("keys", len(result.set.keys)), slog.Int("skipped", result.set.skipped))
		case StateRecovered:
			c.logger.Info("reachfive: the keys can be fetched again", slog.Int("keys", len(result.set.keys)))
		case StateKeysChanged:
			c.logger.Info("reachfive: the keys have changed", slog.Any("added", changes.added), slog.Any("removed", changes.removed))
		}
		if c.observer.StateChanged != nil {
			c.observer.StateChanged(state)
		}
	}
	if c.observer.FetchDone != nil {
		event := FetchEvent{Cause: f.cause, Result: cmp.Or(result.failure, "ok"), Duration: took}
		if result.set != nil {
			event.Keys, event.Skipped = len(result.set.keys), result.set.skipped
		}
		c.observer.FetchDone(caller, event)
	}
}

// refresh fetches whatever backoff says. A fetch that started before the call
// may not know what the caller knows, so that it never serves as the answer.
func (c *keyCache) refresh(ctx context.Context) error {
	for arrival := c.arrival(); ; {
		c.mu.Lock()
		f := c.latest
		switch {
		case c.closed:
			err := c.unavailable(c.now())
			c.mu.Unlock()
			return err
		case f == nil, f.cause != CauseAsked && f.seq <= arrival:
			f = c.start(ctx, CauseAsked)
		}
		c.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if f.seq > arrival {
			return f.err
		}
	}
}

func (c *keyCache) healthCheck(ctx context.Context) error {
	if c.serving(c.now()) {
		return nil
	}
	_, err := c.current(ctx)
	return err
}

func (c *keyCache) status(s *Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Fetches, s.Failures = c.fetches, c.failures
	if u, err := url.Parse(c.jwksURL); err == nil {
		u.User = nil
		s.JWKSURL = u.String()
	}
	set := c.set.Load()
	if set != nil {
		s.SkippedKeys = uint64(set.skipped) //nolint:gosec // a count
		s.FetchedAt = set.fetchedAt
		s.FreshUntil = set.fetchedAt.Add(set.lifetime)
		s.ServesUntil = set.fetchedAt.Add(set.servesFor)
		s.NextAttempt = set.fetchedAt.Add(set.refreshAfter)
		for _, key := range set.keys {
			s.Keys = append(s.Keys, KeyStatus{ID: key.kid, Bits: key.rsa.N.BitLen(), Thumbprint: key.thumbprint})
		}
	}
	if c.failing != nil {
		s.Failing, s.LastError = true, c.failing.class
		s.NextAttempt = c.failing.at.Add(c.failing.wait(c.serving(c.now())))
	}
}

// close cancels what runs and gives it a second to end.
func (c *keyCache) close() {
	c.mu.Lock()
	c.closed = true
	running := slices.Collect(maps.Keys(c.running))
	c.mu.Unlock()
	timeout := time.NewTimer(closeTimeout)
	defer timeout.Stop()
	for _, f := range running {
		f.cancel()
	}
	for _, f := range running {
		select {
		case <-f.ended:
		case <-timeout.C:
			return
		}
	}
}

// budget is what unknown kids may cost: fetches that regain over time, so that
// a flood of junk cannot turn us against the provider.
type budget struct {
	left  int
	since time.Time // when the regaining of the next one began
}

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
