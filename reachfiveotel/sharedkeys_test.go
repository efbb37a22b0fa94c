package reachfiveotel_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestOnlyFetchesOfThisProcessCountAsRefreshes(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	for _, shared := range []reachfive.SharedFetch{
		reachfive.SharedNone, reachfive.SharedTaken, reachfive.SharedTaken, reachfive.SharedFetched, reachfive.SharedWaited,
	} {
		c.telemetry.Observer().FetchDone(t.Context(), reachfive.FetchEvent{
			Issuer: "https://a.example", Cause: reachfive.CauseFirst, Shared: shared, Result: "ok",
		})
	}
	assert.Equal(t, map[string]float64{"ok": 2}, c.series(t, "reachfive.keys.refreshes", "reachfive.result"))
	assert.Equal(t, map[string]float64{
		"taken first https://a.example": 2, "fetched first https://a.example": 1, "waited first https://a.example": 1,
	}, c.series(t, "reachfive.keys.shared", "reachfive.shared", "reachfive.cause", "reachfive.issuer"))
	assert.Len(t, c.spans.GetSpans(), 2)
}

// failingStore is a SharedKeyStore that fails while it is down, and else has
// nothing but the right to fetch.
type failingStore struct{ down bool }

func (s *failingStore) Ask(context.Context, string, string, time.Duration) ([]byte, time.Duration, string, time.Duration, string, error) {
	return nil, 0, "lease", 0, "", s.err()
}

func (s *failingStore) Publish(context.Context, string, string, []byte, time.Duration, time.Duration) error {
	return s.err()
}

func (s *failingStore) Release(context.Context, string, string, time.Duration, string) error {
	return s.err()
}

func (s *failingStore) err() error {
	if s.down {
		return errors.New("down")
	}
	return nil
}

func TestASharedKeyStoreIsUpOrDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t)
		tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
		up := func() map[string]float64 {
			synctest.Wait()
			return c.series(t, "reachfive.keys.shared_store.up", "reachfive.issuer")
		}
		alone, err := c.telemetry.WatchKeys(tenant.Verifier())
		require.NoError(t, err)
		assert.Empty(t, up(), "there is no store")
		require.NoError(t, alone.Unregister())

		store := &failingStore{}
		v := tenant.Verifier(reachfive.WithSharedKeyStore(store))
		_, err = c.telemetry.WatchKeys(v)
		require.NoError(t, err)
		require.NoError(t, v.Refresh(t.Context()))
		assert.Equal(t, map[string]float64{tenant.Issuer(): 1}, up())
		store.down = true
		require.NoError(t, v.Refresh(t.Context()))
		assert.Equal(t, map[string]float64{tenant.Issuer(): 0}, up())
	})
}
