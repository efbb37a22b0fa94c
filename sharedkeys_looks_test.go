package reachfive_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// rotated is a warm fleet in which one replica has fetched the keys again after
// the provider has replaced the old key. It returns a token of the old key.
func rotated(t *testing.T, opts ...reachfive.Option) (f *fleet, old string) {
	t.Helper()
	f = newFleet(t, opts...)
	old = f.Token()
	kid := f.KID()
	require.Equal(t, all(""), f.verdicts(old))
	advance(time.Minute)
	require.Equal(t, all(""), f.verdicts(old)) // all have looked just now
	f.Rotate()
	f.RemoveKey(kid)
	require.NoError(t, f.v.Refresh(t.Context()))
	f.shared()
	return f, old
}

func TestSharedKeysReachEveryReplicaWithTrafficWithin10Seconds(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]reachfive.Option{
		"verified in full": nil, "from the token cache": {reachfive.WithTokenCache(10)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				f, old := rotated(t, opts...)
				for range 10 {
					f.verdicts(old)
					advance(time.Second)
				}
				assert.Equal(t, all(reachfive.CodeUnknownKey), f.verdicts(old), "a removed key")
				assert.Equal(t, all(""), f.verdicts(f.Token()), "an added key")
				assert.GreaterOrEqual(t, f.shared()[reachfive.SharedTaken], fleetSize-1)
				assert.LessOrEqual(t, f.requests(), 4, "the first, the refresh, and those that the removed kid costs")
				for _, v := range f.replicas {
					assert.Equal(t, []string{f.KID()}, keyIDs(v))
				}
			})
		})
	}
}

func TestSharedKeysAreLookedForInTheBackgroundAfter5SecondsAndWaitedForAfter10(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f, old := rotated(t)
		v := f.replicas[1]
		verify := func() (waits bool, code reachfive.Code) {
			ctx := &watchedContext{Context: t.Context()}
			_, err := v.Verify(ctx, old)
			synctest.Wait()
			return ctx.waits.Load() > 0, reachfive.CodeOf(err)
		}
		advance(4900 * time.Millisecond)
		waits, code := verify()
		assert.False(t, waits)
		assert.Empty(t, code)
		assert.Empty(t, f.shared(), "looked a short while ago")
		advance(200 * time.Millisecond)
		waits, code = verify()
		assert.False(t, waits, "the look is in the background")
		assert.Empty(t, code)
		assert.Equal(t, map[reachfive.SharedFetch]int{reachfive.SharedTaken: 1}, f.shared())
		_, code = verify()
		assert.Equal(t, reachfive.CodeUnknownKey, code)

		v = f.replicas[2]
		advance(5 * time.Second)
		_, code = verify()
		assert.Equal(t, reachfive.CodeUnknownKey, code, "the first request after 10 s without any waits for the look")
	})
}

func TestSharedKeysAreNotLookedForMoreOftenThanEvery5Seconds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		token := f.Token()
		f.accepts(token)
		f.store.looks = 0
		for range 60 * 10 {
			f.accepts(token)
			advance(100 * time.Millisecond)
		}
		synctest.Wait()
		assert.InDelta(t, 12, f.store.looks, 1, "in a minute")
		assert.Equal(t, 1, f.requests())

		f.SetDown(true)
		advance(11 * time.Minute)
		f.accepts(token)
		f.store.looks = 0
		for range 60 * 10 {
			f.accepts(token)
			advance(100 * time.Millisecond)
		}
		synctest.Wait()
		assert.LessOrEqual(t, f.store.looks, 13+6*40, "in a minute of an outage, with those of the fetches that leave the right to others")
	})
}

// The age of a record is known only as well as the call was quick, so a quicker
// call makes the same record look newer.
func TestSharedKeysAreTakenOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.SetCacheControl("max-age=60")
		f.accepts(f.Token())
		f.shared()
		v := f.replicas[1]
		latency := 150 * time.Millisecond
		f.store.breaks(func(context.Context, string) error { time.Sleep(latency); return nil })
		for range 5 {
			_, err := v.Verify(t.Context(), f.Token())
			require.NoError(t, err)
			synctest.Wait()
			advance(9 * time.Second)
			latency -= 30 * time.Millisecond
		}
		assert.Equal(t, map[reachfive.SharedFetch]int{reachfive.SharedTaken: 1}, f.shared())
		advance(10 * time.Second)
		_, err := v.Verify(t.Context(), f.Token())
		require.NoError(t, err)
		assert.Equal(t, map[reachfive.SharedFetch]int{reachfive.SharedFetched: 1}, f.shared(), "the refresh ahead")
	})
}

func TestSharedKeysOverdueLookIsBounded(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.accepts(f.Token())
		advance(11 * time.Second)
		f.store.breaks(hangsInTime)
		assert.Equal(t, 200*time.Millisecond, took(func() { f.accepts(f.Token()) }))
		f.acceptsAtOnce(f.Token())
		advance(time.Minute)
		f.acceptsAtOnce(f.Token())
	})
}

func TestSharedKeysThatChangeAreReportedAsThoseOfAFetch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f, _ := rotated(t)
		w := fixtureOf(t, f.Tenant, reachfive.WithSharedKeyStore(f.store))
		w.accepts(w.Token())
		assert.Equal(t, []reachfive.State{reachfive.StateHealthy}, w.stateChanges())
		advance(time.Second)
		kid := w.KID()
		w.Rotate()
		w.RemoveKey(kid)
		require.NoError(t, f.v.Refresh(t.Context()))
		advance(11 * time.Second)
		w.accepts(w.Token())
		assert.Equal(t, []reachfive.State{reachfive.StateHealthy, reachfive.StateKeysChanged}, w.stateChanges())
		log := w.logged()
		assert.Contains(t, log[len(log)-1], `msg="reachfive: the keys have changed"`)
		require.Len(t, w.fetches, 2)
		assert.Equal(t, reachfive.FetchEvent{
			Issuer: "https://" + w.Domain, Cause: reachfive.CauseLook, Shared: reachfive.SharedTaken, Result: "ok", Keys: 1,
		}, w.fetches[1])
		assert.Zero(t, w.v.Status().Fetches, "this process has not asked the provider")
	})
}
