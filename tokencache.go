package reachfive

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxCachedToken is the longest token that is cached, in bytes. It limits the
	// memory of an entry to about 9 KiB; real tokens have 1 or 2 KiB.
	maxCachedToken = 4 << 10
	// maxTokenShards and minShardSize divide a large cache into shards with a
	// lock each, and leave a small one undivided.
	maxTokenShards = 16
	minShardSize   = 64
	// tokenSweep is how long an expired entry stays at most, as long as the
	// cache is used at least once per shard in that time.
	tokenSweep = time.Minute
)

// tokenCache remembers verified tokens, so that their signatures need not be
// verified again. Its keys are digests of the tokens; it does not keep the
// tokens. Only accepted tokens get in, so nobody can fill it without a good one.
//
// Each shard is a segmented LRU. An entry starts on probation and becomes
// protected when it is used again. An entry on probation is evicted first, the
// least recently used one first of all. So a flood of tokens that come once
// evicts only others of that kind. A protected entry is evicted no earlier than
// in a plain LRU of the same size.
type tokenCache struct {
	shards []tokenShard // their number is a power of two

	sweepAt atomic.Int64 // when the next shard is due, in Unix nanoseconds
	sweepOf atomic.Uint64
}

type tokenDigest [sha256.Size]byte

// tokenEntry is one verified token. All hits share user and by; nobody changes
// them.
type tokenEntry struct {
	digest     tokenDigest
	user       *User
	by         verifiedBy
	prev, next *tokenEntry
	protected  bool
}

// newTokenCache returns a cache of at most size entries, and nil for a size of 0.
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

// takes reports whether there is a cache, and it takes tokens of this length.
func (c *tokenCache) takes(token string) bool { return c != nil && len(token) <= maxCachedToken }

func (c *tokenCache) shard(digest *tokenDigest) *tokenShard {
	return &c.shards[int(digest[0])&(len(c.shards)-1)]
}

// get returns what a token was verified as. The caller must not change it.
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

// put adds a verified token.
func (c *tokenCache) put(digest *tokenDigest, user *User, by verifiedBy) {
	s := c.shard(digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[*digest]; ok {
		e.user, e.by = user, by
		return
	}
	if len(s.entries) == s.capacity {
		s.drop(s.probation.last())
	}
	e := &tokenEntry{digest: *digest, user: user, by: by}
	s.entries[*digest] = e
	s.probation.pushFront(e)
}

// remove drops a token.
func (c *tokenCache) remove(digest *tokenDigest) {
	s := c.shard(digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[*digest]; ok {
		s.drop(e)
	}
}

// sweep drops the expired entries of one shard, if one is due. Each shard has its
// turn once in every tokenSweep. After a pause without calls, the shards are
// swept one by one on as many calls, so that no call waits for all of them.
func (c *tokenCache) sweep(now time.Time, leeway time.Duration) {
	shards := int64(len(c.shards))
	every := int64(tokenSweep) / shards
	at, due := now.UnixNano(), c.sweepAt.Load()
	if at < due && due-at <= every {
		return
	}
	next := at + every // for the first sweep, and after the clock was set back
	if due > 0 && at >= due {
		next = max(due, at-(shards-1)*every) + every
	}
	if !c.sweepAt.CompareAndSwap(due, next) {
		return
	}
	s := &c.shards[c.sweepOf.Add(1)%uint64(shards)]
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if !now.Before(e.user.ExpiresAt.Add(leeway)) {
			s.drop(e)
		}
	}
}

// tokenShard is a part of the cache with its own lock.
type tokenShard struct {
	mu        sync.Mutex
	capacity  int
	entries   map[tokenDigest]*tokenEntry
	probation tokenList
	protected tokenList
}

// use makes an entry protected. If that would leave less than a quarter of the
// shard for new entries, the least recently used protected one goes back on
// probation. So a full shard always has an entry on probation.
func (s *tokenShard) use(e *tokenEntry) {
	s.listOf(e).unlink(e)
	e.protected = true
	s.protected.pushFront(e)
	if s.protected.len > s.capacity*3/4 {
		last := s.protected.last()
		s.protected.unlink(last)
		last.protected = false
		s.probation.pushFront(last)
	}
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
// container/list would need one more allocation for each entry.
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
	l.len--
}
