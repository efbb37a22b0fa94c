package reachfive

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These tests look at what a caller cannot see: which entry is evicted, and when.

// digestOf makes digests that spread over the shards as SHA-256 does.
func digestOf(n int) *tokenDigest {
	var d tokenDigest
	binary.BigEndian.PutUint64(d[24:], uint64(n))
	d[0] = byte(n)
	return &d
}

func (c *tokenCache) len() (n int) {
	for i := range c.shards {
		n += len(c.shards[i].entries)
	}
	return n
}

func TestTokenCacheHoldsAsManyEntriesAsItWasGivenAndNoMore(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2, 3, 63, 127, 128, 1000, 1023} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			c := newTokenCache(size)
			room := 0
			for i := range c.shards {
				room += c.shards[i].capacity
			}
			assert.Equal(t, size, room)
			for n := range 10 * size {
				c.put(digestOf(n), &User{}, verifiedBy{})
				if n%3 == 0 { // some of them become protected
					c.get(digestOf(n - n%7))
				}
				if n%1000 == 0 {
					require.LessOrEqual(t, c.len(), size)
				}
			}
			assert.Equal(t, size, c.len())
		})
	}
}

// An LRU of the same size drops an entry as soon as all others in it have been
// used since. This one may drop earlier what came once, and nothing else.
func TestTokenCacheKeepsWhatWasUsedAgainAsLongAsAnLRUWould(t *testing.T) {
	t.Parallel()
	const size = 100
	for _, flood := range []float64{0, 0.1, 0.5, 0.9, 0.99} {
		t.Run(fmt.Sprintf("%v of the tokens come once", flood), func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			c := newTokenCache(size)
			shard := &c.shards[0]
			require.Len(t, c.shards, 1)
			lastUse, again := map[tokenDigest]int{}, map[tokenDigest]bool{}
			evicted := 0
			for now := range 3000 {
				digest := digestOf(random.IntN(150)) // more hot ones than there is room
				if random.Float64() < flood {
					digest = digestOf(1000 + now)
				}
				if _, _, ok := c.get(digest); ok {
					lastUse[*digest], again[*digest] = now, true
					continue
				}
				c.put(digest, &User{}, verifiedBy{})
				for known, used := range lastUse {
					if _, ok := shard.entries[known]; ok {
						continue
					}
					evicted++
					for other := range shard.entries {
						if again[known] && other != *digest && lastUse[other] < used {
							t.Fatal("an entry was dropped before one that had been unused for longer")
						}
					}
					delete(lastUse, known)
					delete(again, known)
				}
				lastUse[*digest] = now
			}
			assert.Positive(t, evicted)
			assert.Len(t, shard.entries, size)
			assert.Equal(t, size, shard.probation.len+shard.protected.len)
		})
	}
}

func TestTokenCacheKeepsItsHotTokensThroughAFloodOfOneTimeTokens(t *testing.T) {
	t.Parallel()
	c := newTokenCache(1000)
	hot := digestOf
	for n := range 500 {
		c.put(hot(n), &User{}, verifiedBy{})
		c.get(hot(n))
	}
	for range 1000 { // one that comes again and again displaces none of the others
		c.get(hot(0))
	}
	for n := range 20_000 { // twenty times the room, and no hot one is used
		c.put(digestOf(1_000_000+n), &User{}, verifiedBy{})
	}
	for n := range 500 {
		_, _, ok := c.get(hot(n))
		require.True(t, ok, n)
	}
}

func TestTokenCacheLeavesNewcomersRoomToComeAgain(t *testing.T) {
	t.Parallel()
	c := newTokenCache(100)
	for n := range 100 { // as many hot ones as there is room
		c.put(digestOf(n), &User{}, verifiedBy{})
		c.get(digestOf(n))
	}
	protected := 0
	for i := range c.shards {
		protected += c.shards[i].protected.len
	}
	assert.Equal(t, 75, protected)
	for n := range 25 {
		c.put(digestOf(1000+n), &User{}, verifiedBy{})
	}
	for n := range 25 {
		_, _, ok := c.get(digestOf(1000 + n))
		require.True(t, ok, n)
	}
}

func TestTokenCacheDropsWhatHasExpiredWithinAMinuteOfUse(t *testing.T) {
	t.Parallel()
	const leeway = 30 * time.Second
	for _, every := range []time.Duration{time.Second, 3 * time.Second, tokenSweep / maxTokenShards} {
		t.Run(fmt.Sprintf("used every %v", every), func(t *testing.T) {
			t.Parallel()
			c := newTokenCache(5000)
			require.Len(t, c.shards, maxTokenShards)
			start := time.Unix(1_700_000_000, 0)
			now := start
			c.sweep(now, leeway)
			for n := range 1000 {
				c.put(digestOf(n), &User{ExpiresAt: start.Add(time.Duration(n) * time.Second)}, verifiedBy{})
			}
			for c.len() > 0 {
				now = now.Add(every)
				c.sweep(now, leeway)
				for i := range c.shards {
					for _, e := range c.shards[i].entries {
						overdue := now.Sub(e.user.ExpiresAt.Add(leeway))
						if overdue >= tokenSweep {
							t.Fatalf("expired %v ago, and still there", overdue)
						}
					}
				}
				early := min(1000, 999-int(now.Sub(start.Add(leeway)).Seconds())) - c.len()
				require.LessOrEqual(t, early, 0, "dropped before they had expired")
			}
		})
	}
}

// However long the cache was idle, no call sweeps more than one shard, and every
// shard has had its turn after as many calls.
func TestTokenCacheSweepsOneShardACall(t *testing.T) {
	t.Parallel()
	for _, idle := range []time.Duration{time.Minute, 2 * time.Minute, 24 * time.Hour} {
		for _, between := range []time.Duration{0, time.Millisecond, time.Hour} {
			c := newTokenCache(5000)
			now := time.Unix(1_700_000_000, 0)
			c.sweep(now, 0)
			for n := range 1600 {
				c.put(digestOf(n), &User{ExpiresAt: now}, verifiedBy{})
			}
			now = now.Add(idle)
			for left := 1500; left >= 0; left -= 100 {
				c.sweep(now, 0)
				require.Equal(t, left, c.len(), "idle for %v, then used every %v", idle, between)
				now = now.Add(between)
			}
			if between < tokenSweep/maxTokenShards { // and all is as if there had been no pause
				for n := range 1600 {
					c.put(digestOf(n), &User{ExpiresAt: now}, verifiedBy{})
				}
				for range maxTokenShards {
					c.sweep(now, 0)
				}
				require.Equal(t, 1600, c.len(), "idle for %v, then used every %v", idle, between)
			}
		}
	}
}

func TestTokenCacheSweepsNoMoreOftenThanIsDue(t *testing.T) {
	t.Parallel()
	c := newTokenCache(5000)
	now := time.Unix(1_700_000_000, 0)
	c.sweep(now, 0)
	for n := range 1600 {
		c.put(digestOf(n), &User{ExpiresAt: now}, verifiedBy{})
	}
	for range 100 {
		c.sweep(now.Add(tokenSweep/maxTokenShards-1), 0)
		require.Equal(t, 1600, c.len())
	}
	for range 100 {
		c.sweep(now.Add(tokenSweep/maxTokenShards), 0)
		require.Equal(t, 1500, c.len())
	}
}

func TestTokenCacheSweepsATokenFromItsExpiryOn(t *testing.T) {
	t.Parallel()
	exp := time.Unix(1_700_000_000, 0)
	for _, leeway := range []time.Duration{0, time.Minute} {
		for after, want := range map[time.Duration]int{-1: 1, 0: 0, 1: 0} {
			c := newTokenCache(1)
			c.put(digestOf(1), &User{ExpiresAt: exp}, verifiedBy{})
			c.sweep(exp.Add(leeway+after), leeway)
			assert.Equal(t, want, c.len(), "%v after exp, with a leeway of %v", leeway+after, leeway)
		}
	}
}

func TestTokenCacheGoesOnSweepingAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	c := newTokenCache(1000)
	now := time.Unix(1_700_000_000, 0)
	c.sweep(now, 0)
	now = now.Add(-time.Hour)
	c.put(digestOf(1), &User{ExpiresAt: now.Add(time.Second)}, verifiedBy{})
	for range 13 {
		c.sweep(now, 0)
		now = now.Add(5 * time.Second)
	}
	assert.Zero(t, c.len())

	now = now.Add(-time.Hour)
	before := c.sweepOf.Load()
	for range 100 {
		c.sweep(now, 0)
	}
	assert.Equal(t, before+1, c.sweepOf.Load(), "no more often than is due")
}

func TestTokenCacheForgetsWhatIsRemoved(t *testing.T) {
	t.Parallel()
	c := newTokenCache(10)
	first, second := &User{Subject: "1"}, &User{Subject: "2"}
	c.put(digestOf(1), first, verifiedBy{})
	c.put(digestOf(1), second, verifiedBy{}) // the later verdict counts
	user, _, ok := c.get(digestOf(1))
	assert.True(t, ok)
	assert.Same(t, second, user)
	assert.Equal(t, 1, c.shards[0].probation.len+c.shards[0].protected.len)
	c.remove(digestOf(1))
	c.remove(digestOf(1))
	_, _, ok = c.get(digestOf(1))
	assert.False(t, ok)
	assert.Zero(t, c.len())
}

func TestTokenCacheOfOneEntryHoldsTheLastToken(t *testing.T) {
	t.Parallel()
	c := newTokenCache(1)
	for n := range 3 {
		c.put(digestOf(n), &User{}, verifiedBy{})
		_, _, ok := c.get(digestOf(n)) // which protects it
		assert.True(t, ok)
		assert.Equal(t, 1, c.len())
	}
}

func TestTokenCacheHasAShardFor64EntriesAndHoldsWhatItWasMadeFor(t *testing.T) {
	t.Parallel()
	for size, shards := range map[int]int{1: 1, 127: 1, 128: 2, 255: 2, 256: 4, 1023: 8, 1025: 16, 100_000: 16} {
		c := newTokenCache(size)
		assert.Len(t, c.shards, shards, size)
		least, most, sum := size, 0, 0
		for i := range c.shards {
			least, most = min(least, c.shards[i].capacity), max(most, c.shards[i].capacity)
			sum += c.shards[i].capacity
		}
		assert.Equal(t, size, sum)
		assert.LessOrEqual(t, most-least, 1, size)
	}
}

func TestTokenCacheTakesNoMoreMemoryThanItsUsers(t *testing.T) {
	const entries = 20_000
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	c := newTokenCache(entries)
	for n := range 2 * entries {
		c.put(digestOf(n), &User{payload: string(make([]byte, 500))}, verifiedBy{})
	}
	perEntry := int64(heap()-before) / entries
	runtime.KeepAlive(c)
	// A User has 840 bytes and this one 500 of payload. What the cache adds is
	// an entry of 96 bytes and its place in a map.
	assert.Less(t, perEntry, int64(1800))
	t.Logf("%d bytes an entry", perEntry)
}
