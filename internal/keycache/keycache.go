// Package keycache keeps the keys of one provider: it fetches them, refreshes
// them before they expire, and lets the last good ones serve while the provider
// is down. It knows nothing of tokens, of the format of keys, or of the errors
// of its user: Config has the functions that parse.
//
// Readers load an atomic snapshot. They take the lock only if the snapshot
// cannot serve, and wait only if the provider may have the answer. There is no
// timer, and no goroutine except for a fetch in flight: the next request starts
// whatever is due by the clock.
//
// With a SharedStore, a fetch first asks whether another process has made it
// already, or makes it now. The next request every few seconds looks in the store
// for newer keys.
package keycache

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a Cache is made of. Every field but Client, DiscoveryURL, Store
// and Shared is required.
type Config struct {
	// Issuer is whose keys these are: a stored record names it.
	Issuer string
	// JWKSURL is where the keys are; "" if DiscoveryURL tells it.
	JWKSURL string
	// DiscoveryURL is the document that says where the keys are, "" for none.
	DiscoveryURL string
	// Client makes the requests. It is copied, and follows no redirect; nil is a
	// client of the cache's own.
	Client *http.Client
	// Store keeps the last good document across restarts; nil for none.
	Store Store
	// Shared lets many processes share one fetch; nil for none.
	Shared SharedStore
	// MaxStale is how long the last good keys serve when fetches fail, counted
	// from the last good fetch.
	MaxStale time.Duration
	// Now is the clock for every comparison of times.
	Now func() time.Time
	// ParseKeys parses a document. The text of its error is the class of the
	// failure, and is shown to operators.
	ParseKeys func(document []byte) (Keys, error)
	// ParseDiscovery returns where the keys are. Its error is like ParseKeys'.
	ParseDiscovery func(document []byte) (jwksURL string, err error)
	// Report is called for each fetch that has ended, in their order, with the
	// values of the context of the request that started the fetch.
	Report func(ctx context.Context, e Event)
	// Warn is told about failures of Store and Shared, in words that are safe to
	// log.
	Warn func(text, reason string)
	// Note is told when Shared answers again.
	Note func(text string)
}

// Keys is a set of keys, which never changes.
type Keys interface {
	// KIDs returns the IDs of the keys that have one.
	KIDs() []string
}

// Generation numbers the fetches in the order in which they start.
type Generation uint64

// Snapshot is the answer of one good fetch. Its keys never change.
type Snapshot struct {
	Keys Keys

	generation   Generation    // of the fetch, or of the last one that began before another process's
	restored     bool          // the keys came from Store
	fetchedAt    time.Time     // when the fetch began
	refreshAfter time.Duration // the age from which the next request fetches ahead
	quietFor     atomic.Int64  // the age below which nothing is due: refreshAfter, or the next look at the shared store
	lifetime     time.Duration // the age at which requests wait for newer keys
	servesFor    time.Duration // the age from which it does not serve at all
}

// age is how old the snapshot is. The lifetime of a snapshot from the future is
// over: a clock without a monotonic reading was set back.
func (s *Snapshot) age(now time.Time) time.Duration {
	age := elapsed(s.fetchedAt, now)
	if age < 0 {
		return s.lifetime
	}
	return age
}

// serves reports whether tokens may be verified with s, which may be nil.
func (s *Snapshot) serves(now time.Time) bool { return s != nil && s.age(now) < s.servesFor }

// Cache is the key cache of one provider. It is safe for concurrent use.
type Cache struct {
	snapshot atomic.Pointer[Snapshot]
	failing  atomic.Pointer[failure] // nil while the last fetch was good
	started  atomic.Uint64           // the Generation of the last fetch started

	source   *endpoint
	records  *records // nil without a store
	shared   *shared  // nil without a shared store
	now      func() time.Time
	maxStale time.Duration
	report   func(ctx context.Context, e Event)

	// mu guards what follows, and every change of the fields above.
	mu       sync.Mutex
	closed   bool
	running  map[*fetch]struct{}
	pending  *fetch      // the one that requests wait for; nil when it has ended
	looking  *fetch      // the look at the shared store that runs, nil for none
	begun    []beginning // of the last fetches; empty without a shared store
	reports  queue
	fetches  uint64
	failures uint64
	url      string // where keys were last asked for
	budget   fetchBudget
	absent   absentKIDs
}

// New returns a Cache. It uses no network.
func New(c Config) *Cache {
	return &Cache{
		source:   newEndpoint(c),
		records:  newRecords(c),
		shared:   newShared(c),
		now:      c.Now,
		maxStale: c.MaxStale,
		report:   c.Report,
		running:  make(map[*fetch]struct{}),
		url:      c.JWKSURL,
		budget:   newFetchBudget(),
		absent:   newAbsentKIDs(),
	}
}

// Generation returns the number of the last fetch that was started. A fetch with
// a higher number began after this call; the answer of any other may be older
// than the call.
func (c *Cache) Generation() Generation { return Generation(c.started.Load()) }

// Current returns the snapshot to verify with. It waits only if there is none,
// or if the lifetime has ended and it is not known that the provider is down.
func (c *Cache) Current(ctx context.Context) (*Snapshot, error) {
	if s := c.serving(ctx); s != nil {
		return s, nil
	}
	s, f, err := c.serveOrFetch(ctx)
	if f == nil {
		return s, err
	}
	if err := f.waitServing(ctx, s); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if s := c.snapshot.Load(); s.serves(now) {
		return s, nil
	}
	return nil, c.unavailable(now)
}

// serving returns the snapshot if it serves without a wait, else nil. It never
// blocks: if another request holds the lock, that request starts what is due, or
// the next one does.
func (c *Cache) serving(ctx context.Context) *Snapshot {
	s := c.snapshot.Load()
	if s == nil {
		return nil
	}
	now := c.now()
	age := s.age(now)
	if age < time.Duration(s.quietFor.Load()) {
		return s
	}
	cause := CauseAhead
	if age >= s.lifetime {
		if age >= s.servesFor || !c.knownDown(now) {
			return nil
		}
		cause = CauseLifetime
	}
	if c.lookIsOverdue(now) {
		return nil
	}
	if c.mu.TryLock() {
		if c.snapshot.Load() == s {
			if age >= s.refreshAfter {
				c.startIfDue(ctx, now, cause)
			}
			if c.pending == nil {
				c.lookIfDue(ctx, now)
			}
		}
		c.mu.Unlock()
	}
	return s
}

// serveOrFetch returns a snapshot that may serve, or the fetch to wait for, or
// the error that there is neither. It starts the fetch that is due. With a fetch,
// the snapshot is the one that serves if that is late, nil for none.
func (c *Cache) serveOrFetch(ctx context.Context) (*Snapshot, *fetch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	s := c.snapshot.Load()
	if s != nil && s.age(now) < s.lifetime {
		if s.age(now) >= s.refreshAfter {
			c.startIfDue(ctx, now, CauseAhead)
		}
		return s, c.overdueLook(ctx, now, true), nil
	}
	serves := s.serves(now)
	cause := CauseFirst
	if serves {
		cause = CauseLifetime
	}
	c.startIfDue(ctx, now, cause)
	switch {
	case serves && c.knownDown(now):
		return s, c.overdueLook(ctx, now, true), nil
	case serves:
		return s, c.pending, nil
	case c.pending != nil:
		return nil, c.pending, nil
	}
	return nil, c.overdueLook(ctx, now, false), c.unavailable(now)
}

// knownDown reports whether the provider is known to be down: the pause after
// the last failed attempt lasts, or has ended a short while ago. An old failure
// does not count: a provider that was down yesterday is asked again before
// yesterday's keys serve.
func (c *Cache) knownDown(now time.Time) bool {
	f := c.failing.Load()
	return f != nil && elapsed(f.nextAttempt(c.snapshot.Load().serves(now)), now) < knownDownFor
}

// Newer returns a snapshot that is newer than s, for a token of this kid, "" for
// none, that s has no key for. The token was received when the last fetch was
// since. Newer returns nil if s is the answer: the provider was asked since, or
// was asked about this very kid before.
func (c *Cache) Newer(ctx context.Context, s *Snapshot, kid string, since Generation) (*Snapshot, error) {
	for {
		newer, f, err := c.newerOrFetch(ctx, s, kid, since)
		if f == nil {
			return newer, err
		}
		if err := f.wait(ctx); err != nil {
			return nil, err
		}
	}
}

func (c *Cache) newerOrFetch(ctx context.Context, s *Snapshot, kid string, since Generation) (*Snapshot, *fetch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	latest, failing := c.snapshot.Load(), c.failing.Load()
	switch {
	case latest != s:
		return latest, nil, nil
	case s.generation > since:
		return nil, nil, nil
	case c.pending != nil:
		return nil, c.pending, nil
	case failing != nil && failing.generation > since, !c.due(now):
		return nil, nil, c.unavailableUntil(now, c.budget.refillIn(now))
	case c.budget.take(now):
		return nil, c.start(ctx, CauseUnknownKID, kid), nil
	case failing == nil && (kid == "" || c.absent.has(kid)):
		return nil, nil, nil
	case failing == nil:
		// The kid may be that of a key which was published a moment ago: nobody
		// has asked the provider about it, so it cannot be refused.
		return nil, nil, &UnavailableError{Reason: "too many tokens of unknown kids", RetryAfter: c.budget.refillIn(now)}
	}
	return nil, nil, c.unavailableUntil(now, c.budget.refillIn(now))
}

// due reports whether a fetch may start.
func (c *Cache) due(now time.Time) bool {
	if c.closed {
		return false
	}
	f := c.failing.Load()
	return f == nil || f.remaining(now, c.snapshot.Load().serves(now)) == 0
}

// startIfDue starts a fetch unless one runs or none may start yet.
func (c *Cache) startIfDue(ctx context.Context, now time.Time, cause Cause) {
	if c.pending == nil && c.due(now) {
		c.start(ctx, cause, "")
	}
}
