package reachfive_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// spendBudget makes the unknown kids' budget empty. The kid is junk.
func (w *world) spendBudget() {
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
		w := newWorld(t)
		w.accepts(w.Token())
		w.spendBudget()
		w.Rotate()
		rotated := w.Token()
		before := w.requests()
		_, err := w.v.Verify(t.Context(), rotated)
		again := unavailable(t, err)
		assert.LessOrEqual(t, again, 10*time.Second)
		assert.Equal(t, before, w.requests())
		pass(again - time.Nanosecond)
		w.refuses(rotated, reachfive.CodeKeysUnavailable)
		pass(time.Nanosecond)
		w.accepts(rotated)
		assert.Equal(t, before+1, w.requests())
		assert.Len(t, w.stateChanges(), 2, "an empty budget is no outage")
	})
}

func TestKeyRemovedEndsItsTokensHoweverManyThereAre(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
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
func (w *world) pay(n int) {
	for i := range n {
		pass(10 * time.Second)
		w.refuses(w.Token(reachfivetest.KID(fmt.Sprint("made-up-", i))), reachfive.CodeUnknownKey)
	}
}

func TestKeyKIDsThatWereAskedAboutAreRememberedUpToAThousand(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
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
		w := newWorld(t)
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
		w := newWorld(t)
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
		w := worldOf(t, reachfivetest.NewTenant(t, reachfivetest.InMemory(),
			reachfivetest.WithKeys(rsaKeys()...), reachfivetest.WithoutKIDs()))
		w.accepts(w.Token())
		forged := func(kid string) string { return w.Token(reachfivetest.KID(kid), reachfivetest.WrongKey()) }
		w.refuses(forged("a"), reachfive.CodeInvalidSignature)
		w.refuses(forged("b"), reachfive.CodeInvalidSignature)
		w.refuses(forged("c"), reachfive.CodeKeysUnavailable)
		w.refuses(forged("a"), reachfive.CodeInvalidSignature)
	})
}

func TestKeyRefreshGivesEachCallerAnErrorOfItsOwn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.OnJWKS(hang())
		go func() { _ = w.v.Refresh(t.Context()) }()
		synctest.Wait()
		errs := make(chan error, 2)
		for range 2 { // both wait for that one, and then share the next
			go func() { errs <- w.v.Refresh(t.Context()) }()
		}
		var first, second *reachfive.Error
		require.ErrorAs(t, <-errs, &first)
		require.ErrorAs(t, <-errs, &second)
		assert.Equal(t, 2, w.requests())
		first.RetryAfter = time.Hour
		assert.Less(t, second.RetryAfter, time.Hour)
	})
}
