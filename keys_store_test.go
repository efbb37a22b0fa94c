package reachfive_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
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
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// memoryStore is a KeyStore in memory.
type memoryStore struct {
	mu     sync.Mutex
	record []byte
	loads  int
	saves  int
}

func (s *memoryStore) Load(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	return s.record, nil
}

func (s *memoryStore) Save(_ context.Context, record []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saves++
	s.record = record
	return nil
}

func (s *memoryStore) load() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.record)
}

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

func TestKeyStoreServesARestartDuringAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := new(memoryStore)
		w := newWorld(t, reachfive.WithKeyStore(store))
		token := w.Token()
		w.accepts(token)
		synctest.Wait()
		assert.Equal(t, 1, store.saves)
		require.NoError(t, w.v.Close())

		pass(time.Hour)
		w.SetDown(true)
		w.v = w.verifier(reachfive.WithKeyStore(store))
		w.accepts(token)
		assert.Equal(t, 2, w.requests(), "a fetch is tried first")
		w.acceptsAtOnce(token)
		w.refuses(w.Token(reachfivetest.KID("junk")), reachfive.CodeKeysUnavailable)
		require.NoError(t, w.v.HealthCheck(t.Context()))
		s := w.v.Status()
		assert.Equal(t, time.Hour, time.Since(s.FetchedAt))
		assert.Equal(t, s.FetchedAt.Add(24*time.Hour), s.ServesUntil)
		assert.True(t, s.Failing)

		pass(23*time.Hour - time.Nanosecond)
		w.accepts(token)
		pass(time.Nanosecond)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable) // MaxStale counts from the fetch
		assert.Equal(t, 2, store.loads, "once for each Verifier")
		assert.Equal(t, 1, store.saves)
	})
}

func TestKeyStoreNeverStandsForAFetchThatIsGood(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := new(memoryStore)
		w := newWorld(t, reachfive.WithKeyStore(store))
		removed := w.Token()
		w.accepts(removed)
		require.NoError(t, w.v.Close())
		w.Rotate()
		w.RemoveKey("key-1")
		w.SetDelay(time.Second)
		w.v = w.verifier(reachfive.WithKeyStore(store))
		assert.Equal(t, time.Second, took(func() { w.refuses(removed, reachfive.CodeUnknownKey) }))
		assert.Contains(t, strings.Join(w.logged(), "\n"), "added=[key-2] removed=[key-1]")
		assert.Equal(t, []reachfive.State{
			reachfive.StateHealthy, // of the process before
			reachfive.StateHealthy, reachfive.StateKeysChanged,
		}, w.stateChanges())
	})
}

func TestKeyStoreWithoutMaxStaleServesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := new(memoryStore)
		w := newWorld(t, reachfive.WithKeyStore(store))
		w.accepts(w.Token())
		require.NoError(t, w.v.Close())
		w.SetDown(true)
		w.v = w.verifier(reachfive.WithKeyStore(store), reachfive.WithMaxStale(0))
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
	})
}

func TestKeyStoreRecordAgesByTheMonotonicClockToo(t *testing.T) {
	store := new(memoryStore)
	withClock(t, false, func(t *testing.T, w *world, clock *jumpingClock) {
		w.v = w.verifier(reachfive.WithKeyStore(store))
		w.accepts(w.Token())
		require.NoError(t, w.v.Close())
		w.SetDown(true)
		pass(time.Hour)
		w.v = w.verifier(reachfive.WithKeyStore(store))
		w.accepts(w.Token())
		clock.set(-12 * time.Hour)
		pass(23 * time.Hour)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
	})
}

func TestKeyStoreRecordThatDoesNotFitIsIgnoredWithOneLine(t *testing.T) {
	change := func(name string, value any) func(map[string]any) {
		return func(record map[string]any) { record[name] = value }
	}
	for _, tt := range []struct {
		name   string
		change func(record map[string]any)
		raw    string
		reason string
	}{
		{name: "no JSON", raw: "{", reason: "broken"},
		{name: "empty", raw: " ", reason: "broken"},
		{name: "a member twice", raw: `{"issuer":"a","issuer":"b"}`, reason: "broken"},
		{name: "something after it", raw: `{} {}`, reason: "broken"},
		{name: "a null", raw: `null`, reason: "another issuer"},
		{name: "another issuer", change: change("issuer", "https://evil.example"), reason: "another issuer"},
		{name: "another URL", change: change("jwks_url_sha256", strings.Repeat("0", 64)), reason: "another JWKS URL"},
		{name: "ahead of now", change: change("fetched_at", time.Date(2000, 1, 1, 0, 0, 1, 1, time.UTC)), reason: "in the future"},
		{name: "no document", change: change("jwks", []byte{}), reason: "no JWK Set"},
		{name: "no usable key", change: change("jwks", []byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`)), reason: "no usable key"},
		{name: "too large", change: change("jwks", []byte(strings.Repeat(" ", 512<<10+1))), reason: "broken"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store := new(memoryStore)
				w := newWorld(t, reachfive.WithKeyStore(store))
				w.accepts(w.Token())
				require.NoError(t, w.v.Close())
				if tt.change == nil {
					store.record = []byte(tt.raw)
				} else {
					var record map[string]any
					require.NoError(t, json.Unmarshal(store.record, &record))
					tt.change(record)
					changed, err := json.Marshal(record)
					require.NoError(t, err)
					store.record = changed
				}
				w.SetDown(true)
				pass(time.Second)
				before := len(w.logged())
				w.v = w.verifier(reachfive.WithKeyStore(store))
				w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
				log := w.logged()[before:]
				require.Len(t, log, 2, "one for the record, one for the outage")
				assert.Contains(t, log[0], tt.reason)
				assert.NotContains(t, log[0], "evil")
			})
		})
	}
}

func TestKeyStoreThatBreaksItsContractCostsALine(t *testing.T) {
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
				w := newWorld(t, reachfive.WithKeyStore(storeFuncs{load: func(ctx context.Context) ([]byte, error) {
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
				w := newWorld(t, reachfive.WithKeyStore(storeFuncs{save: func(ctx context.Context, _ []byte) error {
					return tt.breach(ctx, release)
				}}))
				assert.Zero(t, took(func() { w.accepts(w.Token()) }), "a request waited for a save")
				w.acceptsAtOnce(w.Token())
				if tt.limit == 0 {
					synctest.Wait() // until the first save is over, or it would be given up too
				}
				w.Rotate()
				assert.Zero(t, took(func() { w.accepts(w.Token()) }), "a fetch waited for a save")
				pass(3 * time.Second)
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

func TestKeyCloseWithAStoreThatHangsReturnsWithinASecond(t *testing.T) { // F34
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
				w := newWorld(t, reachfive.WithKeyStore(tt.store))
				go func() { _, _ = w.v.Verify(t.Context(), w.Token()) }()
				synctest.Wait()
				assert.Equal(t, tt.limit, took(func() { require.NoError(t, w.v.Close()) }))
				assert.NotContains(t, strings.Join(w.logged(), "\n"), "stored", "to be closed is no failure of the store")
			})
		})
	}
}

func TestKeyCloseLetsASaveFinish(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		saved := false
		w := newWorld(t, reachfive.WithKeyStore(storeFuncs{save: func(ctx context.Context, _ []byte) error {
			pass(300 * time.Millisecond)
			saved = ctx.Err() == nil
			return ctx.Err()
		}}))
		w.accepts(w.Token()) // a process that verifies one token
		require.NoError(t, w.v.Close())
		assert.True(t, saved)
	})
}

func TestKeyStoreHoldsWhatWasFetched(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := new(memoryStore)
		w, m := newDiscoveringWorld(t, reachfive.WithKeyStore(store))
		m.set(metadataOf(w.Issuer(), "https://keys.example/"))
		// A key of bad UTF-8 is skipped, and must stay so when it comes back.
		text := `{"keys":[` + w.JWK(w.KID()) + `,` + strings.Replace(w.JWK(w.KID()), "key-1", "\xff", 1) + `]}`
		w.OnJWKS(document(text))
		w.SetDelay(time.Second)
		began := time.Now()
		w.accepts(w.Token())
		synctest.Wait()
		var record struct {
			Issuer    string    `json:"issuer"`
			JWKSURL   string    `json:"jwks_url"`
			FetchedAt time.Time `json:"fetched_at"`
			JWKS      []byte    `json:"jwks"`
		}
		require.NoError(t, json.Unmarshal(store.record, &record))
		assert.Equal(t, w.Issuer(), record.Issuer)
		assert.Equal(t, "https://keys.example/", record.JWKSURL)
		assert.True(t, began.Equal(record.FetchedAt), "the keys are those of the moment at which they were asked for")
		assert.Equal(t, text, string(record.JWKS))

		require.NoError(t, w.v.Close())
		m.set("down")
		w.v = w.verifier(reachfive.WithDiscovery(), reachfive.WithKeyStore(store),
			reachfive.WithHTTPClient(&http.Client{Transport: m}))
		w.accepts(w.Token())
		assert.Equal(t, uint64(1), w.v.Status().SkippedKeys)
	})
}

// A record that is still being written when newer keys come must not land after
// theirs: the removed key would be back after a restart.
func TestKeyStoreThatIsSlowAndDeafKeepsTheNewestKeys(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var calls, running atomic.Int64
		var stored memoryStore
		w := newWorld(t)
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
		pass(2 * time.Second)
		require.NoError(t, w.v.Close())
		assert.EqualValues(t, 2, calls.Load())

		w.SetDown(true)
		w.v = w.verifier(reachfive.WithKeyStore(&stored))
		w.refuses(token, reachfive.CodeKeysUnavailable)
	})
}

func TestKeyStoreWhoseWarningsPanicTheLoggerEndsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		failing := storeFuncs{
			load: func(context.Context) ([]byte, error) { return []byte("broken"), nil },
			save: func(context.Context, []byte) error { return errors.New("disk full") },
		}
		w.v = w.verifier(reachfive.WithKeyStore(failing), reachfive.WithLogger(slog.New(panicking{slog.DiscardHandler})))
		w.accepts(w.Token())
		pass(time.Second)
	})
}

// panicking is a slog.Handler that panics at every line.
type panicking struct{ slog.Handler }

func (panicking) Enabled(context.Context, slog.Level) bool  { return true }
func (panicking) Handle(context.Context, slog.Record) error { panic("the handler is broken") }
func (p panicking) WithAttrs([]slog.Attr) slog.Handler      { return p }
