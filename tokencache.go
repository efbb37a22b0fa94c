package reachfive

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxTokenShards and minShardSize keep a busy cache free of one hot lock,
	// and a small one whole.
	maxTokenShards = 16
	minShardSize   = 64
	// tokenSweep is how long after its expiry an entry stays at most, if the
	// cache is in use.
	tokenSweep = time.Minute
)

// tokenCache remembers tokens that were verified, so that their signature need
// not be verified again. It is keyed by a digest and keeps no token; only
// successes get in, so that nobody without a good token can fill it.
//
// Each shard is a segmented LRU: an entry is on probation until it is used
// again, and of those on probation the one unused for longest goes first. A
// flood of tokens that come once pushes out others that came once. One that
// was used again goes only when all others in its shard have been used since,
// which is when an LRU would drop it at the latest.
type tokenCache struct {
	shards []tokenShard // their number is a power of two

	sweepAt atomic.Int64 // when the next shard is due, in Unix nanoseconds
	sweepOf atomic.Uint64
}

type tokenDigest [sha256.Size]byte

// tokenEntry is one verified token. User and key are shared by all hits and
// never changed.
type tokenEntry struct {
	digest     tokenDigest
	user       *User
	by         verifiedBy
	prev, next *tokenEntry
	protected  bool
}

// newTokenCache returns a cache of at most size entries, nil for 0.
func newTokenCache(size int) *tokenCache {
	if size == 0 {
		return nil
	}
	shards := 1
	for shards < maxTokenShards && size/(2*shards) >= minShardSize {
		shards *= 2
	}
	c := &tokenCache{shards: make([]tokenShard, shards)}
	for i := range c.shards {
		s := &c.shards[i]
		s.capacity = size / shards
		if i < size%shards {
			s.capacity++
		}
		s.entries = make(map[tokenDigest]*tokenEntry)
		s.probation.init()
		s.protected.init()
	}
	return c
}

func (c *tokenCache) shard(digest *tokenDigest) *tokenShard {
	return &c.shards[int(digest[0])&(len(c.shards)-1)]
}

// get returns what is known of a token, for reading only.
func (c *tokenCache) get(digest *tokenDigest) (*User, verifiedBy, bool) {
	s := c.shard(digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[*digest]
	if !ok {
		return nil, verifiedBy{}, false
	}
	s.use(e)
	return e.user, e.by, true
}

// put remembers a token that was verified.
func (c *tokenCache) put(digest *tokenDigest, user *User, by verifiedBy) {
	s := c.shard(digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[*digest]; ok {
		e.user, e.by = user, by
		return
	}
	if len(s.entries) == s.capacity {
		s.evict()
	}
	e := &tokenEntry{digest: *digest, user: user, by: by}
	s.entries[*digest] = e
	s.probation.pushFront(e)
}

// remove forgets a token.
func (c *tokenCache) remove(digest *tokenDigest) {
	s := c.shard(digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[*digest]; ok {
		s.drop(e)
	}
}

// sweep drops what has expired, shard by shard, so that each has its turn in
// every tokenSweep, and nobody waits for all of them.
func (c *tokenCache) sweep(now time.Time, leeway time.Duration) {
	every := int64(tokenSweep) / int64(len(c.shards))
	at, due := now.UnixNano(), c.sweepAt.Load()
	if at < due && due-at <= every {
		return
	}
	// The first sweep, or one after the clock was set back, begins the rhythm.
	// A late one catches up and keeps it: turns that each began a while after
	// they were due would add up to more than tokenSweep.
	turns, next := int64(1), at+every
	if due > 0 && at >= due {
		turns = 1 + (at-due)/every
		next = due + turns*every
	}
	if !c.sweepAt.CompareAndSwap(due, next) {
		return
	}
	for range min(turns, int64(len(c.shards))) {
		s := &c.shards[c.sweepOf.Add(1)%uint64(len(c.shards))]
		s.mu.Lock()
		for _, e := range s.entries {
			if !now.Before(e.user.ExpiresAt.Add(leeway)) {
				s.drop(e)
			}
		}
		s.mu.Unlock()
	}
}

// tokenShard is a part of the cache with a lock of its own.
type tokenShard struct {
	mu        sync.Mutex
	capacity  int
	entries   map[tokenDigest]*tokenEntry
	probation tokenList
	protected tokenList
}

// use moves an entry to where those go that were used again. A quarter of the
// room stays for newcomers.
func (s *tokenShard) use(e *tokenEntry) {
	s.listOf(e).unlink(e)
	e.protected = true
	s.protected.pushFront(e)
	if s.protected.len > max(1, s.capacity*3/4) {
		last := s.protected.last()
		s.protected.unlink(last)
		last.protected = false
		s.probation.pushFront(last)
	}
}

func (s *tokenShard) evict() {
	if s.probation.len > 0 {
		s.drop(s.probation.last())
		return
	}
	s.drop(s.protected.last())
}

func (s *tokenShard) drop(e *tokenEntry) {
	s.listOf(e).unlink(e)
	delete(s.entries, e.digest)
}

func (s *tokenShard) listOf(e *tokenEntry) *tokenList {
	if e.protected {
		return &s.protected
	}
	return &s.probation
}

// tokenList is a ring of entries around a root, the most recently used first.
// container/list would do the same with an interface and an allocation more.
type tokenList struct {
	root tokenEntry
	len  int
}

func (l *tokenList) init() { l.root.prev, l.root.next = &l.root, &l.root }

func (l *tokenList) last() *tokenEntry { return l.root.prev }

func (l *tokenList) pushFront(e *tokenEntry) {
	e.prev, e.next = &l.root, l.root.next
	e.prev.next, e.next.prev = e, e
	l.len++
}

func (l *tokenList) unlink(e *tokenEntry) {
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
	l.len--
}
