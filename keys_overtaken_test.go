package reachfive_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestKeyOlderAnswerIsDropped(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := new(memoryStore)
		// The first exchange takes its time, whatever becomes of its context.
		slow := make(chan struct{})
		w := newFixture(t)
		transport, first := w.Client().Transport, true
		v := w.verifier(reachfive.WithKeyStore(store), reachfive.WithHTTPClient(&http.Client{
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				wait := first
				first = false
				res, err := transport.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
				if wait {
					<-slow
				}
				return res, err
			}),
		}))
		old := w.Token()
		go func() { _, _ = v.Verify(t.Context(), old) }()
		synctest.Wait()
		w.Rotate()
		w.RemoveKey("key-1")
		require.NoError(t, v.Refresh(t.Context()))
		synctest.Wait()
		kept := store.load()
		close(slow)
		synctest.Wait()
		assert.Equal(t, kept, store.load(), "the older answer was stored")
		_, err := v.Verify(t.Context(), old)
		assert.Equal(t, reachfive.CodeUnknownKey, reachfive.CodeOf(err))
		assert.Equal(t, "key-2", v.Status().Keys[0].ID)
	})
}

// The provider answers an old request late, and newer requests have failed since:
// the outage goes on, and its Retry-After still applies.
func TestKeyAnswerThatIsOlderThanAFailureEndsNoOutage(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.accepts(w.Token())
		w.refuses(w.Token(reachfivetest.KID("junk1")), reachfive.CodeUnknownKey) // half of the budget
		document := `{"keys":[` + w.JWK(w.KID()) + `]}`
		var requests atomic.Int64
		w.OnJWKS(func(answer http.ResponseWriter, _ *http.Request) bool {
			if requests.Add(1) == 1 {
				time.Sleep(2 * time.Second)
				_, _ = io.WriteString(answer, document)
				return true
			}
			answer.Header().Set("Retry-After", "120")
			answer.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		junk := w.Token(reachfivetest.KID("junk2"))
		go func() { _, _ = w.v.Verify(t.Context(), junk) }() // the other half
		advance(time.Second)
		w.Rotate()
		rotated := w.Token()
		unavailable(t, w.v.Refresh(t.Context()))
		advance(1500 * time.Millisecond) // the late answer is here
		for range 60 {
			w.refuses(rotated, reachfive.CodeKeysUnavailable)
			advance(time.Second)
		}
		assert.EqualValues(t, 2, requests.Load())
		assert.True(t, w.v.Status().Failing)
		assert.Equal(t, []reachfive.State{reachfive.StateHealthy, reachfive.StateFailing}, w.stateChanges())
	})
}

// results returns what came of the fetches, in the order of the answers.
func (w *fixture) results() (results []string) {
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
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.accepts(w.Token())
		w.OnJWKS(hang())
		var others sync.WaitGroup
		junk := w.Token(reachfivetest.KID("junk"))
		others.Go(func() { _ = w.verify(junk) }) // ends at 5 s
		advance(4 * time.Second)
		w.OnJWKS(nil)
		w.SetDelay(3 * time.Second)
		w.Rotate()
		rotated := w.Token()
		others.Go(func() { assert.NoError(t, w.v.Refresh(t.Context())) }) // ends at 7 s
		advance(1500 * time.Millisecond)
		assert.Equal(t, 1500*time.Millisecond, took(func() { w.accepts(rotated) }))
		others.Wait()
		assert.Equal(t, 3, w.requests())
	})
}

func TestKeyOlderAnswerEndsNoFetchThatIsNewer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
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
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.OnJWKS(hang())
		token := w.Token()
		go func() { _ = w.verify(token) }()
		advance(time.Second)
		w.OnJWKS(status(http.StatusServiceUnavailable, "Retry-After", "20"))
		unavailable(t, w.v.Refresh(t.Context()))
		before := w.v.Status()
		assert.Equal(t, "status 503", before.LastError)
		advance(5 * time.Second)
		assert.Equal(t, []string{"status 503", "timeout"}, w.results())
		after := w.v.Status()
		assert.Equal(t, "status 503", after.LastError)
		assert.Equal(t, before.NextAttempt, after.NextAttempt)
		assert.Equal(t, []reachfive.State{reachfive.StateFailing}, w.stateChanges())
	})
}

func TestKeyFetchThatIsCalledOffIsCanceledAndNoTimeout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(w *fixture)
		want []string
	}{
		{"by a newer answer", func(w *fixture) {
			w.OnJWKS(nil)
			require.NoError(w.t, w.v.Refresh(w.t.Context()))
		}, []string{"ok", "canceled"}},
		{"by Close", func(w *fixture) { require.NoError(w.t, w.v.Close()) }, []string{"canceled"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newFixture(t)
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
