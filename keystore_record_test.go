package reachfive_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
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

func TestKeyStoreServesARestartDuringAnOutage(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := new(memoryStore)
		w := newFixture(t, reachfive.WithKeyStore(store))
		token := w.Token()
		w.accepts(token)
		synctest.Wait()
		assert.Equal(t, 1, store.saves)
		require.NoError(t, w.v.Close())

		advance(time.Hour)
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

		advance(23*time.Hour - time.Nanosecond)
		w.accepts(token)
		advance(time.Nanosecond)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable) // MaxStale counts from the fetch
		assert.Equal(t, 2, store.loads, "once for each Verifier")
		assert.Equal(t, 1, store.saves)
	})
}

func TestKeyStoreNeverStandsForAFetchThatIsGood(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := new(memoryStore)
		w := newFixture(t, reachfive.WithKeyStore(store))
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
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := new(memoryStore)
		w := newFixture(t, reachfive.WithKeyStore(store))
		w.accepts(w.Token())
		require.NoError(t, w.v.Close())
		w.SetDown(true)
		w.v = w.verifier(reachfive.WithKeyStore(store), reachfive.WithMaxStale(0))
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
	})
}

func TestKeyStoreRecordAgesByTheMonotonicClockToo(t *testing.T) {
	t.Parallel()
	store := new(memoryStore)
	withClock(t, false, func(t *testing.T, w *fixture, clock *jumpingClock) {
		w.v = w.verifier(reachfive.WithKeyStore(store))
		w.accepts(w.Token())
		require.NoError(t, w.v.Close())
		w.SetDown(true)
		advance(time.Hour)
		w.v = w.verifier(reachfive.WithKeyStore(store))
		w.accepts(w.Token())
		clock.set(-12 * time.Hour)
		advance(23 * time.Hour)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
	})
}

func TestKeyStoreRecordThatDoesNotFitIsIgnoredWithOneLine(t *testing.T) {
	t.Parallel()
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
				w := newFixture(t, reachfive.WithKeyStore(store))
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
				advance(time.Second)
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

func TestKeyStoreHoldsWhatWasFetched(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := new(memoryStore)
		w, m := newDiscoveringFixture(t, reachfive.WithKeyStore(store))
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
