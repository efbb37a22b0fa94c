//go:build fleet

package reachfiveredis_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// traffic asks every verifier in turn about a token of a known key, which none may
// refuse, and counts.
type traffic struct {
	fleet              []*reachfive.Verifier
	token              atomic.Pointer[string]
	decisions, refused atomic.Int64
	slowest            atomic.Int64 // nanoseconds
	stop               chan struct{}
	wait               sync.WaitGroup
}

func drive(fleet []*reachfive.Verifier, token string) *traffic {
	f := &traffic{fleet: fleet, stop: make(chan struct{})}
	f.token.Store(&token)
	f.wait.Go(func() {
		tick := time.NewTicker(4 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-f.stop:
				return
			case <-tick.C:
			}
			begun := time.Now()
			if code := verdict(fleet[i%len(fleet)], *f.token.Load()); code != "" {
				f.refused.Add(1)
			}
			f.decisions.Add(1)
			f.slowest.Store(max(f.slowest.Load(), int64(time.Since(begun))))
		}
	})
	return f
}

func (f *traffic) end(t *testing.T, row string, figures ...any) {
	t.Helper()
	close(f.stop)
	f.wait.Wait()
	t.Logf("%-36s %6d decisions on a known key, %d refused, slowest %v; %s", row, f.decisions.Load(), f.refused.Load(),
		time.Duration(f.slowest.Load()).Round(time.Millisecond), fmt.Sprint(figures...))
	assert.Zero(t, f.refused.Load(), row)
	assert.Positive(t, f.decisions.Load(), row)
}

// sources counts where the keys of a fleet come from.
type sources struct{ fetched, alone atomic.Int64 }

func (s *sources) option() reachfive.Option {
	return reachfive.WithObserver(reachfive.Observer{FetchDone: func(_ context.Context, e reachfive.FetchEvent) {
		switch e.Shared {
		case reachfive.SharedFetched:
			s.fetched.Add(1)
		case reachfive.SharedNone:
			s.alone.Add(1)
		}
	}})
}

func (s *sources) String() string {
	return fmt.Sprintf("%d fetches for the fleet, %d of verifiers for themselves", s.fetched.Load(), s.alone.Load())
}

// reset forgets what was counted.
func (s *sources) reset() { s.fetched.Store(0); s.alone.Store(0) }

// shared asserts that the fleet has made fetches for all, few of them. Verifiers
// that this machine made wait for Redis longer than 200 ms fetch for themselves,
// but hardly all of them.
func (s *sources) shared(t *testing.T, most int64) {
	t.Helper()
	assert.Positive(t, s.fetched.Load(), s)
	assert.LessOrEqual(t, s.fetched.Load(), most, s)
	assert.Less(t, s.alone.Load(), int64(2*fleetSize), s)
}

// everyVerdict waits until all verifiers say want of a token. It tells how long
// that took, and all verdicts that there were. A fetch of a verifier that waited
// for Redis longer than 200 ms, on a busy machine, is not shared: after each 15 s
// another one fetches.
func everyVerdict(t *testing.T, fleet []*reachfive.Verifier, token string, want reachfive.Code) (took time.Duration, seen []reachfive.Code) {
	t.Helper()
	begun, codes := time.Now(), map[reachfive.Code]bool{}
	missing, refreshed := slices.Clone(fleet), 0
	for len(missing) > 0 {
		if time.Since(begun) > 2*patience {
			status := missing[0].Status()
			require.Fail(t, "not everywhere", "want %q; %d of %d say %q; one of them has %+v", string(want), len(missing), len(fleet), string(verdict(missing[0], token)), status)
		}
		missing = slices.DeleteFunc(missing, func(v *reachfive.Verifier) bool {
			code := verdict(v, token)
			codes[code] = true
			return code == want
		})
		if again := int(time.Since(begun) / (15 * time.Second)); again > refreshed {
			refreshed = again
			require.NoError(t, fleet[again].Refresh(t.Context()))
		}
		pauseFor(20 * time.Millisecond)
	}
	return time.Since(begun), slices.Sorted(maps.Keys(codes))
}

// TestFloodOfUnknownKIDsAtAFleet prints the provider's load without a store and
// with one.
func TestFloodOfUnknownKIDsAtAFleet(t *testing.T) {
	t.Parallel()
	const flood = 25 * time.Second
	run := func(t *testing.T, options *redis.UniversalOptions) *sources {
		t.Helper()
		tenant, from := reachfivetest.NewTenant(t), new(sources)
		fleet := replicas(t, fleetSize, tenant, options, from.option())
		warm(t, tenant, fleet)
		from.reset()
		known := drive(fleet, tenant.Token())
		answers := map[string]int{}
		end, tick := time.After(flood), time.NewTicker(5*time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-end:
				known.end(t, t.Name(), from, " in ", flood, " of made-up kids: ", answers)
				assert.Zero(t, answers[""])
				return from
			case <-tick.C:
			}
			junk := tenant.Token(reachfivetest.WrongKey(), reachfivetest.KID(fmt.Sprint("junk", n)))
			answers[string(verdict(fleet[n%len(fleet)], junk))]++
		}
	}
	t.Run("without a store", func(t *testing.T) {
		t.Parallel()
		assert.Greater(t, run(t, nil).alone.Load(), int64(2*fleetSize))
	})
	t.Run("with a store", func(t *testing.T) {
		t.Parallel()
		run(t, startRedis(t).options()).shared(t, 5) // one in 10 s
	})
}

// TestRotationReachesAFleet: what one process has fetched is used by all that see
// traffic, keys that were added and keys that were removed.
func TestRotationReachesAFleet(t *testing.T) {
	t.Parallel()
	server, tenant, from := startRedis(t), reachfivetest.NewTenant(t), new(sources)
	fleet := replicas(t, fleetSize, tenant, server.options(), from.option())
	warm(t, tenant, fleet)
	from.reset()
	old := tenant.Token()
	known := drive(fleet, old)
	tenant.Rotate()
	added := tenant.Token()
	took, seen := everyVerdict(t, fleet, added, "")
	assert.Subset(t, []reachfive.Code{"", reachfive.CodeKeysUnavailable}, seen, "never refused with 401")
	known.end(t, "a key was added", "accepted everywhere after ", took, ", ", from)
	from.shared(t, 7)

	from.reset()
	known = drive(fleet, added)
	tenant.RemoveKey("key-1")
	require.NoError(t, fleet[0].Refresh(t.Context()))
	took, _ = everyVerdict(t, fleet, old, reachfive.CodeUnknownKey)
	known.end(t, "a key was removed", "refused everywhere after ", took, ", ", from)
	from.shared(t, 7)
}

// TestLifetimeOfAFleetIsOneFetch lets keys of one minute live for two lifetimes.
func TestLifetimeOfAFleetIsOneFetch(t *testing.T) {
	t.Parallel()
	server, tenant, from := startRedis(t), reachfivetest.NewTenant(t, reachfivetest.WithCacheControl("max-age=60")), new(sources)
	fleet := replicas(t, fleetSize, tenant, server.options(), from.option())
	warm(t, tenant, fleet)
	from.reset()
	server.admin(t, "CONFIG", "RESETSTAT")
	known := drive(fleet, tenant.Token())
	pauseFor(110 * time.Second)
	asked := scripts(t, server)
	known.end(t, "two lifetimes of a minute", from, "; scripts in 110 s: ", asked)
	from.shared(t, 5)
}

// TestFaultsOfTheStoreRefuseNoKnownKeyInAFleet hurts the store in all ways. Known
// keys serve on, a new key is accepted by the contract of one process, and a
// process that starts meanwhile gets keys.
func TestFaultsOfTheStoreRefuseNoKnownKeyInAFleet(t *testing.T) {
	t.Parallel()
	admin := func(args ...any) func(*testing.T, *redisProcess, *toxiproxy) {
		return func(t *testing.T, s *redisProcess, _ *toxiproxy) { t.Helper(); s.admin(t, args...) }
	}
	signal := func(sig syscall.Signal) func(*testing.T, *redisProcess, *toxiproxy) {
		return func(_ *testing.T, s *redisProcess, _ *toxiproxy) { s.signal(sig) }
	}
	toxic := func(kind string, attributes map[string]any) func(*testing.T, *redisProcess, *toxiproxy) {
		return func(t *testing.T, _ *redisProcess, p *toxiproxy) { t.Helper(); p.apply(t, kind, attributes) }
	}
	lift := func(t *testing.T, _ *redisProcess, p *toxiproxy) { t.Helper(); p.lift(t) }
	for _, fault := range []struct {
		name         string
		hurt, repair func(*testing.T, *redisProcess, *toxiproxy)
		pause        time.Duration
	}{
		{name: "none", hurt: admin("PING"), repair: admin("PING")},
		{
			name:   "killed and started again",
			hurt:   func(_ *testing.T, s *redisProcess, _ *toxiproxy) { s.kill() },
			repair: func(t *testing.T, s *redisProcess, _ *toxiproxy) { t.Helper(); s.start(t) },
		},
		{name: "stopped with SIGSTOP for 30 s", hurt: signal(syscall.SIGSTOP), pause: 30 * time.Second, repair: signal(syscall.SIGCONT)},
		{name: "full: maxmemory with noeviction", hurt: admin("CONFIG", "SET", "maxmemory", "1"), repair: admin("CONFIG", "SET", "maxmemory", "0")},
		{name: "read-only: a replica of nobody", hurt: admin("REPLICAOF", "127.0.0.1", "1"), repair: admin("REPLICAOF", "NO", "ONE")},
		{name: "FLUSHALL", hurt: admin("FLUSHALL"), repair: admin("PING")},
		{name: "300 ms of latency", hurt: toxic("latency", latency), repair: lift},
		{name: "connections break after 2 KiB", hurt: toxic("limit_data", cuts), repair: lift},
		{name: "answers never arrive", hurt: toxic("timeout", map[string]any{"timeout": 0}), repair: lift},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel() // each has a server of its own, and mostly waits
			server, tenant, from := startRedis(t), reachfivetest.NewTenant(t), new(sources)
			proxy := startToxiproxy(t, server)
			fleet := replicas(t, fleetSize, tenant, proxy.options(), from.option())
			warm(t, tenant, fleet)
			started := tenant.JWKSRequests()

			known := drive(fleet, tenant.Token())
			fault.hurt(t, server, proxy)
			pauseFor(3*time.Second + fault.pause)
			lateTook := coldStart(t, tenant, proxy.options())
			tenant.Rotate()
			addedTook, seen := everyVerdict(t, fleet, tenant.Token(), "")
			assert.Subset(t, []reachfive.Code{"", reachfive.CodeKeysUnavailable}, seen, "never refused with 401")
			during := tenant.JWKSRequests() - started
			// The contract of one process: two fetches for unknown kids at once, and
			// one in 10 s.
			assert.Less(t, during, 4*fleetSize)

			fault.repair(t, server, proxy)
			pauseFor(5 * time.Second)
			from.reset()
			old := tenant.Token(reachfivetest.SignedBy("key-1"))
			token := tenant.Token()
			known.token.Store(&token)
			tenant.RemoveKey("key-1")
			require.NoError(t, fleet[0].Refresh(t.Context()))
			removedTook, _ := everyVerdict(t, fleet, old, reachfive.CodeUnknownKey)
			known.end(t, fault.name, during, " fetches during it, after it ", from, "; a cold start took ", lateTook.Round(time.Millisecond),
				", a new key everywhere ", addedTook.Round(time.Millisecond), ", afterwards a removed one ", removedTook.Round(time.Millisecond))
			from.shared(t, 7) // again
		})
	}
}

// coldStart has a process start, and tells how long its first request took, which
// is accepted. A machine that is too busy for the provider's answer may try again
// with another process.
func coldStart(t *testing.T, tenant *reachfivetest.Tenant, options *redis.UniversalOptions) (took time.Duration) {
	t.Helper()
	for range 5 {
		late := replica(t, tenant, reachfive.WithSharedKeyStore(keysOf(t, options)))
		token, begun := tenant.Token(), time.Now()
		if verdict(late, token) == "" {
			return time.Since(begun)
		}
	}
	require.Fail(t, "a process that starts has no keys")
	return 0
}

// TestFailoverOfSharedKeysInAFleet kills the primary. Sentinel promotes the
// replica, and the fleet shares again.
func TestFailoverOfSharedKeysInAFleet(t *testing.T) {
	t.Parallel()
	primary, tenant, from := startRedis(t), reachfivetest.NewTenant(t), new(sources)
	standby := startRedis(t, "--replicaof", "127.0.0.1 "+primary.port())
	sentinel := startSentinel(t, primary)
	require.Eventually(t, func() bool {
		return strings.Contains(sentinel.admin(t, "SENTINEL", "REPLICAS", "fleet"), standby.port())
	}, 60*time.Second, 100*time.Millisecond, "sentinel knows the replica")
	fleet := replicas(t, fleetSize, tenant, &redis.UniversalOptions{Addrs: []string{sentinel.addr}, MasterName: "fleet"}, from.option())
	warm(t, tenant, fleet)
	known := drive(fleet, tenant.Token())
	primary.kill()
	require.Eventually(t, func() bool {
		return strings.Contains(standby.admin(t, "ROLE"), "master")
	}, 2*time.Minute, 200*time.Millisecond, "the replica was promoted")
	pauseFor(10 * time.Second)
	from.reset()
	tenant.Rotate()
	took, seen := everyVerdict(t, fleet, tenant.Token(), "")
	assert.Subset(t, []reachfive.Code{"", reachfive.CodeKeysUnavailable}, seen)
	known.end(t, "failover by sentinel", from, " for a new key after it, accepted everywhere after ", took)
	from.shared(t, 7)
}
