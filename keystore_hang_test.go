package reachfive_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

func TestKeyStoreSaveThatHangsIsNotFollowedByAnother(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var stored memoryStore
		release := make(chan struct{})
		var calls atomic.Int64
		w := newFixture(t)
		w.v = w.verifier(reachfive.WithKeyStore(storeFuncs{save: func(_ context.Context, record []byte) error {
			calls.Add(1)
			<-release // whatever its context says
			return stored.Save(context.Background(), record)
		}}))
		w.accepts(w.Token())
		advance(2 * time.Second)
		before := bubbleGoroutines()
		for range 100 {
			require.NoError(t, w.v.Refresh(t.Context()))
			advance(2 * time.Second)
		}
		w.Rotate()
		w.accepts(w.Token())
		advance(2 * time.Second)
		assert.EqualValues(t, 1, calls.Load())
		assert.Equal(t, before, bubbleGoroutines(), "a fetch has left a goroutine behind")
		assert.Equal(t, "the keys cannot be stored: timeout", w.v.Status().StoreError)

		close(release)
		synctest.Wait()
		assert.EqualValues(t, 2, calls.Load(), "the newest record follows, and none that it replaces")
		assert.Empty(t, w.v.Status().StoreError)
		require.NoError(t, w.v.Close())
		w.SetDown(true)
		w.v = w.verifier(reachfive.WithKeyStore(&stored))
		w.accepts(w.Token())
	})
}

func TestKeyStoreSaveThatIsSlowIsNoErrorOnceItHasSucceeded(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.v = w.verifier(reachfive.WithKeyStore(storeFuncs{save: func(context.Context, []byte) error {
			<-time.After(3 * time.Second)
			return nil
		}}))
		w.accepts(w.Token())
		advance(1500 * time.Millisecond)
		assert.Equal(t, "the keys cannot be stored: timeout", w.v.Status().StoreError)
		advance(2 * time.Second)
		assert.Empty(t, w.v.Status().StoreError)
	})
}

func TestKeyStatusTellsTheLastErrorOfTheStore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var fails bool
		store := storeFuncs{
			load: func(context.Context) ([]byte, error) { return nil, errors.New("redis://:hunter2@db/") },
			save: func(context.Context, []byte) error {
				if fails {
					return errors.New("redis://:hunter2@db/")
				}
				return nil
			},
		}
		w := newFixture(t)
		w.v = w.verifier(reachfive.WithKeyStore(store))
		assert.Empty(t, w.v.Status().StoreError)
		w.SetDown(true)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
		assert.Equal(t, "the stored keys cannot be read: error of the key store", w.v.Status().StoreError)
		w.SetDown(false)
		for _, want := range []string{"", "the keys cannot be stored: error of the key store", ""} {
			fails = want != ""
			require.NoError(t, w.v.Refresh(t.Context()))
			synctest.Wait()
			assert.Equal(t, want, w.v.Status().StoreError)
		}
		require.NoError(t, w.v.Close())
		w.SetDown(true)
		w.v = w.verifier(reachfive.WithKeyStore(&memoryStore{record: []byte("{")}))
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
		assert.Equal(t, "the stored keys are not used: the record is broken", w.v.Status().StoreError)
	})
}

// At the first start there is no file, which is fine; but without a directory
// there will never be one.
func TestKeyFileStoreWithoutItsDirectoryIsToldAtTheFirstUse(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.v = w.verifier(reachfive.WithKeyStore(reachfive.FileKeyStore("/nonexistent/directory/keys.json")))
		w.SetDown(true)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
		log := w.logged()
		require.Len(t, log, 2)
		assert.Contains(t, log[0], "the stored keys cannot be read")
		assert.Contains(t, log[0], "/nonexistent/directory")
		assert.Contains(t, w.v.Status().StoreError, "/nonexistent/directory")
	})
}
