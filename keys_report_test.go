package reachfive_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestKeyWithoutKIDIsLoggedByItsThumbprint(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := worldOf(t, reachfivetest.NewTenant(t, reachfivetest.InMemory(),
			reachfivetest.WithKeys(rsaKeys()...), reachfivetest.WithoutKIDs()))
		w.accepts(w.Token())
		w.Rotate()
		pass(time.Second)
		require.NoError(t, w.v.Refresh(t.Context()))
		keys := w.v.Status().Keys
		require.Len(t, keys, 2)
		log := w.logged()
		require.Len(t, log, 2)
		assert.Contains(t, log[1], "added=["+keys[1].Thumbprint+"] removed=[]")
	})
}

func TestKeyLinesOfTheLogNameTheIssuer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &memoryStore{record: []byte("broken")}
		w := newWorld(t, reachfive.WithKeyStore(store))
		w.SetDown(true)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
		w.SetDown(false)
		pass(time.Second)
		w.accepts(w.Token())
		w.Rotate()
		pass(time.Second)
		w.accepts(w.Token())
		log := w.logged()
		require.Len(t, log, 4)
		for _, line := range log {
			assert.Contains(t, line, " issuer="+w.Issuer()+" ")
		}
	})
}

// A monotonic reading would make the times of two processes, or of before and
// after a restart, compare as no dashboard expects.
func TestKeyStatusHasTheTimesOfTheWallClock(t *testing.T) {
	withClock(t, false, func(t *testing.T, w *world, clock *jumpingClock) {
		require.Contains(t, clock.now().String(), " m=", "a clock that has none proves nothing")
		store := new(memoryStore)
		w.v = w.verifier(reachfive.WithKeyStore(store))
		wallOnly := func() {
			t.Helper()
			s := w.v.Status()
			for _, at := range []time.Time{s.FetchedAt, s.FreshUntil, s.ServesUntil, s.NextAttempt} {
				assert.NotZero(t, at)
				assert.NotContains(t, at.String(), " m=")
			}
		}
		w.accepts(w.Token())
		wallOnly()
		pass(10 * time.Minute)
		w.SetDown(true)
		w.accepts(w.Token())
		assert.True(t, w.v.Status().Failing)
		wallOnly()
		require.NoError(t, w.v.Close())
		w.v = w.verifier(reachfive.WithKeyStore(store))
		w.accepts(w.Token())
		wallOnly()
	})
}
