package reachfive_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestKeyLastGoodSetServesThroughAnOutageAndNobodyWaitsAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.accepts(w.Token())
		advance(10 * time.Minute)
		w.OnJWKS(hang())
		assert.Equal(t, 5*time.Second, took(func() { w.accepts(w.Token()) }), "the first request finds out")

		start := time.Now()
		token := w.Token()
		for time.Since(start) < 23*time.Hour {
			w.acceptsAtOnce(token)
			advance(30 * time.Second)
		}
		w.OnJWKS(nil)
		advance(2 * time.Minute)
		w.acceptsAtOnce(w.Token()) // starts the fetch that heals
		synctest.Wait()
		assert.False(t, w.v.Status().Failing)
		assert.Equal(t, []reachfive.State{reachfive.StateHealthy, reachfive.StateFailing, reachfive.StateRecovered}, w.stateChanges())
		assert.Len(t, w.logged(), 3, "one line for a change of state, none for a request")
		causes := w.causes()
		require.Equal(t, reachfive.CauseFirst, causes[0])
		for _, cause := range causes[1:] {
			require.Equal(t, reachfive.CauseLifetime, cause, "the lifetime was over all the time")
		}
	})
}

func TestKeyFailureAheadOfTheEndOfTheLifetimeCountsAsKnown(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		token := w.Token()
		w.accepts(token)
		w.OnJWKS(hang())
		for range 30 * 60 { // half an hour: through the whole of the second lifetime
			w.acceptsAtOnce(token)
			advance(time.Second)
		}
	})
}

func TestKeyFailureOfYesterdayDoesNotSpareAFetch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		token := w.Token()
		w.accepts(token)
		w.SetDown(true)
		w.refuses(w.Token(reachfivetest.KID("junk")), reachfive.CodeKeysUnavailable)
		w.SetDown(false)
		w.Rotate()
		w.RemoveKey("key-1")
		advance(8 * time.Hour) // without a request
		w.refuses(token, reachfive.CodeUnknownKey)
	})
}

func TestKeyUnknownKIDDuringAnOutageIsUnavailableAndNeverUnknown(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		known := w.Token()
		w.accepts(known)
		w.SetDown(true)
		junk := w.Token(reachfivetest.KID("junk"))
		for range 10_000 {
			w.refuses(junk, reachfive.CodeKeysUnavailable)
		}
		w.Rotate()
		rotated := w.Token()
		for start := time.Now(); time.Since(start) < 5*time.Minute; advance(500 * time.Millisecond) {
			w.refuses(rotated, reachfive.CodeKeysUnavailable)
			w.refuses(junk, reachfive.CodeKeysUnavailable)
			w.acceptsAtOnce(known)
		}
		t.Logf("10000 junk kids and 600 tokens of a new key during an outage of 5 minutes: keys_unavailable each, %d fetches", w.requests()-1)
		w.SetDown(false)
		advance(time.Minute)
		w.accepts(rotated)
	})
}

func TestKeyUnavailableSaysWhenItMakesSenseToComeBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.accepts(w.Token())
		w.SetDown(true)
		junk := w.Token(reachfivetest.KID("junk"))
		for range 6 { // until backoff is the shorter of the two pauses
			_, err := w.v.Verify(t.Context(), junk)
			again := unavailable(t, err)
			before := w.requests()
			advance(again - time.Nanosecond)
			w.refuses(junk, reachfive.CodeKeysUnavailable)
			if again > time.Second { // the least that is ever said
				assert.Equal(t, before, w.requests(), "it made sense before %v", again)
			}
			advance(time.Nanosecond)
			w.refuses(junk, reachfive.CodeKeysUnavailable)
			assert.Greater(t, w.requests(), before, "it made no sense after %v", again)
		}
	})
}

func TestKeyEndpointThatHangsHoldsNoKnownKID(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		token := w.Token()
		w.accepts(token)
		w.OnJWKS(hang())
		junk := w.Token(reachfivetest.KID("junk"))
		var flood sync.WaitGroup
		calls := 0
		for range 60 * 60 {
			flood.Go(func() { w.refuses(junk, reachfive.CodeKeysUnavailable) })
			synctest.Wait()
			w.acceptsAtOnce(token)
			calls++
			advance(time.Second)
		}
		flood.Wait()
		t.Logf("%d calls with a known kid while the endpoint hangs, over an hour: none waited", calls)
	})
}

// One request meets the outage, and then there is none for hours.
func TestKeyAfterALongSilenceTheProviderIsAskedBeforeOldKeysServe(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		removed := w.Token()
		w.accepts(removed)
		advance(10 * time.Minute)
		w.SetDown(true)
		w.accepts(removed) // through the outage
		w.SetDown(false)
		w.Rotate()
		w.RemoveKey("key-1")
		advance(20 * time.Hour)
		w.refuses(removed, reachfive.CodeUnknownKey)
	})
}

func TestKeyProviderIsKnownToBeDownForFiveMinutesAfterThePause(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request) bool
	}{
		{"Retry-After of five minutes", status(http.StatusServiceUnavailable, "Retry-After", "300")},
		{"Retry-After of a minute", status(http.StatusServiceUnavailable, "Retry-After", "60")},
		{"backoff", status(http.StatusServiceUnavailable)},
	} {
		for _, silence := range []time.Duration{0, 5*time.Minute - time.Nanosecond, 5 * time.Minute} {
			t.Run(tt.name+" and "+silence.String(), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T) {
					w := newFixture(t)
					token := w.Token()
					w.accepts(token)
					w.OnJWKS(tt.answer)
					advance(10 * time.Minute)
					w.accepts(token)
					advance(time.Until(w.v.Status().NextAttempt) + silence)
					w.SetDelay(time.Second)
					before := w.requests()
					waited := took(func() { w.accepts(token) })
					if silence < 5*time.Minute {
						assert.Zero(t, waited, "it is known that the provider is down")
					} else {
						assert.Equal(t, time.Second, waited, "the first request waits for a fetch")
					}
					advance(time.Second)
					assert.Equal(t, before+1, w.requests())
				})
			})
		}
	}
}
