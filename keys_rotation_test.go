package reachfive_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestKeyRotationIsAcceptedOnItsFirstRequest(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		old := w.Token()
		w.accepts(old)
		synctest.Wait() // until the fetch is reported: the next one ends as quickly
		w.Rotate()      // right after the start
		w.accepts(w.Token())
		assert.Equal(t, 2, w.requests(), "exactly one fetch")
		w.acceptsAtOnce(old)
		w.RemoveKey("key-1")
		w.acceptsAtOnce(old)
		require.NoError(t, w.v.Refresh(t.Context()))
		w.refuses(old, reachfive.CodeUnknownKey)
		assert.Equal(t, []reachfive.State{reachfive.StateHealthy, reachfive.StateKeysChanged, reachfive.StateKeysChanged}, w.stateChanges())
		log := w.logged()
		require.Len(t, log, 3)
		assert.Contains(t, log[1], "added=[key-2] removed=[]")
		assert.Contains(t, log[2], "added=[] removed=[key-1]")
	})
}

func TestKeyRotationsAreAcceptedWithinTheBudget(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.accepts(w.Token())
		for range 2 {
			w.Rotate()
			w.accepts(w.Token())
		}
		w.Rotate()
		third := w.Token()
		w.refuses(third, reachfive.CodeKeysUnavailable)
		advance(10*time.Second - time.Nanosecond)
		w.refuses(third, reachfive.CodeKeysUnavailable)
		advance(time.Nanosecond)
		w.accepts(third)
	})
}

func TestKeyUnderAFloodOfJunkIsAcceptedWithinTenSeconds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		known := w.Token()
		w.accepts(known)
		junk := w.Token(reachfivetest.KID("junk"))
		for range 50 {
			w.refuses(junk, reachfive.CodeUnknownKey)
		}
		w.Rotate()
		rotated, genuine := time.Now(), w.Token()
		for w.verify(genuine) != "" {
			w.refuses(genuine, reachfive.CodeKeysUnavailable)
			for range 10 {
				w.refuses(junk, reachfive.CodeUnknownKey)
				w.acceptsAtOnce(known)
			}
			advance(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, time.Since(rotated), 10*time.Second)
		t.Logf("accepted %v after the rotation, under a flood", time.Since(rotated))
	})
}

func TestKeyReplacedUnderItsKIDIsNoticedWhenTheLifetimeEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		old := w.Token()
		w.accepts(old)
		w.ReplaceKey("key-1")
		replaced := w.Token()
		for range 1000 {
			w.refuses(replaced, reachfive.CodeInvalidSignature)
		}
		assert.Equal(t, 1, w.requests(), "a bad signature of a known kid fetches")
		t.Log("1000 bad signatures of a known kid: 0 fetches")
		advance(10 * time.Minute)
		w.accepts(replaced)
		w.refuses(old, reachfive.CodeInvalidSignature)
		assert.Equal(t, 2, w.requests())
	})
}

func TestKeyReplacedUnderItsKIDIsNoticedOnRefresh(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		old := w.Token()
		w.accepts(old)
		w.ReplaceKey("key-1")
		require.NoError(t, w.v.Refresh(t.Context()))
		w.accepts(w.Token())
		w.refuses(old, reachfive.CodeInvalidSignature)
	})
}

func TestKeyKIDlessToken(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		plain := w.Token(reachfivetest.NoKID())
		w.accepts(plain) // one usable key
		w.Rotate()
		next := w.Token(reachfivetest.NoKID())
		w.accepts(next)
		w.accepts(plain) // one of several keys
		assert.Equal(t, 2, w.requests(), "one fetch, from the budget")
		forged := w.Token(reachfivetest.NoKID(), reachfivetest.WrongKey())
		for range 100 {
			w.refuses(forged, reachfive.CodeInvalidSignature)
		}
		assert.Equal(t, 3, w.requests(), "the budget is 2")
		w.SetDown(true)
		advance(10 * time.Second)
		w.refuses(forged, reachfive.CodeKeysUnavailable)
		w.acceptsAtOnce(plain)
	})
}

func TestKeySetWithoutKIDsVerifiesTokensWithAndWithoutOne(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := fixtureOf(t, reachfivetest.NewTenant(t, reachfivetest.InMemory(),
			reachfivetest.WithKeys(rsaKeys()...), reachfivetest.WithoutKIDs()))
		w.accepts(w.Token())
		w.accepts(w.Token(reachfivetest.KID("named")))
		assert.Equal(t, 1, w.requests())
		forged := w.Token(reachfivetest.KID("named"), reachfivetest.WrongKey())
		w.refuses(forged, reachfive.CodeInvalidSignature)
		assert.Equal(t, 2, w.requests(), "kid-less keys that do not fit may be old ones")
	})
}

func TestKeyRemovedEndsItsTokensInTheTokenCacheToo(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t, reachfive.WithTokenCache(100))
		token := w.Token()
		for range 3 {
			w.accepts(token)
		}
		w.Rotate()
		w.RemoveKey("key-1")
		w.accepts(w.Token()) // brings the new set
		w.refuses(token, reachfive.CodeUnknownKey)
	})
}

func TestKeySetsOfTwoIssuersWithTheSameKIDAreKeptApart(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		one := newFixture(t, reachfive.WithTokenCache(100))
		other := fixtureOf(t, reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithName("other.localhost"),
			reachfivetest.WithKeys(rsaKeys()[4:]...)), reachfive.WithTokenCache(100))
		require.Equal(t, one.KID(), other.KID())
		for range 2 {
			one.accepts(one.Token())
			other.accepts(other.Token())
			one.refuses(other.Token(), reachfive.CodeInvalidSignature)
			other.refuses(one.Token(), reachfive.CodeInvalidSignature)
		}
		// The issuer as claimed does not choose the key.
		one.refuses(other.Token(reachfivetest.Claim("iss", one.Issuer())), reachfive.CodeInvalidSignature)
	})
}
