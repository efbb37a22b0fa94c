//go:build fleet

package reachfiveredis_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveredis"
)

// These tests are slow, or stop and kill servers. `make test-fleet` runs them.

// TestAMillionSignOutsFitInAHundredMegabytes samples the heap while a process
// reads a million sign-outs, and after it.
func TestAMillionSignOutsFitInAHundredMegabytes(t *testing.T) {
	server := startRedis(t)
	writer := initialized(t, server.options())
	signOut(t, writer, "anna")
	fill(t, server, million)
	t.Logf("Redis holds them in %s bytes", server.admin(t, "MEMORY", "USAGE", "reachfive:{signouts}:1:log"))
	reader, r := read(t, server)
	require.Equal(t, million+1, reader.Status().Entries)
	t.Logf("read in %v; heap %.1f MB at most while reading, %.1f MB after it, %.1f bytes an entry",
		r.took.Round(time.Millisecond), r.peak, r.heap, r.heap*1e6/million)
	assert.LessOrEqual(t, r.peak, 100.0)

	u := userOf("bert", time.Now().Add(-time.Minute))
	assert.Empty(t, codeOf(reader.Check(), u))
	signOut(t, writer, "bert")
	refusedBy(t, u, reader.Check())
}

// TestSignOutLatencyOverFiveHundredReaders prints how long a sign-out takes to
// reach every reader.
func TestSignOutLatencyOverFiveHundredReaders(t *testing.T) {
	server := startRedis(t)
	writer := initialized(t, server.options())
	var checks []reachfive.Check
	for range 500 {
		o := realSignOuts(t, server.options())
		require.NoError(t, o.Ready(t.Context()))
		checks = append(checks, o.Check())
	}
	commands, processor := load(t, server)
	pauseFor(10 * time.Second)
	moreCommands, moreProcessor := load(t, server)
	t.Logf("500 readers without a sign-out: %.0f commands a second, %.1f %% of a core of Redis, %s of memory",
		(moreCommands-commands)/10, (moreProcessor-processor)*10, server.fact(t, "memory", "used_memory_human"))
	var took []time.Duration
	for round := range 20 {
		u := userOf(fmt.Sprint("user", round), time.Now())
		signOut(t, writer, u.Subject)
		took = append(took, heardBy(t, u, checks)...)
	}
	slices.Sort(took)
	t.Logf("500 readers, 20 sign-outs: p50 %v, p99 %v, max %v", took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	assert.Less(t, took[len(took)/2], 3*time.Second, "half of the readers hear of it in the promised time")
}

// load is how many commands the server has run, and the seconds it took.
func load(t *testing.T, server *redisProcess) (commands, seconds float64) {
	t.Helper()
	number := func(section, name string) float64 {
		n, err := strconv.ParseFloat(server.fact(t, section, name), 64)
		require.NoError(t, err)
		return n
	}
	return number("stats", "total_commands_processed"), number("cpu", "used_cpu_user") + number("cpu", "used_cpu_sys")
}

// fact is one line of INFO.
func (r *redisProcess) fact(t *testing.T, section, name string) string {
	t.Helper()
	_, value, found := strings.Cut(r.admin(t, "INFO", section), "\n"+name+":")
	require.True(t, found, name)
	value, _, _ = strings.Cut(value, "\r")
	return value
}

// invariants counts, while something is done to the store, what must not happen.
type invariants struct {
	decisions, accepted, refused atomic.Int64
	stop                         chan struct{}
	wait                         sync.WaitGroup
}

// watch asks check about a user who is signed out and about one who is not, all
// the time until the end.
func watch(check reachfive.Check, out, in *reachfive.User) *invariants {
	i := &invariants{stop: make(chan struct{})}
	i.wait.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-i.stop:
				return
			case <-tick.C:
			}
			i.decisions.Add(2)
			if codeOf(check, out) != reachfive.CodeRevoked {
				i.accepted.Add(1)
			}
			if codeOf(check, in) != "" {
				i.refused.Add(1)
			}
		}
	})
	return i
}

// end tells the outcome of one fault.
func (i *invariants) end(t *testing.T, fault string) {
	t.Helper()
	close(i.stop)
	i.wait.Wait()
	t.Logf("%-34s %6d decisions, %d signed-out tokens accepted, %d good tokens refused", fault, i.decisions.Load(), i.accepted.Load(), i.refused.Load())
	assert.Zero(t, i.accepted.Load())
	assert.Zero(t, i.refused.Load())
	assert.Positive(t, i.decisions.Load())
}

func TestFaultsOfTheStoreChangeNoDecision(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name   string
		hurt   func(t *testing.T, server *redisProcess)
		repair func(t *testing.T, server *redisProcess)
		writes bool // SignOut works meanwhile
	}{
		{name: "killed and started again", hurt: func(_ *testing.T, s *redisProcess) { s.kill() }, repair: func(t *testing.T, s *redisProcess) { s.start(t) }},
		{
			name:   "stopped with SIGSTOP for 30 s",
			hurt:   func(_ *testing.T, s *redisProcess) { s.signal(syscall.SIGSTOP); pauseFor(25 * time.Second) },
			repair: func(_ *testing.T, s *redisProcess) { s.signal(syscall.SIGCONT) },
		},
		{
			name:   "full: maxmemory with noeviction",
			hurt:   func(t *testing.T, s *redisProcess) { s.admin(t, "CONFIG", "SET", "maxmemory", "1") },
			repair: func(t *testing.T, s *redisProcess) { s.admin(t, "CONFIG", "SET", "maxmemory", "0") },
		},
		{
			name:   "read-only: a replica of nobody",
			hurt:   func(t *testing.T, s *redisProcess) { s.admin(t, "REPLICAOF", "127.0.0.1", "1") },
			repair: func(t *testing.T, s *redisProcess) { s.admin(t, "REPLICAOF", "NO", "ONE") },
		},
		{
			name: "FLUSHALL, then Init",
			hurt: func(t *testing.T, s *redisProcess) { s.admin(t, "FLUSHALL") },
			repair: func(t *testing.T, s *redisProcess) {
				require.NoError(t, realSignOuts(t, s.options()).Init(t.Context()))
			},
		},
		{
			name: "all connections cut, again and again",
			hurt: func(t *testing.T, s *redisProcess) {
				for range 20 {
					s.admin(t, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
					pauseFor(100 * time.Millisecond)
				}
			},
			writes: true,
		},
		{
			name:   "the log trimmed to its last entry",
			hurt:   func(t *testing.T, s *redisProcess) { s.admin(t, "XTRIM", "reachfive:{signouts}:1:log", "MAXLEN", "1") },
			writes: true,
		},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel() // each has a server of its own, and mostly waits
			server := startRedis(t, "--appendonly", "yes", "--appendfsync", "always")
			writer := initialized(t, server.options())
			reader := realSignOuts(t, server.options())
			require.NoError(t, reader.Ready(t.Context()))
			out, in := userOf("anna", time.Now()), userOf("bert", time.Now())
			signOut(t, writer, "anna")
			refusedBy(t, out, reader.Check())

			i := watch(reader.Check(), out, in)
			fault.hurt(t, server)
			pauseFor(5 * time.Second)
			if !fault.writes {
				_, err := writer.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "carl"})
				require.Error(t, err, "a sign-out that is not stored is an error")
			}
			if fault.repair != nil {
				fault.repair(t, server)
			}
			// As soon as a sign-out is stored again, it counts everywhere.
			carl := userOf("carl", time.Now().Add(-time.Minute))
			require.Eventually(t, func() bool {
				_, err := writer.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "carl"})
				return err == nil
			}, 60*time.Second, 100*time.Millisecond)
			require.Eventually(t, func() bool { return codeOf(reader.Check(), carl) == reachfive.CodeRevoked }, 60*time.Second, time.Millisecond)
			i.end(t, fault.name)
		})
	}
}

func pauseFor(d time.Duration) { <-time.After(d) }

// TestFailoverBySentinel kills the primary. Sentinel promotes the replica.
func TestFailoverBySentinel(t *testing.T) {
	t.Parallel()
	primary := startRedis(t)
	replica := startRedis(t, "--replicaof", "127.0.0.1 "+primary.port())
	sentinel := startSentinel(t, primary)
	options := &redis.UniversalOptions{Addrs: []string{sentinel.addr}, MasterName: "fleet"}
	writer := initialized(t, options, reachfiveredis.WithReplicas(1))
	require.Eventually(t, func() bool {
		_, err := writer.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "anna"})
		return err == nil
	}, 60*time.Second, 100*time.Millisecond, "the replica confirms")
	reader := realSignOuts(t, options)
	require.NoError(t, reader.Ready(t.Context()))
	out, in := userOf("anna", time.Now().Add(-time.Minute)), userOf("bert", time.Now())
	require.Equal(t, reachfive.CodeRevoked, codeOf(reader.Check(), out))

	require.Eventually(t, func() bool {
		return strings.Contains(sentinel.admin(t, "SENTINEL", "REPLICAS", "fleet"), replica.port())
	}, 60*time.Second, 100*time.Millisecond, "sentinel knows the replica")
	i := watch(reader.Check(), out, in)
	primary.kill()
	plain := realSignOuts(t, options)
	require.Eventually(t, func() bool {
		_, err := plain.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "carl"})
		return err == nil
	}, 120*time.Second, 200*time.Millisecond, "the replica was promoted")
	carl := userOf("carl", time.Now().Add(-time.Minute))
	require.Eventually(t, func() bool { return codeOf(reader.Check(), carl) == reachfive.CodeRevoked }, 60*time.Second, 10*time.Millisecond)
	i.end(t, "failover by sentinel")
	cold := realSignOuts(t, options)
	require.NoError(t, cold.Ready(t.Context()))
	assert.Equal(t, reachfive.CodeRevoked, codeOf(cold.Check(), out), "a confirmed sign-out outlives the primary")
}
