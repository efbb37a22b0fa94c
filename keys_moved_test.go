package reachfive_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestKeyDiscoveryIsReadAgainOnAFailedFetchAtMostOnceAMinute(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w, m := newDiscoveringFixture(t)
		m.set(metadataOf(w.Issuer(), "https://keys.example/"))
		token := w.Token()
		w.accepts(token)
		w.SetDown(true)
		for start := time.Now(); time.Since(start) < 10*time.Minute+time.Second; advance(time.Second) {
			_ = w.v.Refresh(t.Context())
		}
		readings, _ := m.seen()
		assert.InDelta(t, 1+10, readings, 1)
		assert.Greater(t, w.requests(), 500)
		w.acceptsAtOnce(token)
	})
}

func TestKeyDiscoveryFollowsKeysThatMove(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w, m := newDiscoveringFixture(t)
		m.set(metadataOf(w.Issuer(), "https://gone.example/"))
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
		advance(time.Minute)
		for _, bad := range []string{"down", metadataOf("https://evil.example", "https://evil.example/"), "<html>"} {
			m.set(bad)
			unavailable(t, w.v.Refresh(t.Context()))
			assert.Equal(t, "https://gone.example/", w.v.Status().JWKSURL, "a failed reading keeps the last one")
			advance(time.Minute)
		}
		m.set(metadataOf(w.Issuer(), "https://keys.example/"))
		unavailable(t, w.v.Refresh(t.Context())) // reads it for the next fetch
		require.NoError(t, w.v.Refresh(t.Context()))
		assert.Equal(t, "https://keys.example/", w.v.Status().JWKSURL)
		_, hosts := m.seen()
		assert.NotContains(t, hosts, "evil.example")
	})
}

func TestKeyDiscoveryIsReadAgainAfterAMinuteOrAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	withClock(t, true, func(t *testing.T, w *fixture, clock *jumpingClock) {
		m := &metadata{next: w.Client().Transport}
		w.v = w.verifier(reachfive.WithDiscovery(), reachfive.WithHTTPClient(&http.Client{Transport: m}))
		m.set(metadataOf(w.Issuer(), "https://keys.example/"))
		require.NoError(t, w.v.Refresh(t.Context()))
		w.SetDown(true)
		fails := func(want int) {
			t.Helper()
			unavailable(t, w.v.Refresh(t.Context()))
			readings, _ := m.seen()
			assert.Equal(t, want, readings)
		}
		advance(time.Minute - time.Nanosecond)
		fails(1)
		advance(time.Nanosecond)
		fails(2)
		clock.set(-time.Hour)
		fails(3)
		fails(3)
	})
}

// The old place hangs, as a name does that leads to nobody any more.
func TestKeyDiscoveryFollowsKeysFromAPlaceThatHangs(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w, m := newDiscoveringFixture(t)
		m.set(metadataOf(w.Issuer(), "https://keys.example/"))
		w.accepts(w.Token())
		advance(time.Minute)
		w.OnJWKS(hang())
		m.set(metadataOf(w.Issuer(), "https://moved.example/"))
		unavailable(t, w.v.Refresh(t.Context()))
		w.OnJWKS(nil)
		require.NoError(t, w.v.Refresh(t.Context()))
		_, hosts := m.seen()
		assert.Equal(t, []string{"keys.example", "keys.example", "moved.example"}, hosts)
	})
}

// The old place answers as ever, with the old keys.
func TestKeyDiscoveryFollowsKeysThatMoveWhileTheOldPlaceAnswers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w, m := newDiscoveringFixture(t)
		m.set(metadataOf(w.Issuer(), "https://keys.example/"))
		w.accepts(w.Token())
		m.freeze("keys.example", `{"keys":[`+w.JWK("key-1")+`]}`)
		m.set(metadataOf(w.Issuer(), "https://moved.example/"))
		w.Rotate()
		rotated := w.Token()
		w.refuses(rotated, reachfive.CodeUnknownKey) // the document was read less than a minute ago
		readings, _ := m.seen()
		assert.Equal(t, 1, readings)
		advance(time.Minute)
		w.accepts(rotated)
		assert.Equal(t, "https://moved.example/", w.v.Status().JWKSURL)
		readings, hosts := m.seen()
		assert.Equal(t, 2, readings)
		assert.Equal(t, []string{"keys.example", "keys.example", "keys.example", "moved.example"}, hosts)
	})
}

func TestKeyDiscoveryIsReadForUnknownKIDsAtMostOnceAMinute(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w, m := newDiscoveringFixture(t)
		m.set(metadataOf(w.Issuer(), "https://keys.example/"))
		w.accepts(w.Token())
		junk, forged := w.Token(reachfivetest.KID("junk")), w.Token(reachfivetest.NoKID(), reachfivetest.WrongKey())
		for start := time.Now(); time.Since(start) < 10*time.Minute; advance(5 * time.Second) {
			w.refuses(junk, reachfive.CodeUnknownKey)
			w.refuses(forged, reachfive.CodeInvalidSignature)
		}
		readings, _ := m.seen()
		assert.InDelta(t, 1+9, readings, 1)
		assert.Less(t, w.requests(), 70)
	})
}

// The discovery document says where the keys are, so the answer of the old place
// decides nothing any more.
func TestKeyDiscoveryOfAPlaceThatFailsLeavesTheTokenUndecided(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w, m := newDiscoveringFixture(t)
		m.set(metadataOf(w.Issuer(), "https://keys.example/"))
		known := w.Token()
		w.accepts(known)
		advance(time.Minute)
		m.set(metadataOf(w.Issuer(), "https://gone.example/"))
		w.refuses(w.Token(reachfivetest.KID("junk")), reachfive.CodeKeysUnavailable)
		w.acceptsAtOnce(known)
	})
}

func TestKeyDiscoveryThatFailsForAnUnknownKIDChangesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w, m := newDiscoveringFixture(t)
		m.set(metadataOf(w.Issuer(), "https://keys.example/"))
		w.accepts(w.Token())
		for _, broken := range []string{"down", "", "<html>", metadataOf("https://evil.example", "https://evil.example/")} {
			advance(time.Minute)
			m.set(broken)
			w.refuses(w.Token(reachfivetest.KID("junk")), reachfive.CodeUnknownKey)
			assert.Equal(t, "https://keys.example/", w.v.Status().JWKSURL)
			assert.False(t, w.v.Status().Failing)
		}
	})
}
