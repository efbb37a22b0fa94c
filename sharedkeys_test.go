package reachfive_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/reachfive-community/reachfive"
)

const fleetSize = 100

// fleet is a tenant and the Verifiers of many processes that share a store.
type fleet struct {
	*fixture
	store    *memoryKeys
	replicas []*reachfive.Verifier
}

func newFleet(t *testing.T, opts ...reachfive.Option) *fleet {
	t.Helper()
	store := newMemoryKeys()
	opts = append([]reachfive.Option{reachfive.WithSharedKeyStore(store)}, opts...)
	f := &fleet{fixture: newFixture(t, opts...), store: store}
	f.replicas = append(f.replicas, f.v)
	for range fleetSize - 1 {
		f.replicas = append(f.replicas, f.verifier(opts...))
	}
	return f
}

// each calls do for all replicas at once, and waits.
func (f *fleet) each(do func(replica int, v *reachfive.Verifier)) {
	var calls sync.WaitGroup
	for i, v := range f.replicas {
		calls.Go(func() { do(i, v) })
	}
	calls.Wait()
}

// verdicts lets all replicas verify the token at once, and counts the Codes.
func (f *fleet) verdicts(token string) map[reachfive.Code]int {
	var mu sync.Mutex
	counts := map[reachfive.Code]int{}
	f.each(func(_ int, v *reachfive.Verifier) {
		_, err := v.Verify(f.t.Context(), token)
		mu.Lock()
		defer mu.Unlock()
		counts[reachfive.CodeOf(err)]++
	})
	synctest.Wait()
	return counts
}

func all(code reachfive.Code) map[reachfive.Code]int { return map[reachfive.Code]int{code: fleetSize} }

// shared counts what became of the fetches since the last call.
func (f *fleet) shared() map[reachfive.SharedFetch]int {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := map[reachfive.SharedFetch]int{}
	for _, e := range f.fetches {
		counts[e.Shared]++
	}
	f.fetches = nil
	return counts
}

func TestSharedKeysColdStartOfAFleetIsOneFetch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.SetDelay(300 * time.Millisecond)
		waited := took(func() { assert.Equal(t, all(""), f.verdicts(f.Token())) })
		assert.LessOrEqual(t, waited, 500*time.Millisecond, "the fetch's time + 200 ms")
		assert.Equal(t, 1, f.requests())
		assert.Equal(t, map[reachfive.SharedFetch]int{
			reachfive.SharedFetched: 1, reachfive.SharedTaken: fleetSize - 1,
		}, f.shared())
		var fetches uint64
		for _, v := range f.replicas {
			fetches += v.Status().Fetches
		}
		assert.Equal(t, uint64(1), fetches, "keys that were taken are no fetch")
	})
}

func TestSharedKeysAreFetchedOnceInALifetime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.SetCacheControl("max-age=60")
		token := f.Token()
		const lifetimes = 4
		for range lifetimes * 60 / 5 {
			assert.Equal(t, all(""), f.verdicts(token))
			advance(5 * time.Second)
		}
		// The refresh ahead starts at 80 % of the lifetime: five fetches fit.
		assert.InDelta(t, lifetimes+0.5, f.requests(), 0.5)

		f = newFleet(t)
		f.SetCacheControl("max-age=60")
		assert.Equal(t, all(""), f.verdicts(f.Token()))
		f.SetDelay(time.Second)
		advance(time.Minute + time.Second)
		assert.Equal(t, all(""), f.verdicts(f.Token()))
		assert.Equal(t, 2, f.requests(), "the lifetime was over")
	})
}

func TestSharedKeysRefreshIsSatisfiedByAnyFetchThatBeganLater(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.SetDelay(time.Second)
		refreshAll := func() {
			f.each(func(_ int, v *reachfive.Verifier) { assert.NoError(t, v.Refresh(t.Context())) })
		}
		refreshAll()
		assert.Equal(t, 1, f.requests(), "at start")

		// The answer of the first fetch is older than most of the calls.
		refreshAll()
		assert.Equal(t, 3, f.requests(), "one that was granted after all calls")
		advance(time.Minute)

		var early, late sync.WaitGroup
		early.Go(func() { assert.NoError(t, f.replicas[0].Refresh(t.Context())) })
		advance(500 * time.Millisecond) // the keys of the running fetch are known now
		f.Rotate()
		token := f.Token()
		late.Go(func() {
			assert.NoError(t, f.replicas[1].Refresh(t.Context()))
			assert.Contains(t, keyIDs(f.replicas[1]), f.KID())
		})
		early.Wait()
		assert.NotContains(t, keyIDs(f.replicas[0]), f.KID())
		late.Wait()
		_, err := f.replicas[1].Verify(t.Context(), token)
		assert.NoError(t, err)
	})
}

func keyIDs(v *reachfive.Verifier) (ids []string) {
	for _, key := range v.Status().Keys {
		ids = append(ids, key.ID)
	}
	return ids
}

func TestSharedKeysOfAReplicaThatRefreshesItsOwnHangingFetch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.OnJWKS(hang())
		ahead := make(chan error, 1)
		go func() {
			_, err := f.v.Verify(t.Context(), f.Token())
			ahead <- err
		}()
		advance(time.Second)
		f.OnJWKS(nil)
		assert.Less(t, took(func() { assert.NoError(t, f.v.Refresh(t.Context())) }), 500*time.Millisecond)
		assert.NoError(t, <-ahead)
	})
}
