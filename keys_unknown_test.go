package reachfive_test

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestKeyCountsOfAFloodOfJunkKIDs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		distinct bool
		pace     time.Duration // between two tokens of one goroutine
	}{
		{"10000 kids over 16 seconds", true, 100 * time.Millisecond},
		{"10000 kids over 16 minutes", true, 6 * time.Second},
		{"one kid 10000 times over 16 seconds", false, 100 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newFixture(t)
				w.SetCacheControl("max-age=3600")
				known := w.Token()
				w.accepts(known)
				start, before := time.Now(), w.requests()
				signed := w.Token()
				_, claims, _ := strings.Cut(signed, ".")
				var flood sync.WaitGroup
				for g := range 64 {
					flood.Go(func() {
						for i := range 157 {
							kid := "junk"
							if tt.distinct {
								kid += strconv.Itoa(g*157 + i)
							}
							// Nobody looks at the signature of an unknown kid.
							header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"` + kid + `"}`))
							if code := w.verify(header + "." + claims); code == reachfive.CodeKeysUnavailable {
								assert.True(t, tt.distinct, "the provider was asked about this kid")
							} else {
								assert.Equal(t, reachfive.CodeUnknownKey, code)
							}
							if i%10 == 0 {
								w.acceptsAtOnce(known)
							}
							advance(tt.pace)
						}
					})
				}
				flood.Wait()
				seconds := time.Since(start).Seconds()
				fetches := w.requests() - before
				assert.LessOrEqual(t, float64(fetches), 2+seconds/10)
				t.Logf("%d junk kids by 64 goroutines over T = %.0f s: %d fetches, 2 + T/10 = %.1f", 64*157, seconds, fetches, 2+seconds/10)
			})
		})
	}
}

func TestKeyBudgetRegainsFromItsFirstUseOn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.accepts(w.Token())
		junk := w.Token(reachfivetest.KID("junk"))
		w.refuses(junk, reachfive.CodeUnknownKey)
		advance(9 * time.Second)
		w.refuses(junk, reachfive.CodeUnknownKey)
		assert.Equal(t, 3, w.requests())
		w.Rotate()
		rotated := w.Token()
		advance(time.Second - time.Nanosecond)
		w.refuses(rotated, reachfive.CodeKeysUnavailable)
		advance(time.Nanosecond)
		w.accepts(rotated)
	})
}

// Without a monotonic clock the budget must neither stand still for as long as
// the clock was set back, nor be without end.
func TestKeyBudgetOutlivesAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	withClock(t, true, func(t *testing.T, w *fixture, clock *jumpingClock) {
		w.accepts(w.Token())
		junk := w.Token(reachfivetest.KID("junk"))
		for range 3 {
			w.refuses(junk, reachfive.CodeUnknownKey)
		}
		clock.set(-time.Hour)
		w.accepts(w.Token()) // the lifetime counts as over
		before := w.requests()
		for range 100 {
			w.refuses(junk, reachfive.CodeUnknownKey)
		}
		assert.Equal(t, before, w.requests(), "the budget has no end")
		w.Rotate()
		rotated := w.Token()
		advance(10*time.Second - time.Nanosecond)
		w.refuses(rotated, reachfive.CodeKeysUnavailable)
		advance(time.Nanosecond)
		w.accepts(rotated)
		for range 100 {
			w.refuses(junk, reachfive.CodeUnknownKey)
		}
		assert.Equal(t, before+1, w.requests())
	})
}

// spendBudget makes the unknown kids' budget empty. The kid is junk.
func (w *fixture) spendBudget() {
	w.t.Helper()
	junk := w.Token(reachfivetest.KID("junk"))
	for range 3 {
		w.refuses(junk, reachfive.CodeUnknownKey)
	}
}

// Nobody has asked the provider about the new key, so its token is not refused.
func TestKeyRotatedInWhileTheBudgetIsEmptyIsAskedToComeAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.accepts(w.Token())
		w.spendBudget()
		w.Rotate()
		rotated := w.Token()
		before := w.requests()
		_, err := w.v.Verify(t.Context(), rotated)
		again := unavailable(t, err)
		assert.LessOrEqual(t, again, 10*time.Second)
		assert.Equal(t, before, w.requests())
		advance(again - time.Nanosecond)
		w.refuses(rotated, reachfive.CodeKeysUnavailable)
		advance(time.Nanosecond)
		w.accepts(rotated)
		assert.Equal(t, before+1, w.requests())
		assert.Len(t, w.stateChanges(), 2, "an empty budget is not an outage")
	})
}

func TestKeyRemovedEndsItsTokensHoweverManyThereAre(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.accepts(w.Token())
		w.Rotate()
		w.RemoveKey("key-1")
		require.NoError(t, w.v.Refresh(t.Context()))
		before := w.requests()
		token := w.Token(reachfivetest.SignedBy("key-1"))
		for range 10_000 {
			w.refuses(token, reachfive.CodeUnknownKey)
		}
		assert.LessOrEqual(t, w.requests(), before+2)
	})
}

// pay makes the Verifier ask for n made-up kids.
func (w *fixture) pay(n int) {
	for i := range n {
		advance(10 * time.Second)
		w.refuses(w.Token(reachfivetest.KID(fmt.Sprint("made-up-", i))), reachfive.CodeUnknownKey)
	}
}

func TestKeyKIDsThatWereAskedAboutAreRememberedUpToAThousand(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.accepts(w.Token())
		w.pay(1001)
		w.spendBudget()
		verdict := func(i int) reachfive.Code { return w.verify(w.Token(reachfivetest.KID(fmt.Sprint("made-up-", i)))) }
		// junk was the 1,002nd.
		assert.Equal(t, reachfive.CodeKeysUnavailable, verdict(0))
		assert.Equal(t, reachfive.CodeKeysUnavailable, verdict(1))
		assert.Equal(t, reachfive.CodeUnknownKey, verdict(2))
		assert.Equal(t, reachfive.CodeUnknownKey, verdict(1000))
	})
}

func TestKeyMadeUpKIDsDoNotDisplaceARemovedKey(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		far := reachfivetest.Claim("exp", time.Now().Add(24*time.Hour).Unix())
		removed := w.Token(far)
		w.accepts(removed)
		w.Rotate()
		w.RemoveKey("key-1")
		w.accepts(w.Token())
		w.pay(1100)
		w.spendBudget()
		w.refuses(removed, reachfive.CodeUnknownKey)
	})
}

func TestKeyThatIsPublishedAfterAllIsUsedAndItsRemovalKnown(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.accepts(w.Token())
		w.Rotate()
		token := w.Token()
		w.OnJWKS(document(`{"keys":[` + w.JWK("key-1") + `]}`)) // a cache that is behind
		w.refuses(token, reachfive.CodeUnknownKey)
		w.spendBudget()
		w.refuses(token, reachfive.CodeUnknownKey)
		require.NoError(t, w.v.Refresh(t.Context()))
		w.refuses(token, reachfive.CodeUnknownKey) // the successor lacks it, too
		w.OnJWKS(nil)
		require.NoError(t, w.v.Refresh(t.Context()))
		w.accepts(token)
		w.OnJWKS(document(`{"keys":[` + w.JWK("key-1") + `]}`))
		require.NoError(t, w.v.Refresh(t.Context()))
		w.spendBudget()
		w.refuses(token, reachfive.CodeUnknownKey)
	})
}

// A kid that keys without one may have signed is not refused either, until the
// provider was asked about it.
func TestKeySetWithoutKIDsThatLacksTheKeyOfANamedTokenIsAskedFor(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := fixtureOf(t, reachfivetest.NewTenant(t, reachfivetest.InMemory(),
			reachfivetest.WithKeys(rsaKeys()...), reachfivetest.WithoutKIDs()))
		w.accepts(w.Token())
		forged := func(kid string) string { return w.Token(reachfivetest.KID(kid), reachfivetest.WrongKey()) }
		w.refuses(forged("a"), reachfive.CodeInvalidSignature)
		w.refuses(forged("b"), reachfive.CodeInvalidSignature)
		w.refuses(forged("c"), reachfive.CodeKeysUnavailable)
		w.refuses(forged("a"), reachfive.CodeInvalidSignature)
	})
}
