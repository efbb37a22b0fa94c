package reachfive_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// storeFuncs is a KeyStore of functions.
type storeFuncs struct {
	load func(context.Context) ([]byte, error)
	save func(context.Context, []byte) error
}

func (s storeFuncs) Load(ctx context.Context) ([]byte, error) {
	if s.load == nil {
		return nil, nil
	}
	return s.load(ctx)
}

func (s storeFuncs) Save(ctx context.Context, record []byte) error {
	if s.save == nil {
		return nil
	}
	return s.save(ctx, record)
}

func TestKeyStoreThatBreaksItsContractCostsALine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		breach func(ctx context.Context, release <-chan struct{}) error
		limit  time.Duration
		reason string
	}{
		{"an error", func(context.Context, <-chan struct{}) error { return errors.New("redis://:hunter2@db/") }, 0, "error of the key store"},
		{"a panic", func(context.Context, <-chan struct{}) error { panic("hunter2") }, 0, "panic in the key store"},
		{"hangs within its context", func(ctx context.Context, _ <-chan struct{}) error {
			<-ctx.Done()
			return ctx.Err()
		}, time.Second, "timeout"},
		{"hangs whatever its context says", func(_ context.Context, release <-chan struct{}) error {
			<-release
			return nil
		}, time.Second, "timeout"},
	} {
		t.Run("Load: "+tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				w := newFixture(t, reachfive.WithKeyStore(storeFuncs{load: func(ctx context.Context) ([]byte, error) {
					return nil, tt.breach(ctx, release)
				}}))
				assert.Equal(t, tt.limit, took(func() { w.accepts(w.Token()) }))
				w.acceptsAtOnce(w.Token())
				log := w.logged()
				require.Len(t, log, 2)
				assert.Contains(t, log[0], tt.reason)
				assert.NotContains(t, log[0], "hunter2")
			})
		})
		t.Run("Save: "+tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				w := newFixture(t, reachfive.WithKeyStore(storeFuncs{save: func(ctx context.Context, _ []byte) error {
					return tt.breach(ctx, release)
				}}))
				assert.Zero(t, took(func() { w.accepts(w.Token()) }), "a request waited for a save")
				w.acceptsAtOnce(w.Token())
				if tt.limit == 0 {
					synctest.Wait() // until the first save is over, or it would be given up too
				}
				w.Rotate()
				assert.Zero(t, took(func() { w.accepts(w.Token()) }), "a fetch waited for a save")
				advance(3 * time.Second)
				log := w.logged()
				want := 4
				if tt.limit > 0 {
					want-- // the first save is given up for the second
				}
				require.Len(t, log, want)
				assert.Contains(t, log[len(log)-1], tt.reason)
				assert.NotContains(t, strings.Join(log, ""), "hunter2")
			})
		})
	}
}

func TestKeyCloseWithAStoreThatHangsReturnsWithinASecond(t *testing.T) {
	t.Parallel()
	hangs := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for _, tt := range []struct {
		name  string
		store storeFuncs
		limit time.Duration
	}{
		{"Load", storeFuncs{load: func(ctx context.Context) ([]byte, error) { return nil, hangs(ctx) }}, 0},
		{"Save", storeFuncs{save: func(ctx context.Context, _ []byte) error { return hangs(ctx) }}, 500 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newFixture(t, reachfive.WithKeyStore(tt.store))
				go func() { _, _ = w.v.Verify(t.Context(), w.Token()) }()
				synctest.Wait()
				assert.Equal(t, tt.limit, took(func() { require.NoError(t, w.v.Close()) }))
				assert.NotContains(t, strings.Join(w.logged(), "\n"), "stored", "closing is not a failure of the store")
			})
		})
	}
}

func TestKeyCloseLetsASaveFinish(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		saved := false
		w := newFixture(t, reachfive.WithKeyStore(storeFuncs{save: func(ctx context.Context, _ []byte) error {
			advance(300 * time.Millisecond)
			saved = ctx.Err() == nil
			return ctx.Err()
		}}))
		w.accepts(w.Token()) // a process that verifies one token
		require.NoError(t, w.v.Close())
		assert.True(t, saved)
	})
}

// A record that is still being written when newer keys come must not land after
// theirs: the removed key would be back after a restart.
func TestKeyStoreThatIsSlowAndDeafKeepsTheNewestKeys(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var calls, running atomic.Int64
		var stored memoryStore
		w := newFixture(t)
		w.v = w.verifier(reachfive.WithKeyStore(storeFuncs{save: func(ctx context.Context, record []byte) error {
			assert.EqualValues(t, 1, running.Add(1), "calls to Save overlap")
			defer running.Add(-1)
			if calls.Add(1) == 1 {
				time.Sleep(300 * time.Millisecond) // whatever ctx says
			}
			return stored.Save(ctx, record)
		}}))
		leaked := w.KID()
		token := w.Token()
		w.accepts(token)
		w.Rotate()
		w.RemoveKey(leaked)
		require.NoError(t, w.v.Refresh(t.Context()))
		advance(2 * time.Second)
		require.NoError(t, w.v.Close())
		assert.EqualValues(t, 2, calls.Load())

		w.SetDown(true)
		w.v = w.verifier(reachfive.WithKeyStore(&stored))
		w.refuses(token, reachfive.CodeKeysUnavailable)
	})
}

func TestKeyStoreWhoseWarningsPanicTheLoggerEndsNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		failing := storeFuncs{
			load: func(context.Context) ([]byte, error) { return []byte("broken"), nil },
			save: func(context.Context, []byte) error { return errors.New("disk full") },
		}
		w.v = w.verifier(reachfive.WithKeyStore(failing), reachfive.WithLogger(slog.New(panicking{slog.DiscardHandler})))
		w.accepts(w.Token())
		advance(time.Second)
	})
}

// panicking is a slog.Handler that panics at every line.
type panicking struct{ slog.Handler }

func (panicking) Enabled(context.Context, slog.Level) bool { return true }

func (panicking) Handle(context.Context, slog.Record) error { panic("the handler is broken") }

func (p panicking) WithAttrs([]slog.Attr) slog.Handler { return p }

// While one record is written two others come: only the newest is still wanted.
func TestKeyStoreIsSparedARecordThatWasOvertaken(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var saved []string
		w := newFixture(t, reachfive.WithKeyStore(storeFuncs{save: func(_ context.Context, text []byte) error {
			var record struct {
				JWKS []byte `json:"jwks"`
			}
			if err := json.Unmarshal(text, &record); err != nil {
				return err
			}
			saved = append(saved, string(record.JWKS))
			if len(saved) == 1 {
				advance(300 * time.Millisecond) // whatever its context says
			}
			return nil
		}}))
		for range 3 {
			w.accepts(w.Token())
			synctest.Wait()
			w.Rotate()
		}
		advance(time.Second)
		synctest.Wait()
		require.Len(t, saved, 2)
		assert.NotContains(t, saved[0], "key-2")
		assert.Contains(t, saved[1], "key-3")
	})
}
