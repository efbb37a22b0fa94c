package reachfiveredis_test

import (
	"context"
	"crypto/sha256"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

// BenchmarkCheck is the cost of the check beside that of a verification, with a
// million sign-outs in memory.
func BenchmarkCheck(b *testing.B) {
	server := startRedis(b)
	writer := initialized(b, server.options())
	_, err := writer.SignOut(b.Context(), signOutOf("anna"))
	require.NoError(b, err)
	fill(b, server, 1_000_000)
	o := realSignOuts(b, server.options())
	require.NoError(b, o.Ready(b.Context()))
	require.Greater(b, o.Status().Entries, 999_000)
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
	v, token := tenant.Verifier(), tenant.Token()
	b.Run("verify", func(b *testing.B) {
		defer reportCPU(b)()
		for b.Loop() {
			if _, err := v.Verify(ctx, token); err != nil {
				b.Fatal(err)
			}
		}
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
