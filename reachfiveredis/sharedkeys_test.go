package reachfiveredis_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// fleetSize is how many verifiers share a store in these tests.
const fleetSize = 100

// replica returns a verifier with connections of its own, as a process would have.
// Without options of Redis it shares nothing.
func replica(t *testing.T, tenant *reachfivetest.Tenant, options *redis.UniversalOptions, opts ...reachfive.Option) *reachfive.Verifier {
	t.Helper()
	all := append(tenant.Options(), reachfive.WithLogger(slog.New(slog.DiscardHandler)))
	if options != nil {
		all = append(all, reachfive.WithSharedKeyStore(keysOf(t, options)))
	}
	v, err := reachfive.New(tenant.Domain, tenant.ClientID, append(all, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, v.Close()) })
	return v
}

func replicas(t *testing.T, n int, tenant *reachfivetest.Tenant, options *redis.UniversalOptions) []*reachfive.Verifier {
	t.Helper()
	fleet := make([]*reachfive.Verifier, n)
	for i := range fleet {
		fleet[i] = replica(t, tenant, options)
	}
	return fleet
}

// verdict is the code of a token, "" if it is accepted.
func verdict(v *reachfive.Verifier, token string) reachfive.Code {
	_, err := v.Verify(context.Background(), token)
	return reachfive.CodeOf(err)
}

// all asks every verifier at once.
func all(fleet []*reachfive.Verifier, token string) map[reachfive.Code]int {
	var mu sync.Mutex
	verdicts := map[reachfive.Code]int{}
	var asking sync.WaitGroup
	for _, v := range fleet {
		asking.Go(func() {
			code := verdict(v, token)
			mu.Lock()
			defer mu.Unlock()
			verdicts[code]++
		})
	}
	asking.Wait()
	return verdicts
}

// cold asks verifiers that have no keys yet, all at once.
func cold(t *testing.T, tenant *reachfivetest.Tenant, fleet []*reachfive.Verifier) (took time.Duration) {
	t.Helper()
	token, begun := tenant.Token(), time.Now()
	assert.Equal(t, map[reachfive.Code]int{"": len(fleet)}, all(fleet, token))
	return time.Since(begun)
}

// oneFetch has a fleet that has no keys yet make one fetch. A verifier that waits
// for Redis longer than 200 ms, on a busy machine, fetches by itself: so the fleet
// may try five times.
func oneFetch(t *testing.T, server *redisProcess, tenant *reachfivetest.Tenant, start func()) {
	t.Helper()
	for range 5 {
		server.admin(t, "FLUSHALL")
		before := tenant.JWKSRequests()
		start()
		fetches := tenant.JWKSRequests() - before
		if fetches == 1 {
			return
		}
		t.Logf("%d fetches", fetches)
	}
	assert.Fail(t, "more than one fetch each time")
}

// scripts tells how many scripts the server has run, and how long one took.
func scripts(t *testing.T, server *redisProcess) string {
	t.Helper()
	_, rest, _ := strings.Cut(server.admin(t, "INFO", "commandstats"), "cmdstat_evalsha:")
	stats, _, _ := strings.Cut(rest, ",rejected")
	return stats
}

func TestColdStartOfAHundredVerifiersIsOneFetch(t *testing.T) {
	t.Parallel()
	server, tenant := startRedis(t), reachfivetest.NewTenant(t)
	tenant.SetDelay(300 * time.Millisecond)
	oneFetch(t, server, tenant, func() {
		took := cold(t, tenant, replicas(t, fleetSize, tenant, server.options()))
		t.Logf("%d first requests, a fetch takes 300 ms: all answered after %v; scripts so far: %s", fleetSize, took, scripts(t, server))
	})
}

func TestRefreshOfAHundredVerifiersIsOneFetch(t *testing.T) {
	t.Parallel()
	server, tenant := startRedis(t), reachfivetest.NewTenant(t)
	tenant.SetDelay(300 * time.Millisecond)
	oneFetch(t, server, tenant, func() {
		var starting sync.WaitGroup
		for _, v := range replicas(t, fleetSize, tenant, server.options()) {
			starting.Go(func() { assert.NoError(t, v.Refresh(context.Background())) })
		}
		starting.Wait()
	})
}

// A process that cannot reach the provider has the keys that others fetch, and
// does not keep the others from fetching.
func TestProcessThatCannotReachTheProviderUsesTheKeysOfOthers(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]*http.Client{
		"broken DNS": {Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			return nil, errors.New("lookup tenant.localhost: no such host")
		})},
		"an unknown authority": {Transport: http.DefaultTransport.(*http.Transport).Clone()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, tenant := startRedis(t), reachfivetest.NewTenant(t)
			oneFetch(t, server, tenant, func() {
				alone := replica(t, tenant, server.options(), reachfive.WithHTTPClient(broken))
				assert.Equal(t, reachfive.CodeKeysUnavailable, verdict(alone, tenant.Token()), "it gets the right to fetch, and fails")
				cold(t, tenant, replicas(t, 20, tenant, server.options()))
				require.Eventually(t, func() bool { return verdict(alone, tenant.Token()) == "" }, patience, 50*time.Millisecond)
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// What is not a record of this issuer and URL is not used, and keeps nobody from
// fetching.
func TestRecordOfSomebodyElseIsIgnored(t *testing.T) {
	t.Parallel()
	server, tenant, other := startRedis(t), reachfivetest.NewTenant(t), reachfivetest.NewTenant(t)
	cold(t, other, replicas(t, 1, other, server.options()))
	cold(t, tenant, replicas(t, 1, tenant, server.options()))
	records := strings.Fields(strings.Trim(server.admin(t, "KEYS", "*:record"), "[]"))
	require.Len(t, records, 2, "each issuer has a name of its own")
	foreign := strings.Contains(server.admin(t, "HGET", records[0], "record"), other.Domain)
	theirs, ours := records[0], records[1]
	if !foreign {
		theirs, ours = ours, theirs
	}
	for name, write := range map[string][]any{
		"another issuer's": {"COPY", theirs, ours, "REPLACE"},
		"no record at all": {"HSET", ours, "record", "{}"},
	} {
		server.admin(t, write...)
		before := tenant.JWKSRequests()
		cold(t, tenant, replicas(t, 20, tenant, server.options()))
		// One, those of replicas that meet the record shortly before it is replaced, and
		// those that wait for Redis longer than 200 ms, on a busy machine.
		assert.Less(t, tenant.JWKSRequests()-before, 20, name)
		assert.NotEqual(t, before, tenant.JWKSRequests(), name)
		assert.Equal(t, reachfive.CodeInvalidSignature, verdict(replica(t, tenant, server.options()), tenant.Token(reachfivetest.WrongKey())), name)
	}
}

// The age of a record goes by the store's clock.
func TestReplicasWhoseClocksDifferByHalfADayShareOneFetch(t *testing.T) {
	t.Parallel()
	server, tenant := startRedis(t), reachfivetest.NewTenant(t)
	shifted := func(by time.Duration) *reachfive.Verifier {
		return replica(t, tenant, server.options(), reachfive.WithClock(func() time.Time { return time.Now().Add(by) }))
	}
	oneFetch(t, server, tenant, func() {
		for _, by := range []time.Duration{12 * time.Hour, 0, -12 * time.Hour} {
			v := shifted(by)
			token := tenant.Token(reachfivetest.IssuedAt(time.Now().Add(by)))
			assert.Empty(t, verdict(v, token), by)
			status := v.Status()
			assert.WithinRange(t, status.FetchedAt.Add(-by), time.Now().Add(-time.Minute), time.Now(), "%v", by)
		}
	})
}

// What the provider says to one process holds for all.
func TestPauseThatTheProviderAsksForHoldsForTheFleet(t *testing.T) {
	t.Parallel()
	server, tenant := startRedis(t), reachfivetest.NewTenant(t)
	var busy atomic.Bool
	busy.Store(true)
	tenant.OnJWKS(func(w http.ResponseWriter, _ *http.Request) bool {
		if busy.Load() {
			w.Header().Set("Retry-After", "5")
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return busy.Load()
	})
	fleet := replicas(t, fleetSize, tenant, server.options())
	token := tenant.Token()
	assert.Equal(t, map[reachfive.Code]int{reachfive.CodeKeysUnavailable: fleetSize}, all(fleet, token))
	t.Logf("%d fetches of %d verifiers while the provider asks for a pause", tenant.JWKSRequests(), fleetSize)
	assert.Less(t, tenant.JWKSRequests(), fleetSize/2, "one, and those of verifiers that wait for Redis longer than 200 ms")
	busy.Store(false)
	require.Eventually(t, func() bool { return verdict(fleet[0], token) == "" }, patience, 50*time.Millisecond)
	cold(t, tenant, fleet[1:])
}
