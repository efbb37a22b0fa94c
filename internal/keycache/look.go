package keycache

import (
	"context"
	"time"
)

const (
	// lookInterval is how often a request looks whether another process has newer
	// keys. A request waits for the look if the last one was lookOverdue ago.
	lookInterval = 5 * time.Second
	lookOverdue  = 10 * time.Second
	// probeInterval is lookInterval while the store is down. Nobody waits then.
	probeInterval = time.Second
)

// look asks the store for newer keys than those at hand. Without any, the answer
// has no keys.
func (c *Cache) look(ctx context.Context, calls *foreignCalls) answer {
	askedAt := c.now()
	youngerThan := maxLifetime
	if s := c.snapshot.Load(); s != nil {
		youngerThan = min(s.age(askedAt), maxLifetime)
	}
	r, err := c.shared.ask(ctx, calls, CauseLook, youngerThan)
	if err == nil && r.record != nil {
		if a, ok := c.shared.read(r, youngerThan); ok && a.newerThan(c.snapshot.Load(), 0) {
			return a
		}
	}
	return answer{lookedAt: askedAt}
}

// lookIfDue starts a look unless one runs or the last one was a short while ago.
func (c *Cache) lookIfDue(caller context.Context, now time.Time) {
	if c.shared == nil || c.closed || c.looking != nil {
		return
	}
	if passed := elapsed(c.shared.looked(), now); passed >= 0 && passed < c.shared.interval() {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &fetch{
		generation: c.Generation(), cause: CauseLook, cancel: cancel,
		done: make(chan struct{}), ended: make(chan struct{}),
	}
	c.running[f] = struct{}{}
	c.looking = f
	go c.run(ctx, context.WithoutCancel(caller), f)
}

// overdueLook starts the look that is due. It returns the one that runs if the
// request must wait for it: known keys must not serve for long after another
// process has newer ones.
func (c *Cache) overdueLook(caller context.Context, now time.Time, serves bool) *fetch {
	if c.shared == nil {
		return nil
	}
	waits := !serves || c.lookIsOverdue(now)
	c.lookIfDue(caller, now)
	if !waits || c.shared.down() {
		return nil
	}
	return c.looking
}

// lookIsOverdue reports whether the next request must wait for a look.
func (c *Cache) lookIsOverdue(now time.Time) bool {
	if c.shared == nil {
		return false
	}
	passed := elapsed(c.shared.looked(), now)
	return (passed < 0 || passed >= lookOverdue) && !c.shared.down()
}

// takeLook notes that a look has ended.
func (c *Cache) takeLook(f *fetch, lookedAt time.Time) {
	if c.looking == f {
		c.looking = nil
	}
	if lookedAt.IsZero() {
		return
	}
	c.shared.lookedAt.Store(&lookedAt)
	if s := c.snapshot.Load(); s != nil {
		c.settleQuiet(s)
	}
}

// settleQuiet sets the age until which requests have nothing to do but to read s.
func (c *Cache) settleQuiet(s *Snapshot) {
	quiet := s.refreshAfter
	if c.shared != nil {
		quiet = min(quiet, c.shared.looked().Sub(s.fetchedAt)+c.shared.interval())
	}
	s.quietFor.Store(int64(quiet))
}

// interval is how long after a look the next one is due.
func (s *shared) interval() time.Duration {
	if s.down() {
		return probeInterval
	}
	return lookInterval
}

// looked is when the store last said what is newest, or was last asked in vain;
// zero before.
func (s *shared) looked() time.Time {
	if at := s.lookedAt.Load(); at != nil {
		return *at
	}
	return time.Time{}
}
