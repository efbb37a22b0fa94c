package reachfive_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/reachfive-community/reachfive"
)

// sharedChaos takes a few replicas through random rotations, outages of the
// provider and of the store, and requests, and checks what must always hold.
type sharedChaos struct {
	*fixture
	random   *rand.Rand
	store    *memoryKeys
	replicas []*reachfive.Verifier

	added, removed map[string]time.Time // when the provider did that with a key
	known          []map[string]bool    // the kids that a replica has accepted
	faulty         time.Time            // when the store last was down
	storeDown      bool
}

func newSharedChaos(t *testing.T, seed uint64) *sharedChaos {
	t.Helper()
	c := &sharedChaos{
		random: rand.New(rand.NewPCG(seed, 0)),
		store:  newMemoryKeys(), added: map[string]time.Time{}, removed: map[string]time.Time{},
	}
	opts := []reachfive.Option{reachfive.WithSharedKeyStore(c.store), reachfive.WithTokenCache(20)}
	c.fixture = newFixture(t, opts...)
	c.SetCacheControl("max-age=60")
	for range 4 {
		c.replicas = append(c.replicas, c.verifier(opts...))
		c.known = append(c.known, map[string]bool{})
	}
	c.added[c.KID()] = time.Now()
	return c
}

// request lets a replica verify a token, and checks the verdict.
func (c *sharedChaos) request(step string, replica int, kid, token string) {
	began := time.Now()
	usesStore := c.replicas[replica].Status().SharedStoreError == ""
	_, err := c.replicas[replica].Verify(c.t.Context(), token)
	code := reachfive.CodeOf(err)
	removed, isRemoved := c.removed[kid]
	switch {
	case code == "" && isRemoved && !usesStore: // it learns from this request that the store answers again
	case code == "" && isRemoved:
		c.store.mu.Lock()
		defer c.store.mu.Unlock()
		for _, e := range c.store.named {
			if e.granted.After(removed) && began.Sub(e.granted) < e.fresh && e.published.After(c.faulty) && !c.storeDown {
				assert.Less(c.t, began.Sub(e.published), 10*time.Second+250*time.Millisecond, "%s: a removed key is accepted", step)
			}
		}
	case code == "":
		c.known[replica][kid] = true
	case isRemoved:
		assert.Contains(c.t, []reachfive.Code{reachfive.CodeUnknownKey, reachfive.CodeKeysUnavailable}, code, step)
	case c.known[replica][kid]:
		assert.Empty(c.t, code, "%s: a known key is refused", step)
	default:
		assert.Equal(c.t, reachfive.CodeKeysUnavailable, code, "%s: a good token is refused", step)
	}
	assert.Less(c.t, time.Since(began), 13*time.Second, "%s: the request waited", step)
}

// step does one thing at random.
func (c *sharedChaos) step(step string, tokens map[string]string) {
	switch n := c.random.IntN(100); {
	case n < 4 && len(c.added) < len(rsaKeys()): // making another takes a while
		c.Rotate()
		c.added[c.KID()] = time.Now()
		tokens[c.KID()] = c.Token()
	case n < 8:
		for kid := range c.added {
			if _, gone := c.removed[kid]; !gone && kid != c.KID() {
				c.RemoveKey(kid)
				c.removed[kid] = time.Now()
				break
			}
		}
	case n < 11:
		c.SetDown(true)
	case n < 16:
		c.SetDown(false)
	case n < 18:
		c.SetDelay(time.Duration(c.random.IntN(3000)) * time.Millisecond)
	case n < 20:
		c.store.breaks(hangsInTime)
		c.storeDown = true
	case n < 26:
		c.store.breaks(nil)
		if c.storeDown {
			c.storeDown, c.faulty = false, time.Now()
		}
	case n < 28:
		_ = c.replicas[c.random.IntN(len(c.replicas))].Refresh(c.t.Context())
	case n < 60:
		advance(time.Duration(c.random.IntN(4000)) * time.Millisecond)
	default:
		replica := c.random.IntN(len(c.replicas))
		for kid, token := range tokens {
			c.request(step, replica, kid, token)
			break
		}
	}
}

func TestSharedKeysInvariantsHoldThroughChaos(t *testing.T) {
	t.Parallel()
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				c := newSharedChaos(t, seed)
				tokens := map[string]string{c.KID(): c.Token()}
				for i := range 600 {
					c.step(fmt.Sprintf("seed %d, step %d", seed, i), tokens)
				}
				synctest.Wait()
				accepted := 0
				for _, known := range c.known {
					accepted += len(known)
				}
				assert.Positive(t, accepted)
			})
		})
	}
}
