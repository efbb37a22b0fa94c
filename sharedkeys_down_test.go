package reachfive_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// hangsInTime is the fault of a store that hangs within its context.
func hangsInTime(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// safeError is an error whose text may be logged.
type safeError struct{ error }

func (safeError) SafeToLog() {}

func TestSharedKeysStoreThatIsDownCostsNoVerdict(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		fault  func(forever <-chan struct{}) func(context.Context, string) error
		costs  time.Duration
		later  time.Duration // what the store costs a Refresh while it is down
		reason string
	}{
		{"an error", func(<-chan struct{}) func(context.Context, string) error {
			return func(context.Context, string) error { return errors.New("redis://:hunter2@store") }
		}, 0, 0, "error of the key store"},
		{"an error that is safe to log", func(<-chan struct{}) func(context.Context, string) error {
			return func(context.Context, string) error { return safeError{errors.New("no permission")} }
		}, 0, 0, "no permission"},
		{"a panic", func(<-chan struct{}) func(context.Context, string) error {
			return func(context.Context, string) error { panic("hunter2") }
		}, 0, 0, "panic in the key store"},
		{"its goroutine ends", func(<-chan struct{}) func(context.Context, string) error {
			return func(context.Context, string) error { runtime.Goexit(); return nil }
		}, 0, 0, "panic in the key store"},
		{"hangs within its context", func(<-chan struct{}) func(context.Context, string) error {
			return hangsInTime
		}, 200 * time.Millisecond, 200 * time.Millisecond, "timeout"},
		{"hangs whatever its context says", func(forever <-chan struct{}) func(context.Context, string) error {
			return func(context.Context, string) error { <-forever; return nil }
		}, 200 * time.Millisecond, 0, "timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				release := make(chan struct{})
				var calls atomic.Int64
				store := newMemoryKeys()
				fault := tt.fault(release)
				store.breaks(func(ctx context.Context, method string) error {
					calls.Add(1)
					return fault(ctx, method)
				})
				w := newFixture(t, reachfive.WithSharedKeyStore(store))
				w.SetCacheControl("max-age=60")
				assert.Equal(t, tt.costs, took(func() { w.accepts(w.Token()) }))
				assert.Equal(t, tt.reason, w.v.Status().SharedStoreError)
				calls.Store(0)
				for range 55 * 5 {
					w.acceptsAtOnce(w.Token())
					advance(200 * time.Millisecond)
				}
				assert.LessOrEqual(t, calls.Load(), int64(56), "one call a second")
				assert.Equal(t, 2, w.requests(), "the refresh ahead goes straight to the provider")
				assert.Equal(t, []reachfive.SharedFetch{"", ""}, sharedOf(w))
				assert.Equal(t, tt.later, took(func() { assert.NoError(t, w.v.Refresh(t.Context())) }))
				w.store(t, store, release)
			})
		})
	}
}

// store brings the store up again, and checks that the Verifier uses it.
func (w *fixture) store(t *testing.T, store *memoryKeys, release chan struct{}) {
	t.Helper()
	close(release)
	store.breaks(nil)
	advance(time.Second)
	w.acceptsAtOnce(w.Token()) // starts the probe
	synctest.Wait()
	assert.Empty(t, w.v.Status().SharedStoreError)
	log := strings.Join(w.logged(), "\n")
	assert.Equal(t, 1, strings.Count(log, "the shared key store does not answer"), log)
	assert.Equal(t, 1, strings.Count(log, "the shared key store answers again"), log)
	assert.NotContains(t, log, "hunter2")
	require.NoError(t, w.v.Refresh(t.Context()))
	assert.Equal(t, reachfive.SharedFetched, sharedOf(w)[3])
}

// sharedOf returns what became of the fetches.
func sharedOf(w *fixture) (shared []reachfive.SharedFetch) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.fetches {
		shared = append(shared, e.Shared)
	}
	return shared
}

func TestSharedKeysOfARefreshReachTheOthersAsSoonAsTheStoreIsUp(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		old, kid := f.Token(), f.KID()
		assert.Equal(t, all(""), f.verdicts(old))
		f.store.breaks(func(context.Context, string) error { return errors.New("down") })
		advance(10 * time.Second)
		assert.Equal(t, all(""), f.verdicts(old), "everybody has seen that the store is down")
		f.Rotate()
		f.RemoveKey(kid)
		f.store.breaks(nil)
		require.NoError(t, f.replicas[0].Refresh(t.Context()), "and it has not probed the store since")
		advance(10 * time.Second)
		f.verdicts(old) // starts the probe, and does not wait for it
		assert.Equal(t, all(reachfive.CodeUnknownKey), f.verdicts(old))
	})
}

func TestSharedKeysStoreThatIsDownDelaysNoRefusal(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newMemoryKeys()
		store.breaks(hangsInTime)
		w := newFixture(t, reachfive.WithSharedKeyStore(store))
		w.SetDown(true)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
		for range 40 {
			assert.Zero(t, took(func() { w.refuses(w.Token(), reachfive.CodeKeysUnavailable) }), "nobody waits for a probe")
			advance(500 * time.Millisecond)
		}
	})
}

func TestSharedKeysComeToAReplicaThatHasNoneAndMayNotFetch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.OnJWKS(status(http.StatusTooManyRequests, "Retry-After", "300"))
		f.verdicts(f.Token())
		advance(6 * time.Second)
		f.OnJWKS(nil)
		require.NoError(t, f.v.Refresh(t.Context()), "somebody asks for it")
		synctest.Wait() // its keys are published after the call
		assert.Equal(t, all(""), f.verdicts(f.Token()))
		assert.Equal(t, 2, f.requests())
	})
}

func TestSharedKeysCallsThatNeverReturnDoNotPileUp(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		store := newMemoryKeys()
		store.breaks(func(context.Context, string) error { <-release; return nil })
		w := newFixture(t, reachfive.WithSharedKeyStore(store))
		w.accepts(w.Token())
		before := bubbleGoroutines()
		for range 60 {
			w.acceptsAtOnce(w.Token())
			advance(time.Second)
		}
		assert.LessOrEqual(t, bubbleGoroutines(), before)
		assert.LessOrEqual(t, took(func() { assert.NoError(t, w.v.Close()) }), time.Second)
		close(release)
	})
}

// A right to fetch that comes too late would keep everybody from fetching.
func TestSharedKeysGiveBackARightToFetchThatCameTooLate(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.store.breaks(func(_ context.Context, method string) error {
			if method == "Ask" {
				time.Sleep(300 * time.Millisecond)
			}
			return nil
		})
		f.SetDown(true)
		f.refuses(f.Token(), reachfive.CodeKeysUnavailable)
		advance(time.Second)
		f.store.breaks(nil)
		f.SetDown(false)
		assert.Zero(t, took(func() {
			_, err := f.replicas[1].Verify(t.Context(), f.Token())
			assert.NoError(t, err)
		}))
	})
}

func TestSharedKeysStoreThatGoesDownNeverEmptiesAFleet(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.SetCacheControl("max-age=60")
		token := f.Token()
		for i := range 30 { // five minutes
			switch i {
			case 8:
				f.store.breaks(hangsInTime)
			case 20:
				f.store.breaks(nil)
			}
			assert.Equal(t, all(""), f.verdicts(token))
			advance(10 * time.Second)
		}
		assert.NotContains(t, f.stateChanges(), reachfive.StateFailing)
	})
}

// With the right to fetch always at somebody else, the keys must not grow old.
func TestSharedKeysStoreThatNeverGivesTheRightToFetch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t, reachfive.WithSharedKeyStore(stuckKeys{}))
		w.SetCacheControl("max-age=60")
		assert.InDelta(t, 2, took(func() { w.accepts(w.Token()) }).Seconds(), 0.2)
		for range 2 * 60 * 2 {
			assert.LessOrEqual(t, took(func() { w.accepts(w.Token()) }), 2200*time.Millisecond)
			advance(500 * time.Millisecond)
		}
		assert.Less(t, time.Since(w.v.Status().FetchedAt), 80*time.Second)
		w.Rotate()
		_, err := w.v.Verify(t.Context(), w.Token())
		assert.LessOrEqual(t, unavailable(t, err), 10*time.Second)
	})
}

// stuckKeys says to every Ask that another process is fetching.
type stuckKeys struct{}

func (stuckKeys) Ask(context.Context, string, string, time.Duration) ([]byte, time.Duration, string, time.Duration, string, error) {
	return nil, 0, "", 0, "", nil
}

func (stuckKeys) Publish(context.Context, string, string, []byte, time.Duration, time.Duration) error {
	return nil
}

func (stuckKeys) Release(context.Context, string, string, time.Duration, string) error { return nil }
