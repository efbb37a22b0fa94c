package reachfive

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// keyCache keeps the tenant's keys. Readers load an atomic snapshot; only when
// nothing else will do do they take the lock, and only when the provider may
// have the answer do they wait. There is no timer and no goroutine but for a
// fetch in flight: what is due is a matter of the clock, and the next request
// does it.
type keyCache struct {
	set     atomic.Pointer[keySet]
	failing atomic.Pointer[failure] // nil while the last fetch was good
	started atomic.Uint64           // how many fetches have been started

	source   *keySource
	now      func() time.Time
	maxStale time.Duration
	records  *keyRecords // nil without a key store
	log      func() *slog.Logger
	observer Observer

	// mu guards what follows, and every change of set, failing and started.
	mu       sync.Mutex
	closed   bool
	running  map[*fetch]struct{}
	latest   *fetch          // the one that requests wait for; nil when it has ended
	reported <-chan struct{} // closed when the outcome before the next has been told
	fetches  uint64
	failures uint64
	jwksURL  string // last used, for Status
	budget   budget
}

func newKeyCache(c *config) *keyCache {
	logger := func() *slog.Logger {
		l := c.logger
		if l == nil {
			l = slog.Default() // of now, whatever it was in New
		}
		return l.With(slog.String("issuer", c.issuer))
	}
	return &keyCache{
		source:   newKeySource(c),
		now:      c.now,
		maxStale: c.maxStale,
		records:  newKeyRecords(c, logger),
		log:      logger,
		observer: c.observer,
		running:  make(map[*fetch]struct{}),
		jwksURL:  c.jwksURL,
		budget:   budget{left: unknownKIDBudget},
	}
}

// arrival is the moment from which on a fetch counts as an answer to a request:
// one that started earlier may have been answered before the request was made.
func (c *keyCache) arrival() uint64 { return c.started.Load() }

// current returns the set to verify with. It waits only when there is none, or
// when the lifetime has just ended and it is not yet known that the provider
// is down.
func (c *keyCache) current(ctx context.Context) (*keySet, error) {
	if set := c.snapshot(ctx); set != nil {
		return set, nil
	}
	for waited := false; ; waited = true {
		set, pending, err := c.usable(ctx, waited)
		if pending == nil {
			return set, err
		}
		if err := pending.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// snapshot returns the set if it serves without waiting, else nil. It never
// blocks: if another request has the lock, that one starts what is due, or the
// next one does.
func (c *keyCache) snapshot(ctx context.Context) *keySet {
	set := c.set.Load()
	if set == nil {
		return nil
	}
	now := c.now()
	age := set.age(now)
	if age < set.refreshAfter {
		return set
	}
	cause := CauseAhead
	if age >= set.lifetime {
		if age >= set.servesFor || !c.isDown(set, now) {
			return nil
		}
		cause = CauseLifetime
	}
	if c.mu.TryLock() {
		if c.set.Load() == set {
			c.startIfDue(ctx, now, cause)
		}
		c.mu.Unlock()
	}
	return set
}

// isDown reports whether it is known that the provider is down, for a set whose
// lifetime has ended: a fetch has failed since, or shortly before. An old
// failure does not count: a provider that was down yesterday is asked again
// before yesterday's keys serve.
func (c *keyCache) isDown(set *keySet, now time.Time) bool {
	failing := c.failing.Load()
	return failing != nil &&
		(elapsed(set.fetchedAt, failing.at) >= set.lifetime || elapsed(failing.at, now) < knownDown)
}

// usable returns a set that may serve, or the fetch to wait for, or the error
// that there is neither. It starts the fetch that is due.
func (c *keyCache) usable(ctx context.Context, waited bool) (*keySet, *fetch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	set := c.set.Load()
	if set.isFresh(now) {
		return set, nil, nil
	}
	cause, serves := CauseFirst, set.serves(now)
	if serves {
		cause = CauseLifetime
	}
	if !waited {
		c.startIfDue(ctx, now, cause)
	}
	switch {
	case serves && (waited || c.latest == nil || c.isDown(set, now)):
		return set, nil, nil
	case waited || c.latest == nil:
		return nil, nil, c.unavailable(now)
	}
	return nil, c.latest, nil
}

// newer returns a set that is newer than set, waiting for one if it must, for a
// token that set has no key for. It returns nil when set is the answer: the
// provider was asked since arrival, or was asked so often lately that it will
// not be asked again for this token.
func (c *keyCache) newer(ctx context.Context, set *keySet, arrival uint64) (*keySet, error) {
	for {
		pending, newer, err := c.askNewer(ctx, set, arrival)
		if pending == nil {
			return newer, err
		}
		if err := pending.wait(ctx); err != nil {
			return nil, err
		}
	}
}

func (c *keyCache) askNewer(ctx context.Context, set *keySet, arrival uint64) (*fetch, *keySet, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	latest, failing := c.set.Load(), c.failing.Load()
	switch {
	case latest != set:
		return nil, latest, nil
	case set.seq > arrival:
		return nil, nil, nil
	case c.latest != nil:
		return c.latest, nil, nil
	case (failing == nil || failing.seq <= arrival) && c.due(now):
		if c.budget.take(now) {
			return c.start(ctx, CauseUnknownKID), nil, nil
		}
		if failing == nil {
			return nil, nil, nil
		}
	}
	err := c.unavailable(now)
	err.RetryAfter = max(err.RetryAfter, c.budget.regains(now))
	return nil, nil, err
}

// due reports whether a fetch may start.
func (c *keyCache) due(now time.Time) bool {
	if c.closed {
		return false
	}
	failing := c.failing.Load()
	return failing == nil || failing.left(now, c.set.Load().serves(now)) == 0
}

// startIfDue starts a fetch unless one runs or none may start yet.
func (c *keyCache) startIfDue(ctx context.Context, now time.Time, cause FetchCause) {
	if c.latest == nil && c.due(now) {
		c.start(ctx, cause)
	}
}

// unavailable is the error that nothing can be decided for lack of keys.
func (c *keyCache) unavailable(now time.Time) *Error {
	err := &Error{Code: CodeKeysUnavailable, RetryAfter: minBackoff}
	failing := c.failing.Load()
	switch {
	case c.closed:
		err.detail = "the verifier is closed"
	case failing != nil:
		err.detail = failing.class
		err.RetryAfter = max(failing.left(now, c.set.Load().serves(now)), minBackoff)
	}
	return err
}

// refresh fetches whatever backoff says. A fetch that started before the call
// may not know what the caller knows, so that it never serves as the answer.
func (c *keyCache) refresh(ctx context.Context) error {
	for arrival := c.arrival(); ; {
		f, err := c.ask(ctx, arrival)
		if err != nil {
			return err
		}
		if err := f.wait(ctx); err != nil {
			return err
		}
		if set := c.set.Load(); set != nil && set.seq > arrival {
			return nil // by this fetch, or by one that has overtaken it
		}
		if f.seq > arrival {
			return f.err
		}
	}
}

// ask returns the fetch that refresh waits for. It starts one that overtakes
// whatever requests have started, which may hang; but those that were asked for
// take turns.
func (c *keyCache) ask(ctx context.Context, arrival uint64) (*fetch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, c.unavailable(c.now())
	}
	if f := c.latest; f != nil && (f.cause == CauseAsked || f.seq > arrival) {
		return f, nil
	}
	return c.start(ctx, CauseAsked), nil
}

// healthCheck reports whether a token can be decided. If not, it does what a
// request would do.
func (c *keyCache) healthCheck(ctx context.Context) error {
	if c.set.Load().serves(c.now()) {
		return nil
	}
	_, err := c.current(ctx)
	return err
}
