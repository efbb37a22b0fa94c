package main

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2"

	"github.com/reachfive-community/reachfive"
)

// The libraries that could hold verified tokens, with the keys and values that
// ours has. BenchmarkTokenCache of the root package does the same to ours;
// caches.go runs both by turns and puts them into one table.

type anyCache struct {
	name string
	get  func([32]byte) bool
	put  func([32]byte, *reachfive.User)
}

func cachesOf(size int) []anyCache {
	simple, err := lru.New[[32]byte, *reachfive.User](size)
	check(err)
	twoQueues, err := lru.New2Q[[32]byte, *reachfive.User](size)
	check(err)
	tiny := otter.Must(&otter.Options[[32]byte, *reachfive.User]{MaximumSize: size})
	return []anyCache{
		{
			"golang-lru",
			func(k [32]byte) bool { _, ok := simple.Get(k); return ok },
			func(k [32]byte, v *reachfive.User) { simple.Add(k, v) },
		},
		{
			"golang-lru_2Q",
			func(k [32]byte) bool { _, ok := twoQueues.Get(k); return ok },
			twoQueues.Add,
		},
		{
			"otter",
			func(k [32]byte) bool { _, ok := tiny.GetIfPresent(k); return ok },
			func(k [32]byte, v *reachfive.User) { tiny.Set(k, v) },
		},
	}
}

func BenchmarkTokenCache(b *testing.B) {
	const size = 10_000
	for i, c := range cachesOf(1000) {
		b.Run(c.name, func(b *testing.B) {
			b.Run("hit", func(b *testing.B) {
				c := cachesOf(size)[i]
				keys := filled(c, size)
				n := 0
				for b.Loop() {
					c.get(keys[n%len(keys)])
					n += 7919
				}
			})
			b.Run("parallel", func(b *testing.B) {
				c := cachesOf(size)[i]
				keys := filled(c, size)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for n := rand.N(size); pb.Next(); n += 7919 {
						c.get(keys[n%len(keys)])
					}
				})
			})
			b.Run("put", func(b *testing.B) {
				c := cachesOf(size)[i]
				filled(c, size)
				n := size
				for b.Loop() {
					c.put(digest(n), &reachfive.User{})
					n++
				}
			})
			b.Run("flood", func(b *testing.B) {
				for b.Loop() {
					c := cachesOf(1000)[i]
					b.ReportMetric(100*hitsInFlood(c.get, c.put), "%hits")
				}
			})
			b.Run("memory", func(b *testing.B) {
				for b.Loop() {
					before := heap()
					c := cachesOf(size)[i]
					keys := filled(c, size)
					b.ReportMetric(float64(heap()-before)/size, "B/entry")
					c.get(keys[0])
					runtime.KeepAlive(keys)
				}
			})
		})
	}
}

func filled(c anyCache, size int) [][32]byte {
	keys := make([][32]byte, size)
	for n := range keys {
		keys[n] = digest(n)
		c.put(keys[n], &reachfive.User{})
	}
	return keys
}

// digest spreads as SHA-256 does.
func digest(n int) (d [32]byte) {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	for i := range 4 {
		binary.LittleEndian.PutUint64(d[8*i:], random.Uint64())
	}
	return d
}

// hitsInFlood is the share of the uses of 500 hot tokens that a cache of 1,000
// knows, while two of three tokens come once.
func hitsInFlood(get func([32]byte) bool, put func([32]byte, *reachfive.User)) float64 {
	random := rand.New(rand.NewPCG(1, 2))
	uses, hits := 0, 0
	for n := range 100_000 {
		key, hot := digest(1_000_000+n), n%3 == 0
		if hot {
			key = digest(random.IntN(500))
		}
		known := get(key)
		if !known {
			put(key, &reachfive.User{})
		}
		if hot && n > 20_000 {
			uses++
			if known {
				hits++
			}
		}
	}
	return float64(hits) / float64(uses)
}
