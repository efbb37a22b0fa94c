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
