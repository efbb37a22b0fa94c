package reachfive

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"
)

// BenchmarkTokenCache measures the token cache as benchmarks/caches_test.go
// measures the libraries that could replace it.
func BenchmarkTokenCache(b *testing.B) {
	const size = 10_000
	digest := func(n int) *tokenDigest {
		var d tokenDigest
		random := rand.New(rand.NewPCG(uint64(n), 1))
		for i := range 4 {
			binary.LittleEndian.PutUint64(d[8*i:], random.Uint64())
		}
		return &d
	}
	filled := func(c *tokenCache) []*tokenDigest {
		digests := make([]*tokenDigest, size)
		for n := range digests {
			digests[n] = digest(n)
			c.put(digests[n], &User{}, verifiedBy{})
		}
		return digests
	}
	b.Run("ours/hit", func(b *testing.B) {
		c := newTokenCache(size)
		digests := filled(c)
		n := 0
		for b.Loop() {
			c.get(digests[n%size])
			n += 7919
		}
	})
	b.Run("ours/parallel", func(b *testing.B) {
		c := newTokenCache(size)
		digests := filled(c)
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for n := rand.N(size); pb.Next(); n += 7919 {
				c.get(digests[n%size])
			}
		})
	})
	b.Run("ours/put", func(b *testing.B) {
		c := newTokenCache(size)
		filled(c)
		n := size
		for b.Loop() {
			c.put(digest(n), &User{}, verifiedBy{})
			n++
		}
	})
	b.Run("ours/flood", func(b *testing.B) {
		for b.Loop() {
			c := newTokenCache(1000)
			random := rand.New(rand.NewPCG(1, 2))
			uses, hits := 0, 0
			for n := range 100_000 {
				key, hot := digest(1_000_000+n), n%3 == 0
				if hot {
					key = digest(random.IntN(500))
				}
				_, _, known := c.get(key)
				if !known {
					c.put(key, &User{}, verifiedBy{})
				}
				if hot && n > 20_000 {
					uses++
					if known {
						hits++
					}
				}
			}
			b.ReportMetric(100*float64(hits)/float64(uses), "%hits")
		}
	})
	b.Run("ours/memory", func(b *testing.B) {
		for b.Loop() {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(&before)
			c := newTokenCache(size)
			digests := filled(c)
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/size, "B/entry")
			runtime.KeepAlive(digests)
			runtime.KeepAlive(c)
		}
	})
}
