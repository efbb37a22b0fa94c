package reachfive_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

func TestSharedKeysThePauseThatTheProviderAskedForBindsTheFleet(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.SetDelay(100 * time.Millisecond)
		f.OnJWKS(status(http.StatusTooManyRequests, "Retry-After", "90"))
		// refused checks that all are refused for lack of keys.
		refused := func() {
			t.Helper()
			f.each(func(_ int, v *reachfive.Verifier) {
				_, err := v.Verify(t.Context(), f.Token())
				assert.LessOrEqual(t, unavailable(t, err), 30*time.Second, "bounded by each, without keys")
			})
		}
		refused()
		assert.Equal(t, 1, f.requests())
		var failures uint64
		for _, v := range f.replicas {
			assert.Equal(t, "status 429", v.Status().LastError)
			failures += v.Status().Failures
		}
		assert.Equal(t, uint64(1), failures, "the others have asked nobody")
		advance(29 * time.Second)
		refused()
		assert.Equal(t, 1, f.requests())
		advance(2 * time.Second)
		refused()
		assert.Equal(t, 2, f.requests(), "one for all without keys, who wait no longer")
		f.OnJWKS(nil)
		advance(31 * time.Second)
		assert.Equal(t, all(""), f.verdicts(f.Token()))
		assert.Equal(t, 3, f.requests())

		f.OnJWKS(status(http.StatusServiceUnavailable, "Retry-After", "240"))
		advance(10*time.Minute + time.Second)
		assert.Equal(t, all(""), f.verdicts(f.Token()), "known keys serve")
		advance(230 * time.Second)
		assert.Equal(t, all(""), f.verdicts(f.Token()))
		assert.Equal(t, 4, f.requests())
		f.OnJWKS(nil)
		require.NoError(t, f.v.Refresh(t.Context()), "whatever the pause")
		assert.Equal(t, 5, f.requests())
	})
}

func TestSharedKeysOnlyAPauseThatTheProviderAskedForIsShared(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.OnJWKS(status(http.StatusInternalServerError, "Retry-After", "60"))
		f.refuses(f.Token(), reachfive.CodeKeysUnavailable)
		f.OnJWKS(nil)
		_, err := f.replicas[1].Verify(t.Context(), f.Token())
		require.NoError(t, err)
	})
}

// pausedKeys is a store in which somebody has written a pause.
type pausedKeys struct{ *memoryKeys }

func (pausedKeys) Ask(context.Context, string, string, time.Duration) ([]byte, time.Duration, string, time.Duration, string, error) {
	return nil, 0, "", 24 * time.Hour, "hunter2", nil
}

func TestSharedKeysTextOfAPauseIsNotTrusted(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t, reachfive.WithSharedKeyStore(pausedKeys{newMemoryKeys()}))
		_, err := w.v.Verify(t.Context(), w.Token())
		assert.LessOrEqual(t, unavailable(t, err), 30*time.Second)
		assert.Equal(t, "the provider asked for a pause", w.v.Status().LastError)
		assert.NotContains(t, strings.Join(w.logged(), "\n")+err.Error(), "hunter2")
		assert.Equal(t, []reachfive.State{reachfive.StateFailing}, w.stateChanges())
	})
}

// brokenNetwork is the network of a process that cannot reach the provider.
type brokenNetwork struct{ attempts atomic.Int64 }

func (b *brokenNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	b.attempts.Add(1)
	return nil, errors.New("no route to host")
}

func TestSharedKeysWhatOnlyOneReplicaSeesBindsOnlyIt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		network := new(brokenNetwork)
		broken := f.verifier(reachfive.WithSharedKeyStore(f.store), reachfive.WithHTTPClient(&http.Client{Transport: network}))
		_, err := broken.Verify(t.Context(), f.Token())
		unavailable(t, err)
		advance(10 * time.Millisecond)
		assert.Equal(t, all(""), f.verdicts(f.Token()))
		assert.Equal(t, 1, f.requests())
		advance(time.Second)
		_, err = broken.Verify(t.Context(), f.Token())
		require.NoError(t, err, "the keys of the others")
		assert.Equal(t, int64(1), network.attempts.Load())
		assert.False(t, broken.Status().Failing)

		// It leaves the next right to fetch to the others.
		advance(10*time.Minute + time.Second)
		synctest.Wait()
		var first sync.WaitGroup
		first.Go(func() {
			_, err := broken.Verify(t.Context(), f.Token())
			assert.NoError(t, err)
		})
		advance(time.Second)
		assert.Equal(t, all(""), f.verdicts(f.Token()))
		first.Wait()
		assert.Equal(t, 2, f.requests())
		assert.Equal(t, int64(1), network.attempts.Load())

		// Alone it tries again, 2 s after the fetch was due.
		advance(10*time.Minute + time.Second)
		_, err = broken.Verify(t.Context(), f.Token())
		require.NoError(t, err)
		assert.Equal(t, int64(2), network.attempts.Load())
	})
}

// holdsTheRight makes a replica get the right to fetch, and die.
func (f *fleet) holdsTheRight(cause reachfive.FetchCause) {
	f.store.mu.Lock()
	names := make([]string, 0, 1)
	for name := range f.store.named {
		names = append(names, name)
	}
	f.store.mu.Unlock()
	require.Len(f.t, names, 1)
	_, _, lease, _, _, err := f.store.Ask(f.t.Context(), names[0], string(cause), 0)
	require.NoError(f.t, err)
	require.NotEmpty(f.t, lease)
}

func TestSharedKeysWhenTheReplicaThatFetchesDies(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		token := f.Token()
		assert.Equal(t, all(""), f.verdicts(token))
		advance(9*time.Minute + 30*time.Second) // the refresh ahead is due
		f.holdsTheRight(reachfive.CauseAhead)
		for range 13 {
			assert.Zero(t, took(func() { assert.Equal(t, all(""), f.verdicts(token)) }), "known keys serve")
			advance(500 * time.Millisecond)
		}
		assert.Equal(t, 2, f.requests(), "another has fetched within 6 s")
		for range 10 {
			f.verdicts(token)
			advance(time.Second)
		}
		for _, v := range f.replicas {
			assert.Less(t, time.Since(v.Status().FetchedAt), 20*time.Second)
		}
	})
}

func TestSharedKeysWhenTheReplicaThatFetchesDiesAndTheLifetimeIsOver(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		assert.Equal(t, all(""), f.verdicts(f.Token()))
		advance(11 * time.Minute)
		f.holdsTheRight(reachfive.CauseLifetime)
		waited := took(func() { assert.Equal(t, all(""), f.verdicts(f.Token())) })
		assert.LessOrEqual(t, waited, 2200*time.Millisecond)
		assert.LessOrEqual(t, took(func() { assert.Equal(t, all(""), f.verdicts(f.Token())) }), time.Millisecond)
		assert.Equal(t, 1, f.requests())
		advance(5 * time.Second)
		assert.Equal(t, all(""), f.verdicts(f.Token()))
		assert.Equal(t, 2, f.requests(), "another has fetched when the right had ended")
		assert.NotContains(t, f.stateChanges(), reachfive.StateFailing)
	})
}

func TestSharedKeysAReplicaWithoutKeysWaits2SecondsForOthers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.fetchesAndDies()
		waited := took(func() {
			_, err := f.replicas[1].Verify(t.Context(), f.Token())
			require.NoError(t, err)
		})
		assert.InDelta(t, 2, waited.Seconds(), 0.2)
		assert.Equal(t, 2, f.requests())
	})
}

// fetchesAndDies makes the first replica fetch, hang, and never give back the
// right to fetch.
func (f *fleet) fetchesAndDies() {
	f.t.Helper()
	f.OnJWKS(hang())
	ctx, cancel := context.WithCancel(f.t.Context())
	cancel()
	_, err := f.v.Verify(ctx, f.Token())
	require.ErrorIs(f.t, err, context.Canceled)
	require.Equal(f.t, 1, f.requests())
	f.OnJWKS(nil)
}

func TestSharedKeysCloseGivesBackTheRightToFetch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.fetchesAndDies()
		assert.Less(t, took(func() { require.NoError(t, f.v.Close()) }), time.Second)
		waited := took(func() {
			_, err := f.replicas[1].Verify(t.Context(), f.Token())
			require.NoError(t, err)
		})
		assert.Zero(t, waited)
	})
}
