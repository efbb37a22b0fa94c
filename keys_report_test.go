package reachfive_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestKeyWithoutKIDIsLoggedByItsThumbprint(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := fixtureOf(t, reachfivetest.NewTenant(t, reachfivetest.InMemory(),
			reachfivetest.WithKeys(rsaKeys()...), reachfivetest.WithoutKIDs()))
		w.accepts(w.Token())
		w.Rotate()
		advance(time.Second)
		require.NoError(t, w.v.Refresh(t.Context()))
		keys := w.v.Status().Keys
		require.Len(t, keys, 2)
		log := w.logged()
		require.Len(t, log, 2)
		assert.Contains(t, log[1], "added=["+keys[1].Thumbprint+"] removed=[]")
	})
}

func TestKeyLinesOfTheLogNameTheIssuer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := &memoryStore{record: []byte("broken")}
		w := newFixture(t, reachfive.WithKeyStore(store))
		w.SetDown(true)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
		w.SetDown(false)
		advance(time.Second)
		w.accepts(w.Token())
		w.Rotate()
		advance(time.Second)
		w.accepts(w.Token())
		log := w.logged()
		require.Len(t, log, 4)
		for _, line := range log {
			assert.Contains(t, line, " issuer="+w.Issuer()+" ")
		}
	})
}

// What is told last is how things are, though the hook of an earlier fetch is
// still busy; one that hangs delays the others by a second, and no more.
func TestKeyFetchesAreToldInTheirOrder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		busy   time.Duration
		within time.Duration
		want   []reachfive.FetchCause
	}{
		{"a busy hook", 500 * time.Millisecond, time.Second, []reachfive.FetchCause{reachfive.CauseFirst, reachfive.CauseAsked}},
		{"a hook that hangs", time.Hour, 1500 * time.Millisecond, []reachfive.FetchCause{reachfive.CauseAsked}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newFixture(t)
				told := make(chan reachfive.FetchCause, 2)
				w.v = w.verifier(reachfive.WithObserver(reachfive.Observer{FetchDone: func(_ context.Context, e reachfive.FetchEvent) {
					if e.Cause == reachfive.CauseFirst {
						time.Sleep(tt.busy)
					}
					told <- e.Cause
				}}))
				w.accepts(w.Token())
				require.NoError(t, w.v.Refresh(t.Context()))
				advance(tt.within)
				for _, want := range tt.want {
					assert.Equal(t, want, <-told)
				}
				advance(time.Hour)
			})
		})
	}
}
