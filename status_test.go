package reachfive_test

import (
	"context"
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

func TestKeyCallerWhoGoesAwayEndsOnlyItsOwnWait(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.SetDelay(600 * time.Millisecond)
		token := w.Token()
		var callers sync.WaitGroup
		callers.Go(func() { // the one that starts the fetch
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			assert.Equal(t, 100*time.Millisecond, took(func() {
				_, err := w.v.Verify(ctx, token)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Empty(t, reachfive.CodeOf(err))
			}))
		})
		synctest.Wait()
		for range 50 {
			callers.Go(func() {
				assert.Equal(t, 600*time.Millisecond, took(func() { w.accepts(token) }))
			})
		}
		callers.Wait()
		assert.Equal(t, 1, w.requests())
	})
}

func TestKeyPodWithoutTrafficBecomesReady(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.SetDown(true)
		unavailable(t, w.v.HealthCheck(t.Context()))
		for range 100 { // backoff holds for a probe as for a request
			unavailable(t, w.v.HealthCheck(t.Context()))
		}
		assert.Equal(t, 1, w.requests())
		w.SetDown(false)
		advance(time.Second)
		require.NoError(t, w.v.HealthCheck(t.Context()))
		assert.Equal(t, 2, w.requests())
		for range 1000 { // and then it costs nothing while a token can be decided
			advance(time.Minute)
			require.NoError(t, w.v.HealthCheck(t.Context()))
		}
		assert.Equal(t, 2, w.requests())
	})
}

func TestKeyHealthCheckWaitsWithinItsContext(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.OnJWKS(hang())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.Equal(t, time.Second, took(func() {
			assert.ErrorIs(t, w.v.HealthCheck(ctx), context.DeadlineExceeded)
		}))
		advance(4 * time.Second)
		synctest.Wait()
		assert.True(t, w.v.Status().Failing, "the fetch went on without it")
	})
}

func TestKeyStatusTellsWhatIsKnown(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		assert.Equal(t, reachfive.Status{
			Issuer: w.Issuer(), JWKSURL: w.Issuer() + "/jwks.json", Algorithm: "RS256",
		}, w.v.Status())

		w.PublishRaw(`{"kty":"EC"}`, `nonsense-free {}`[len(`nonsense-free `):])
		w.SetCacheControl("max-age=300")
		fetched := time.Now().Round(0)
		w.accepts(w.Token())
		s := w.v.Status()
		require.Len(t, s.Keys, 1)
		assert.Equal(t, "key-1", s.Keys[0].ID)
		assert.Equal(t, 2048, s.Keys[0].Bits)
		assert.Len(t, s.Keys[0].Thumbprint, 43)
		assert.Equal(t, fetched, s.FetchedAt)
		assert.Equal(t, fetched.Add(300*time.Second), s.FreshUntil)
		assert.Equal(t, fetched.Add(24*time.Hour), s.ServesUntil)
		assert.Equal(t, uint64(2), s.SkippedKeys)
		assert.Equal(t, [2]uint64{1, 0}, [2]uint64{s.Fetches, s.Failures})
		assert.False(t, s.Failing)
		assert.Empty(t, s.LastError)

		w.SetDown(true)
		unavailable(t, w.v.Refresh(t.Context()))
		failed := w.v.Status()
		assert.True(t, failed.Failing)
		assert.Equal(t, "status 503", failed.LastError)
		assert.Equal(t, [2]uint64{2, 1}, [2]uint64{failed.Fetches, failed.Failures})
		assert.Equal(t, s.NextAttempt, failed.NextAttempt, "fresh keys are not asked for before their time")

		require.NoError(t, w.v.Close())
		assert.Zero(t, w.v.Status().NextAttempt)
	})
}

func TestKeyCloseEndsWhatRuns(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.OnJWKS(hang())
		done := make(chan error)
		go func() {
			_, err := w.v.Verify(t.Context(), w.Token())
			done <- err
		}()
		synctest.Wait()
		assert.Zero(t, took(func() { require.NoError(t, w.v.Close()) }))
		unavailable(t, <-done)
		require.NoError(t, w.v.Close())
		assert.Empty(t, w.stateChanges(), "closing is not a failure of the provider")
		assert.Empty(t, w.logged())
	})
}

func TestKeyVerifyGoesOnAfterCloseFromWhatIsKnown(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.accepts(w.Token())
		require.NoError(t, w.v.Close())
		w.acceptsAtOnce(w.Token())
		w.refuses(w.Token(reachfivetest.KID("junk")), reachfive.CodeKeysUnavailable)
		unavailable(t, w.v.Refresh(t.Context()))
		advance(9*time.Minute + 30*time.Second) // refresh ahead is due
		w.acceptsAtOnce(w.Token())
		advance(14 * time.Hour)
		w.accepts(w.Token())
		require.NoError(t, w.v.HealthCheck(t.Context()))
		advance(10 * time.Hour)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
		unavailable(t, w.v.HealthCheck(t.Context()))
		assert.Equal(t, 1, w.requests())
	})
}

// A monotonic reading would make the times of two processes, or of before and
// after a restart, compare as no dashboard expects.
func TestKeyStatusHasTheTimesOfTheWallClock(t *testing.T) {
	t.Parallel()
	withClock(t, false, func(t *testing.T, w *fixture, clock *jumpingClock) {
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
		advance(10 * time.Minute)
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

// What has been told to stop and does so within the second is waited for.
func TestKeyCloseLeavesNoCallBehindThatEndsInTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		open  func(w *fixture, call func(ctx context.Context)) *reachfive.Verifier
		takes time.Duration
	}{
		{"a request", func(w *fixture, call func(context.Context)) *reachfive.Verifier {
			return w.verifier(reachfive.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				call(r.Context())
				return nil, r.Context().Err()
			})}))
		}, 100 * time.Millisecond},
		{"a save", func(w *fixture, call func(context.Context)) *reachfive.Verifier {
			return w.verifier(reachfive.WithKeyStore(storeFuncs{save: func(ctx context.Context, _ []byte) error {
				call(ctx)
				return nil
			}}))
		}, 600 * time.Millisecond}, // after the grace that it has
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newFixture(t)
				var running atomic.Int64
				w.v = tt.open(w, func(ctx context.Context) {
					running.Add(1)
					defer running.Add(-1)
					<-ctx.Done()
					time.Sleep(100 * time.Millisecond)
				})
				go func() { _, _ = w.v.Verify(t.Context(), w.Token()) }()
				synctest.Wait()
				require.EqualValues(t, 1, running.Load())
				assert.Equal(t, tt.takes, took(func() { _ = w.v.Close() }))
				assert.Zero(t, running.Load())
			})
		})
	}
}

func TestStatusTellsWhetherTheKeysAreShared(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		opts []reachfive.Option
		want bool
	}{
		{nil, false},
		{[]reachfive.Option{reachfive.WithSharedKeyStore(newMemoryKeys())}, true},
	} {
		v, err := reachfive.New("acme.reach5.net", "client", tt.opts...)
		require.NoError(t, err)
		assert.Equal(t, tt.want, v.Status().SharesKeys)
	}
}
