package reachfive_test

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// results returns what came of the fetches, in the order of the answers.
func (w *world) results() (results []string) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.fetches {
		results = append(results, e.Result)
	}
	return results
}

// A request that comes while both run, and after the older one has ended, waits
// for the younger one and starts no third.
func TestKeyFetchThatWasOvertakenHidesNoneThatRuns(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.accepts(w.Token())
		w.OnJWKS(hang())
		var others sync.WaitGroup
		junk := w.Token(reachfivetest.KID("junk"))
		others.Go(func() { _ = w.verify(junk) }) // ends at 5 s
		pass(4 * time.Second)
		w.OnJWKS(nil)
		w.SetDelay(3 * time.Second)
		w.Rotate()
		rotated := w.Token()
		others.Go(func() { assert.NoError(t, w.v.Refresh(t.Context())) }) // ends at 7 s
		pass(1500 * time.Millisecond)
		assert.Equal(t, 1500*time.Millisecond, took(func() { w.accepts(rotated) }))
		others.Wait()
		assert.Equal(t, 3, w.requests())
	})
}

func TestKeyOlderAnswerEndsNoFetchThatIsNewer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		token := w.Token()
		var first sync.WaitGroup
		w.SetDelay(2 * time.Second)
		first.Go(func() {
			assert.Equal(t, 2*time.Second, took(func() { w.accepts(token) }))
		})
		synctest.Wait()
		w.SetDelay(4 * time.Second)
		assert.Equal(t, 4*time.Second, took(func() { require.NoError(t, w.v.Refresh(t.Context())) }))
		first.Wait()
		assert.Equal(t, []string{"ok", "ok"}, w.results())
	})
}

func TestKeyOlderFailureIsNotTheLastError(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.OnJWKS(hang())
		token := w.Token()
		go func() { _ = w.verify(token) }()
		pass(time.Second)
		w.OnJWKS(status(http.StatusServiceUnavailable, "Retry-After", "20"))
		unavailable(t, w.v.Refresh(t.Context()))
		before := w.v.Status()
		assert.Equal(t, "status 503", before.LastError)
		pass(5 * time.Second)
		assert.Equal(t, []string{"status 503", "timeout"}, w.results())
		after := w.v.Status()
		assert.Equal(t, "status 503", after.LastError)
		assert.Equal(t, before.NextAttempt, after.NextAttempt)
		assert.Equal(t, []reachfive.State{reachfive.StateFailing}, w.stateChanges())
	})
}

func TestKeyFetchThatIsCalledOffIsCanceledAndNoTimeout(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(w *world)
		want []string
	}{
		{"by a newer answer", func(w *world) {
			w.OnJWKS(nil)
			require.NoError(w.t, w.v.Refresh(w.t.Context()))
		}, []string{"ok", "canceled"}},
		{"by Close", func(w *world) { require.NoError(w.t, w.v.Close()) }, []string{"canceled"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.OnJWKS(hang())
				token := w.Token()
				go func() { _ = w.verify(token) }()
				synctest.Wait()
				tt.end(w)
				assert.ElementsMatch(t, tt.want, w.results())
			})
		})
	}
}

// While one record is written two others come: only the newest is still wanted.
func TestKeyStoreIsSparedARecordThatWasOvertaken(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var saved []string
		w := newWorld(t, reachfive.WithKeyStore(storeFuncs{save: func(_ context.Context, text []byte) error {
			var record struct {
				JWKS []byte `json:"jwks"`
			}
			if err := json.Unmarshal(text, &record); err != nil {
				return err
			}
			saved = append(saved, string(record.JWKS))
			if len(saved) == 1 {
				pass(300 * time.Millisecond) // whatever its context says
			}
			return nil
		}}))
		for range 3 {
			w.accepts(w.Token())
			synctest.Wait()
			w.Rotate()
		}
		pass(time.Second)
		synctest.Wait()
		require.Len(t, saved, 2)
		assert.NotContains(t, saved[0], "key-2")
		assert.Contains(t, saved[1], "key-3")
	})
}
