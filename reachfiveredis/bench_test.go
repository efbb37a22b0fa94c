package reachfiveredis_test

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveredis"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestCheckDoesNotAllocate(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := readySignOuts(t, f)
		check, u, ctx := o.Check(), userOf("AVqvOB58Fg6nZfQ0ZqXt", time.Now()), t.Context()
		signOut(t, o, "anna")
		synctest.Wait()
		assert.Zero(t, testing.AllocsPerRun(100, func() { _ = check(ctx, u) }))
	})
}

// fill adds n sign-outs of users to the log of a real server, as SignOut would.
func fill(tb testing.TB, server *redisProcess, n int) {
	tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.addr, DisableIdentity: true})
	defer func() { require.NoError(tb, client.Close()) }()
	ctx := context.Background()
	key := "reachfive:{signouts}:1:log"
	last, err := client.XRevRangeN(ctx, key, "+", "-", 1).Result()
	require.NoError(tb, err)
	require.Len(tb, last, 1)
	target, before := []byte(last[0].Values["s"].(string)), last[0].Values["b"].(string)
	for i := 0; i < n; {
		pipe := client.Pipeline()
		for range 10_000 {
			digest := sha256.Sum256([]byte(strconv.Itoa(i)))
			copy(target, digest[:16])
			pipe.Do(ctx, "XADD", key, "*", "s", string(target), "b", before)
			if i++; i == n {
				break
			}
		}
		_, err := pipe.Exec(ctx)
		require.NoError(tb, err)
	}
}

// million sign-outs are what a process must be able to hold.
const million = 1_000_000

// BenchmarkReaders tells how long one sign-out takes to reach 500 readers.
func BenchmarkReaders(b *testing.B) {
	server := startRedis(b)
	writer := initialized(b, server.options())
	checks := make([]reachfive.Check, 500)
	for i := range checks {
		o := realSignOuts(b, server.options())
		require.NoError(b, o.Ready(b.Context()))
		checks[i] = o.Check()
	}
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		u := userOf("user"+strconv.Itoa(i), time.Now())
		signOut(b, writer, u.Subject)
		took = append(took, heardBy(b, u, checks)...)
	}
	slices.Sort(took)
	for name, d := range map[string]time.Duration{
		"p50-ms": took[len(took)/2], "p99-ms": took[len(took)*99/100], "max-ms": took[len(took)-1],
	} {
		b.ReportMetric(float64(d.Microseconds())/1000, name)
	}
}

// heardBy asks all checks in turn until each refuses u, and tells when it did.
func heardBy(tb testing.TB, u *reachfive.User, checks []reachfive.Check) []time.Duration {
	tb.Helper()
	begun, heard := time.Now(), make([]time.Duration, len(checks))
	for missing := len(checks); missing > 0; {
		require.Less(tb, time.Since(begun), 2*patience)
		for i, check := range checks {
			if heard[i] == 0 && codeOf(check, u) == reachfive.CodeRevoked {
				heard[i] = time.Since(begun)
				missing--
			}
		}
	}
	return heard
}

// reading is what it takes to read the sign-outs of a store.
type reading struct {
	took       time.Duration
	peak, heap float64 // megabytes, beyond those of before
}

// read samples the heap while a process reads the sign-outs, and after it.
func read(tb testing.TB, server *redisProcess) (*reachfiveredis.SignOuts, reading) {
	tb.Helper()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	runtime.GC()
	before := heap()
	var peak atomic.Uint64
	done := make(chan struct{})
	var sampling sync.WaitGroup
	sampling.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				peak.Store(max(peak.Load(), heap()))
			case <-done:
				return
			}
		}
	})
	o := realSignOuts(tb, server.options())
	begun := time.Now()
	require.NoError(tb, o.Ready(context.Background()))
	took := time.Since(begun)
	close(done)
	sampling.Wait()
	runtime.GC()
	beyond := func(now uint64) float64 { return (float64(now) - float64(before)) / 1e6 }
	return o, reading{took: took, peak: beyond(max(peak.Load(), heap())), heap: beyond(heap())}
}

// BenchmarkMillion is what a million sign-outs take, and what a check then costs
// beside a verification.
func BenchmarkMillion(b *testing.B) {
	server := startRedis(b)
	signOut(b, initialized(b, server.options()), "anna")
	fill(b, server, million)
	o, r := read(b, server)
	require.Equal(b, million+1, o.Status().Entries)
	check, ctx := o.Check(), context.Background()
	b.Run("check", func(b *testing.B) {
		// One User, as a verification leaves it, of many subjects.
		u, subjects := userOf("", time.Now()), make([]string, 4096)
		for i := range subjects {
			subjects[i] = "AVqvOB58Fg6nZfQ0" + strconv.Itoa(i)
		}
		defer reportCPU(b)()
		for i := 0; b.Loop(); i++ {
			u.Subject = subjects[i%len(subjects)]
			if check(ctx, u) != nil {
				b.Fatal("refused")
			}
		}
	})
	tenant := reachfivetest.NewTenant(b)
	v, token := tenant.Verifier(reachfive.WithLogger(slog.New(slog.DiscardHandler))), tenant.Token()
	b.Run("verify", func(b *testing.B) {
		defer reportCPU(b)()
		for b.Loop() {
			if _, err := v.Verify(ctx, token); err != nil {
				b.Fatal(err)
			}
		}
	})
	stored, err := strconv.ParseFloat(server.admin(b, "MEMORY", "USAGE", "reachfive:{signouts}:1:log"), 64)
	require.NoError(b, err)
	b.Run("held", func(b *testing.B) {
		for b.Loop() { // what is reported was measured above
		}
		b.ReportMetric(stored/1e6, "redis-MB")
		b.ReportMetric(r.heap, "heap-MB")
		b.ReportMetric(r.peak, "peak-MB")
		b.ReportMetric(float64(r.took.Milliseconds()), "load-ms")
	})
}

// reportCPU reports the processor time of each operation, which other programs
// on the machine change less than the time that passes.
func reportCPU(b *testing.B) (end func()) {
	b.Helper()
	b.ReportAllocs()
	used := func() time.Duration {
		var usage syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	begun := used()
	return func() { b.ReportMetric(float64(used()-begun)/float64(b.N), "cpu-ns/op") }
}
