package reachfiveredis_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
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

// replica returns a verifier of its own.
func replica(t *testing.T, tenant *reachfivetest.Tenant, opts ...reachfive.Option) *reachfive.Verifier {
	t.Helper()
	opts = append(append(tenant.Options(), reachfive.WithLogger(slog.New(slog.DiscardHandler))), opts...)
	v, err := reachfive.New(tenant.Domain, tenant.ClientID, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, v.Close()) })
	return v
}

// sharing shares keys over connections of its own, as a process has them. One of
// them is open: a hundred that are opened at once take a busy machine longer than
// the 200 ms that a verifier waits.
func sharing(t *testing.T, options *redis.UniversalOptions) reachfive.Option {
	t.Helper()
	k := keysOf(t, options)
	ask(t, k, "", 0)
	return reachfive.WithSharedKeyStore(k)
}

// replicas returns n verifiers. Without options of Redis they share nothing.
func replicas(t *testing.T, n int, tenant *reachfivetest.Tenant, options *redis.UniversalOptions, opts ...reachfive.Option) []*reachfive.Verifier {
	t.Helper()
	fleet := make([]*reachfive.Verifier, n)
	for i := range fleet {
		all := opts
		if options != nil {
			all = append(slices.Clip(all), sharing(t, options))
		}
		fleet[i] = replica(t, tenant, all...)
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

// cold asks verifiers that have no keys yet, all at once, and reports whether all
// of them accept a good token.
func cold(tenant *reachfivetest.Tenant, fleet []*reachfive.Verifier) bool {
	return all(fleet, tenant.Token())[""] == len(fleet)
}

// warm waits until all verifiers have keys.
func warm(t *testing.T, tenant *reachfivetest.Tenant, fleet []*reachfive.Verifier) {
	t.Helper()
	require.Eventually(t, func() bool { return cold(tenant, fleet) }, 2*patience, 10*time.Millisecond)
}

// oneFetch has a fleet that has no keys yet make one fetch. A verifier that waits
// for Redis longer than 200 ms, on a busy machine, fetches by itself: so a fleet
// may try ten times.
func oneFetch(t *testing.T, server *redisProcess, tenant *reachfivetest.Tenant, start func() (good bool)) {
	t.Helper()
	for range 10 {
		server.admin(t, "FLUSHALL")
		before := tenant.JWKSRequests()
		good := start()
		fetches := tenant.JWKSRequests() - before
		if good && fetches == 1 {
			return
		}
		t.Logf("%d fetches, all verdicts as they should be: %v", fetches, good)
	}
	assert.Fail(t, "no fleet made one fetch")
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
	oneFetch(t, server, tenant, func() bool {
		fleet := replicas(t, fleetSize, tenant, server.options())
		server.admin(t, "CONFIG", "RESETSTAT")
		begun := time.Now()
		good := cold(tenant, fleet)
		t.Logf("%d first requests, a fetch takes 300 ms: all answered after %v; scripts: %s", fleetSize, time.Since(begun), scripts(t, server))
		return good
	})
}

func TestRefreshOfAHundredVerifiersIsOneFetch(t *testing.T) {
	t.Parallel()
	server, tenant := startRedis(t), reachfivetest.NewTenant(t)
	tenant.SetDelay(300 * time.Millisecond)
	oneFetch(t, server, tenant, func() bool {
		var starting sync.WaitGroup
		var failed atomic.Bool
		for _, v := range replicas(t, fleetSize, tenant, server.options()) {
			starting.Go(func() {
				if v.Refresh(context.Background()) != nil {
					failed.Store(true)
				}
			})
		}
		starting.Wait()
		return !failed.Load()
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
			oneFetch(t, server, tenant, func() bool {
				alone := replica(t, tenant, sharing(t, server.options()), reachfive.WithHTTPClient(broken))
				first := verdict(alone, tenant.Token()) // it gets the right to fetch, and fails
				others := cold(tenant, replicas(t, 20, tenant, server.options()))
				last := verdict(alone, tenant.Token())
				for begun := time.Now(); last != "" && time.Since(begun) < patience/2; last = verdict(alone, tenant.Token()) {
					<-time.After(10 * time.Millisecond)
				}
				return first == reachfive.CodeKeysUnavailable && others && last == ""
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
	var records []string
	require.Eventually(t, func() bool {
		cold(other, replicas(t, 1, other, server.options()))
		cold(tenant, replicas(t, 1, tenant, server.options()))
		records = strings.Fields(strings.Trim(server.admin(t, "KEYS", "*:record"), "[]"))
		return len(records) == 2
	}, patience, 50*time.Millisecond, "each issuer has a name of its own")
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
		warm(t, tenant, replicas(t, 20, tenant, server.options()))
		assert.Greater(t, tenant.JWKSRequests(), before, name)
		assert.Equal(t, reachfive.CodeInvalidSignature, verdict(replica(t, tenant, sharing(t, server.options())), tenant.Token(reachfivetest.WrongKey())), name)
	}
}

// The age of a record goes by the store's clock.
func TestReplicasWhoseClocksDifferByHalfADayShareOneFetch(t *testing.T) {
	t.Parallel()
	server, tenant := startRedis(t), reachfivetest.NewTenant(t)
	shifted := func(by time.Duration) *reachfive.Verifier {
		return replica(t, tenant, sharing(t, server.options()), reachfive.WithClock(func() time.Time { return time.Now().Add(by) }))
	}
	oneFetch(t, server, tenant, func() bool {
		good := true
		for _, by := range []time.Duration{12 * time.Hour, 0, -12 * time.Hour} {
			v := shifted(by)
			accepted := verdict(v, tenant.Token(reachfivetest.IssuedAt(time.Now().Add(by)))) == ""
			age := time.Since(v.Status().FetchedAt.Add(-by))
			good = good && accepted && 0 <= age && age < time.Minute
		}
		return good
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
	var fleet []*reachfive.Verifier
	oneFetch(t, server, tenant, func() bool {
		fleet = replicas(t, 50, tenant, server.options())
		return all(fleet, tenant.Token())[reachfive.CodeKeysUnavailable] == len(fleet)
	})
	busy.Store(false)
	warm(t, tenant, fleet)
}
