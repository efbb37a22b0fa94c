package reachfive_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestSharedKeysAgreeWhateverTheWallClocksSay(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.SetCacheControl("max-age=60")
		f.replicas = nil
		for i := range fleetSize {
			off := time.Duration(i%25-12) * time.Hour
			f.replicas = append(f.replicas, f.verifier(reachfive.WithSharedKeyStore(f.store),
				reachfive.WithClock(func() time.Time { return time.Now().Add(off) })))
		}
		now := time.Now()
		token := f.Token(reachfivetest.Claim("iat", now.Add(-13*time.Hour).Unix()), reachfivetest.Claim("auth_time", now.Add(-13*time.Hour).Unix()),
			reachfivetest.Claim("exp", now.Add(14*time.Hour).Unix()))
		for range 3 * 60 / 5 {
			assert.Equal(t, all(""), f.verdicts(token))
			advance(5 * time.Second)
		}
		assert.InDelta(t, 3.5, f.requests(), 0.5)
	})
}

func TestSharedKeysAgeFromTheAnswerOfTheProvider(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, reachfive.WithMaxStale(time.Hour))
		fetched := time.Now()
		f.accepts(f.Token())
		advance(5 * time.Minute)
		v := f.replicas[1]
		_, err := v.Verify(t.Context(), f.Token())
		require.NoError(t, err)
		s := v.Status()
		assert.WithinDuration(t, fetched, s.FetchedAt, time.Millisecond)
		assert.WithinDuration(t, fetched.Add(10*time.Minute), s.FreshUntil, time.Millisecond)
		assert.WithinDuration(t, fetched.Add(time.Hour), s.ServesUntil, time.Millisecond)
		assert.Equal(t, 1, f.requests())
		f.SetDown(true)
		advance(55*time.Minute - time.Second)
		_, err = v.Verify(t.Context(), f.Token())
		require.NoError(t, err)
		advance(time.Second)
		_, err = v.Verify(t.Context(), f.Token())
		unavailable(t, err)
	})
}

// forgedKeys is a store whose records somebody else has written.
type forgedKeys struct {
	*memoryKeys
	forge func(record map[string]any) (age time.Duration)
}

func (s *forgedKeys) Ask(ctx context.Context, name, cause string, youngerThan time.Duration) ([]byte, time.Duration, string, time.Duration, string, error) {
	record, age, lease, wait, reason, err := s.memoryKeys.Ask(ctx, name, cause, youngerThan)
	if record != nil {
		var members map[string]any
		if err := json.Unmarshal(record, &members); err != nil {
			return nil, 0, "", 0, "", err
		}
		forged := s.forge(members)
		record, err = json.Marshal(members)
		if forged != 0 {
			age = forged
		}
	}
	return record, age, lease, wait, reason, err
}

func TestSharedKeysRecordsThatCannotBeUsedCostALineAndAFetch(t *testing.T) {
	t.Parallel()
	set := func(name string, value any) func(map[string]any) time.Duration {
		return func(record map[string]any) time.Duration { record[name] = value; return 0 }
	}
	for name, tt := range map[string]struct {
		forge func(map[string]any) time.Duration
		want  string
	}{
		"another issuer":   {set("issuer", "https://evil.example"), "the record is of another issuer"},
		"another URL":      {set("jwks_url_sha256", "00"), "the record is of another JWKS URL"},
		"a later version":  {set("version", 2), "the record is of a later version"},
		"another shape":    {set("jwks", 7), "the record is broken"},
		"huge":             {set("jwks_url", strings.Repeat("x", 2<<20)), "the record is broken"},
		"a huge document":  {set("jwks", make([]byte, 600<<10)), "the record is broken"},
		"no keys":          {set("jwks", []byte(`{"keys":[]}`)), "no usable key"},
		"a lifetime of 0":  {set("lifetime_seconds", 0), "the lifetime of the record is over"},
		"from the future":  {func(map[string]any) time.Duration { return -time.Hour }, "the record is dated in the future"},
		"older than asked": {func(map[string]any) time.Duration { return 2 * time.Hour }, "the record is older than was asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				f := newFleet(t)
				f.accepts(f.Token())
				advance(time.Second)
				w := fixtureOf(t, f.Tenant, reachfive.WithSharedKeyStore(&forgedKeys{f.store, tt.forge}))
				before := f.requests()
				assert.Zero(t, took(func() { w.accepts(w.Token()) }), "it waits for nobody")
				assert.Equal(t, before+1, f.requests())
				require.NoError(t, f.v.Refresh(t.Context())) // another record
				for range 10 {
					advance(5 * time.Second)
					w.accepts(w.Token())
				}
				assert.Equal(t, before+2, f.requests())
				log := strings.Join(w.logged(), "\n")
				lines := strings.Count(log, "the shared keys are not used")
				assert.Contains(t, []int{1, 2}, lines, "one for each record: %s", log)
				assert.Contains(t, log, tt.want)
				assert.Empty(t, w.v.Status().SharedStoreError, "the store answers")
			})
		})
	}
}

// A record with keys of its own would let whoever wrote it sign in as anyone; one
// that is older would bring back a key that has been removed.
func TestSharedKeysAnOlderRecordReplacesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		old, kid := f.Token(), f.KID()
		f.accepts(old)
		advance(time.Second)
		f.store.breaks(hangsInTime) // the next fetch is not shared
		f.Rotate()
		f.RemoveKey(kid)
		require.NoError(t, f.v.Refresh(t.Context()))
		f.store.breaks(nil)
		for range 10 {
			f.refuses(old, reachfive.CodeUnknownKey)
			f.accepts(f.Token())
			advance(time.Second)
		}
		synctest.Wait()
	})
}

// slowAnswers delays what Ask has found.
type slowAnswers struct {
	*memoryKeys
	delay time.Duration
}

func (s *slowAnswers) Ask(ctx context.Context, name, cause string, youngerThan time.Duration) ([]byte, time.Duration, string, time.Duration, string, error) {
	record, age, lease, wait, reason, err := s.memoryKeys.Ask(ctx, name, cause, youngerThan)
	time.Sleep(s.delay)
	return record, age, lease, wait, reason, err
}

func TestSharedKeysALookThatEndsAfterANewerFetchReplacesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		slow := &slowAnswers{memoryKeys: f.store}
		w := fixtureOf(t, f.Tenant, reachfive.WithSharedKeyStore(slow))
		old, kid := w.Token(), w.KID()
		w.accepts(old)
		advance(time.Second)
		require.NoError(t, f.v.Refresh(t.Context())) // another record with the old key
		advance(7 * time.Second)
		slow.delay = 150 * time.Millisecond
		w.acceptsAtOnce(old) // starts a look, which finds that record
		synctest.Wait()
		slow.delay = 0
		w.Rotate()
		w.RemoveKey(kid)
		require.NoError(t, w.v.Refresh(t.Context()))
		w.refuses(old, reachfive.CodeUnknownKey)
		advance(time.Second) // the look has ended
		w.refuses(old, reachfive.CodeUnknownKey)
	})
}

// forget loses everything, as a store that is flushed.
func (m *memoryKeys) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.named)
}

func TestSharedKeysAFetchThatHasLostItsRightReplacesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.SetCacheControl("max-age=60")
		v, old, kid := f.replicas[1], f.Token(), f.KID()
		verify := func() reachfive.Code {
			_, err := v.Verify(t.Context(), old)
			return reachfive.CodeOf(err)
		}
		f.accepts(old)
		assert.Empty(t, verify())
		advance(46 * time.Second)
		assert.Empty(t, verify())
		advance(9 * time.Second)
		f.SetDelay(4 * time.Second)
		assert.Empty(t, verify(), "starts the refresh ahead, which will bring the keys of now")
		synctest.Wait()
		f.SetDelay(0)
		f.store.forget()
		f.Rotate()
		f.RemoveKey(kid)
		advance(100 * time.Millisecond)
		require.NoError(t, f.v.Refresh(t.Context()))
		advance(time.Second)
		assert.Equal(t, reachfive.CodeUnknownKey, verify(), "the look is overdue")
		advance(5 * time.Second) // the refresh ahead has ended
		assert.Equal(t, reachfive.CodeUnknownKey, verify())
		f.replicas = f.replicas[2:]
		assert.Equal(t, map[reachfive.Code]int{"": len(f.replicas)}, f.verdicts(f.Token()), "the record is that of the later fetch")
		assert.NotContains(t, f.verdicts(old), reachfive.Code(""))
	})
}

func TestSharedKeysOfDifferentlyConfiguredVerifiersAreApart(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newMemoryKeys()
		w := newFixture(t, reachfive.WithSharedKeyStore(store))
		w.accepts(w.Token())
		other := w.verifier(reachfive.WithSharedKeyStore(store), reachfive.WithJWKSURL("https://"+w.Domain+"/jwks.json?v=2"))
		_, err := other.Verify(t.Context(), w.Token())
		require.NoError(t, err)
		discovering := w.verifier(reachfive.WithSharedKeyStore(store), reachfive.WithDiscovery())
		for range 2 {
			_, err = discovering.Verify(t.Context(), w.Token())
			require.NoError(t, err)
		}
		synctest.Wait()
		assert.Len(t, store.named, 3)
		assert.Equal(t, 3, w.requests())
		for name, e := range store.named {
			assert.NotContains(t, name+string(e.record), "v=2")
		}
	})
}

func TestSharedKeysAndAKeyStoreTogether(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.accepts(f.Token())
		file := new(memoryStore)
		w := fixtureOf(t, f.Tenant, reachfive.WithSharedKeyStore(f.store), reachfive.WithKeyStore(file))
		w.accepts(w.Token())
		synctest.Wait()
		assert.NotEmpty(t, file.record, "keys that were taken outlive the process, too")
		saved := string(file.record)
		f.refuses(withKID(f.Token(), "junk"), reachfive.CodeUnknownKey)
		w.refuses(withKID(w.Token(), "another"), reachfive.CodeKeysUnavailable) // the fleet has just asked
		synctest.Wait()
		assert.Equal(t, saved, string(file.record), "nobody was asked, so there is nothing to keep")
		w.SetDown(true)
		f.store.breaks(hangsInTime)
		advance(time.Minute)
		restarted := fixtureOf(t, f.Tenant, reachfive.WithSharedKeyStore(f.store), reachfive.WithKeyStore(file))
		restarted.accepts(w.Token())
	})
}
