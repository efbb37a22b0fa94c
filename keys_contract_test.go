package reachfive_test

import (
	"context"
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

func TestKeyRefreshAheadStartsOneFetchAndNobodyWaits(t *testing.T) { // F27
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.SetCacheControl("max-age=1000")
		token := w.Token()
		w.accepts(token)

		pass(800*time.Second - time.Nanosecond)
		w.acceptsAtOnce(token)
		assert.Equal(t, 1, w.requests(), "before 80 % of the lifetime")

		w.SetDelay(3 * time.Second)
		pass(100*time.Second + time.Nanosecond)
		for range 100 {
			w.acceptsAtOnce(token)
		}
		assert.Equal(t, 2, w.requests(), "from 90 % of the lifetime on, whatever the jitter")
		pass(3 * time.Second)
		assert.Equal(t, []reachfive.FetchCause{reachfive.CauseFirst, reachfive.CauseAhead}, w.causes())
		assert.Equal(t, time.Now().Add(-3*time.Second), w.v.Status().FetchedAt.Local())
	})
}

func TestKeyRefreshAheadIsSpreadByJitter(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.SetCacheControl("max-age=1000")
		attempts := map[time.Time]bool{}
		for range 20 {
			v := w.verifier()
			require.NoError(t, v.Refresh(t.Context()))
			attempt := v.Status().NextAttempt
			attempts[attempt] = true
			assert.GreaterOrEqual(t, time.Until(attempt), 800*time.Second)
			assert.LessOrEqual(t, time.Until(attempt), 900*time.Second)
		}
		assert.Greater(t, len(attempts), 10)
	})
}

func TestKeyLifetimeOverWaitsForOneSharedFetch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		token := w.Token()
		w.accepts(token)
		pass(10 * time.Minute)
		w.SetDelay(2 * time.Second)
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				assert.Equal(t, 2*time.Second, took(func() { w.accepts(token) }))
			})
		}
		callers.Wait()
		assert.Equal(t, []reachfive.FetchCause{reachfive.CauseFirst, reachfive.CauseLifetime}, w.causes())
	})
}

func TestKeyLastGoodSetServesThroughAnOutageAndNobodyWaitsAgain(t *testing.T) { // F3
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.accepts(w.Token())
		pass(10 * time.Minute)
		w.OnJWKS(hang())
		assert.Equal(t, 5*time.Second, took(func() { w.accepts(w.Token()) }), "the first request finds out")

		start := time.Now()
		token := w.Token()
		for time.Since(start) < 23*time.Hour {
			w.acceptsAtOnce(token)
			pass(30 * time.Second)
		}
		w.OnJWKS(nil)
		pass(2 * time.Minute)
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
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		token := w.Token()
		w.accepts(token)
		w.OnJWKS(hang())
		for range 30 * 60 { // half an hour: through the whole of the second lifetime
			w.acceptsAtOnce(token)
			pass(time.Second)
		}
	})
}

func TestKeyFailureOfYesterdayDoesNotSpareAFetch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		token := w.Token()
		w.accepts(token)
		w.SetDown(true)
		w.refuses(w.Token(reachfivetest.KID("junk")), reachfive.CodeKeysUnavailable)
		w.SetDown(false)
		w.Rotate()
		w.RemoveKey("key-1")
		pass(8 * time.Hour) // without a request
		w.refuses(token, reachfive.CodeUnknownKey)
	})
}

func TestKeyBackoffDoublesToAMinuteWithJitter(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		var started []time.Time
		w.OnJWKS(answering(func(rw http.ResponseWriter, _ *http.Request) {
			started = append(started, time.Now())
			rw.WriteHeader(http.StatusInternalServerError)
		}))
		token := w.Token()
		for start := time.Now(); time.Since(start) < 10*time.Minute; pass(50 * time.Millisecond) {
			w.refuses(token, reachfive.CodeKeysUnavailable)
		}
		require.Greater(t, len(started), 12)
		want := time.Second
		for i := 1; i < len(started); i++ {
			waited := started[i].Sub(started[i-1])
			assert.GreaterOrEqual(t, waited, want*3/4)
			assert.LessOrEqual(t, waited, want+50*time.Millisecond)
			want = min(2*want, time.Minute)
		}
	})
}

func TestKeyRetryAfterIsHonoured(t *testing.T) { // F8
	const second = time.Second
	for _, tt := range []struct {
		name                string
		value               func(now time.Time) string
		withSet, withoutSet time.Duration
	}{
		{"seconds", func(time.Time) string { return "120" }, 120 * second, 30 * second},
		{"few seconds", func(time.Time) string { return "20" }, 20 * second, 20 * second},
		{"a date", func(now time.Time) string { return now.Add(120 * second).UTC().Format(http.TimeFormat) }, 120 * second, 30 * second},
		{"a date that is over", func(now time.Time) string { return now.Add(-time.Hour).UTC().Format(http.TimeFormat) }, second, second},
		{"far too many seconds", func(time.Time) string { return "1000000000" }, 300 * second, 30 * second},
		{"more than any number", func(time.Time) string { return "99999999999999999999999999" }, 300 * second, 30 * second},
		{"a negative number", func(time.Time) string { return "-5" }, second, second},
		{"no number", func(time.Time) string { return "soon" }, second, second},
	} {
		for _, withSet := range []bool{true, false} {
			name, want := tt.name+" without a set", tt.withoutSet
			if withSet {
				name, want = tt.name+" with a set", tt.withSet
			}
			t.Run(name, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					w := newWorld(t)
					token := w.Token()
					if withSet {
						w.accepts(token)
						pass(10 * time.Minute)
					}
					before := w.requests()
					w.OnJWKS(answering(func(rw http.ResponseWriter, _ *http.Request) {
						rw.Header().Set("Retry-After", tt.value(time.Now()))
						rw.WriteHeader(http.StatusTooManyRequests)
					}))
					code := reachfive.CodeKeysUnavailable
					if withSet {
						code = ""
					}
					w.refuses(token, code)
					next := w.v.Status().NextAttempt
					assert.InDelta(t, want, time.Until(next), float64(second/4))
					if !withSet {
						_, err := w.v.Verify(t.Context(), token)
						assert.InDelta(t, max(want, second), unavailable(t, err), float64(second/4))
					}
					pass(time.Until(next) - time.Nanosecond)
					w.refuses(token, code)
					w.refuses(w.Token(reachfivetest.KID("junk")), reachfive.CodeKeysUnavailable)
					assert.Equal(t, before+1, w.requests(), "a request before it was over")
					pass(time.Nanosecond)
					w.refuses(token, code)
					assert.Equal(t, before+2, w.requests())
				})
			})
		}
	}
}

func TestKeyRetryAfterBindsEverythingButRefresh(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		token := w.Token()
		w.accepts(token)
		pass(10 * time.Minute)
		w.OnJWKS(status(http.StatusServiceUnavailable, "Retry-After", "200"))
		w.accepts(token)
		assert.Equal(t, 2, w.requests())

		// A Refresh that fails without a Retry-After lifts nothing.
		pass(100 * time.Second)
		w.OnJWKS(status(http.StatusInternalServerError))
		unavailable(t, w.v.Refresh(t.Context()))
		assert.Equal(t, 3, w.requests())
		pass(99 * time.Second)
		w.acceptsAtOnce(token)
		assert.Equal(t, 3, w.requests(), "Retry-After was forgotten")

		// One that gets another Retry-After counts it from then on.
		w.OnJWKS(status(http.StatusServiceUnavailable, "Retry-After", "200"))
		unavailable(t, w.v.Refresh(t.Context()))
		pass(199 * time.Second)
		w.acceptsAtOnce(token)
		assert.Equal(t, 4, w.requests(), "Retry-After was counted from an earlier failure")
		pass(time.Second)
		w.acceptsAtOnce(token)
		assert.Equal(t, 5, w.requests())
	})
}

func TestKeyFailedRefreshDoesNotPostponeWhatIsDue(t *testing.T) { // F37
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		token := w.Token()
		w.SetDown(true)
		w.refuses(token, reachfive.CodeKeysUnavailable)
		next := w.v.Status().NextAttempt
		for range 500 {
			unavailable(t, w.v.Refresh(t.Context()))
		}
		assert.Equal(t, next, w.v.Status().NextAttempt)
		assert.Equal(t, 501, w.requests())
		w.SetDown(false)
		pass(time.Until(next))
		w.accepts(token)
	})
}

func TestKeyFiveHundredRefreshesLeaveTheBackgroundRateAsItIs(t *testing.T) { // F37
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		for range 500 {
			require.NoError(t, w.v.Refresh(t.Context()))
		}
		assert.Equal(t, 500, w.requests())
		token := w.Token()
		for start := time.Now(); time.Since(start) < time.Hour; pass(10 * time.Second) {
			w.acceptsAtOnce(token)
		}
		assert.LessOrEqual(t, w.requests(), 500+8, "an hour is at most 8 times 80 % of 10 minutes")
	})
}

func TestKeyRefreshesAtOnceShareTheirFetches(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.SetDelay(time.Second)
		var callers sync.WaitGroup
		for range 500 {
			callers.Go(func() { assert.NoError(t, w.v.Refresh(t.Context())) })
		}
		callers.Wait()
		assert.LessOrEqual(t, w.requests(), 2)
	})
}

func TestKeyRefreshDoesNotWaitForAFetchThatHangs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.OnJWKS(hang())
		token := w.Token()
		var waiting sync.WaitGroup
		for range 10 {
			waiting.Go(func() {
				assert.Zero(t, took(func() { w.accepts(token) }), "the answer is here, and they wait for another")
			})
		}
		synctest.Wait()
		w.OnJWKS(nil)
		assert.Zero(t, took(func() { require.NoError(t, w.v.Refresh(t.Context())) }))
		waiting.Wait()
		assert.Equal(t, []reachfive.State{reachfive.StateHealthy}, w.stateChanges(), "no failure of the provider")
	})
}

func TestKeyRefreshTakesNoAnswerOfAFetchBeforeIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.accepts(w.Token())
		stolen := w.Token()
		w.SetDelay(2 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = w.v.Refresh(ctx) }() // is answered with the keys of this moment
		synctest.Wait()
		cancel()
		w.Rotate()
		w.RemoveKey("key-1")
		require.NoError(t, w.v.Refresh(t.Context()))
		w.refuses(stolen, reachfive.CodeUnknownKey)
	})
}

func TestKeySetOverMaxStaleServesNoMoreAndHealsAtOnce(t *testing.T) { // F4
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.accepts(w.Token())
		w.SetDown(true)
		pass(24*time.Hour - time.Nanosecond)
		w.accepts(w.Token())
		assert.Equal(t, w.v.Status().FetchedAt.Add(24*time.Hour), w.v.Status().ServesUntil)
		pass(time.Nanosecond)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
		unavailable(t, w.v.HealthCheck(t.Context()))
		w.SetDown(false)
		pass(2 * time.Second)
		w.accepts(w.Token())
		require.NoError(t, w.v.HealthCheck(t.Context()))
	})
}

func TestKeyMaxStaleNeverEndsBeforeTheLifetime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, reachfive.WithMaxStale(0))
		w.accepts(w.Token())
		w.SetDown(true)
		pass(10*time.Minute - time.Nanosecond)
		w.acceptsAtOnce(w.Token())
		require.NoError(t, w.v.HealthCheck(t.Context()))
		assert.Equal(t, w.v.Status().FreshUntil, w.v.Status().ServesUntil)
		pass(time.Nanosecond)
		synctest.Wait()
		pass(2 * time.Second)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
	})
}

func TestKeyRotationIsAcceptedOnItsFirstRequest(t *testing.T) { // F16, F17
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
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

func TestKeyRotationsAreAcceptedWithinTheBudget(t *testing.T) { // F18
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.accepts(w.Token())
		for range 2 {
			w.Rotate()
			w.accepts(w.Token())
		}
		w.Rotate()
		third := w.Token()
		w.refuses(third, reachfive.CodeKeysUnavailable)
		pass(10*time.Second - time.Nanosecond)
		w.refuses(third, reachfive.CodeKeysUnavailable)
		pass(time.Nanosecond)
		w.accepts(third)
	})
}

func TestKeyUnderAFloodOfJunkIsAcceptedWithinTenSeconds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
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
			pass(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, time.Since(rotated), 10*time.Second)
		t.Logf("accepted %v after the rotation, under a flood", time.Since(rotated))
	})
}

func TestKeyReplacedUnderItsKIDIsNoticedWhenTheLifetimeEnds(t *testing.T) { // F19
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		old := w.Token()
		w.accepts(old)
		w.ReplaceKey("key-1")
		replaced := w.Token()
		for range 1000 {
			w.refuses(replaced, reachfive.CodeInvalidSignature)
		}
		assert.Equal(t, 1, w.requests(), "a bad signature of a known kid fetches")
		t.Log("1000 bad signatures of a known kid: 0 fetches")
		pass(10 * time.Minute)
		w.accepts(replaced)
		w.refuses(old, reachfive.CodeInvalidSignature)
		assert.Equal(t, 2, w.requests())
	})
}

func TestKeyReplacedUnderItsKIDIsNoticedOnRefresh(t *testing.T) { // F19
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		old := w.Token()
		w.accepts(old)
		w.ReplaceKey("key-1")
		require.NoError(t, w.v.Refresh(t.Context()))
		w.accepts(w.Token())
		w.refuses(old, reachfive.CodeInvalidSignature)
	})
}

func TestKeyUnknownKIDDuringAnOutageIsUnavailableAndNeverUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		known := w.Token()
		w.accepts(known)
		w.SetDown(true)
		junk := w.Token(reachfivetest.KID("junk"))
		for range 10_000 {
			w.refuses(junk, reachfive.CodeKeysUnavailable)
		}
		w.Rotate()
		rotated := w.Token()
		for start := time.Now(); time.Since(start) < 5*time.Minute; pass(500 * time.Millisecond) {
			w.refuses(rotated, reachfive.CodeKeysUnavailable)
			w.refuses(junk, reachfive.CodeKeysUnavailable)
			w.acceptsAtOnce(known)
		}
		t.Logf("10000 junk kids and 600 tokens of a new key during an outage of 5 minutes: keys_unavailable each, %d fetches", w.requests()-1)
		w.SetDown(false)
		pass(time.Minute)
		w.accepts(rotated)
	})
}

func TestKeyUnavailableSaysWhenItMakesSenseToComeBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.accepts(w.Token())
		w.SetDown(true)
		junk := w.Token(reachfivetest.KID("junk"))
		for range 6 { // until backoff is the shorter of the two pauses
			_, err := w.v.Verify(t.Context(), junk)
			again := unavailable(t, err)
			before := w.requests()
			pass(again - time.Nanosecond)
			w.refuses(junk, reachfive.CodeKeysUnavailable)
			if again > time.Second { // the least that is ever said
				assert.Equal(t, before, w.requests(), "it made sense before %v", again)
			}
			pass(time.Nanosecond)
			w.refuses(junk, reachfive.CodeKeysUnavailable)
			assert.Greater(t, w.requests(), before, "it made no sense after %v", again)
		}
	})
}

func TestKeyKIDlessToken(t *testing.T) { // F21
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
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
		pass(10 * time.Second)
		w.refuses(forged, reachfive.CodeKeysUnavailable)
		w.acceptsAtOnce(plain)
	})
}

func TestKeySetWithoutKIDsVerifiesTokensWithAndWithoutOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := worldOf(t, reachfivetest.NewTenant(t, reachfivetest.InMemory(),
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
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, reachfive.WithTokenCache(100))
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

func TestKeyOlderAnswerIsDropped(t *testing.T) { // F36
	inBubble(t, func(t *testing.T) {
		store := new(memoryStore)
		// The first exchange takes its time, whatever becomes of its context.
		slow := make(chan struct{})
		w := newWorld(t)
		transport, first := w.Client().Transport, true
		v := w.verifier(reachfive.WithKeyStore(store), reachfive.WithHTTPClient(&http.Client{
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				wait := first
				first = false
				res, err := transport.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
				if wait {
					<-slow
				}
				return res, err
			}),
		}))
		old := w.Token()
		go func() { _, _ = v.Verify(t.Context(), old) }()
		synctest.Wait()
		w.Rotate()
		w.RemoveKey("key-1")
		require.NoError(t, v.Refresh(t.Context()))
		synctest.Wait()
		kept := store.load()
		close(slow)
		synctest.Wait()
		assert.Equal(t, kept, store.load(), "the older answer was stored")
		_, err := v.Verify(t.Context(), old)
		assert.Equal(t, reachfive.CodeUnknownKey, reachfive.CodeOf(err))
		assert.Equal(t, "key-2", v.Status().Keys[0].ID)
	})
}

func TestKeyCallerWhoGoesAwayEndsOnlyItsOwnWait(t *testing.T) { // F25, F26
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.SetDelay(600 * time.Millisecond)
		token := w.Token()
		var callers sync.WaitGroup
		callers.Go(func() { // the one that starts the fetch
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			assert.Equal(t, 100*time.Millisecond, took(func() {
				_, err := w.v.Verify(ctx, token)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Empty(t, reachfive.CodeOf(err))
			}))
		})
		synctest.Wait()
		for range 50 {
			callers.Go(func() {
				assert.Equal(t, 600*time.Millisecond, took(func() { w.accepts(token) }))
			})
		}
		callers.Wait()
		assert.Equal(t, 1, w.requests())
	})
}

func TestKeyPodWithoutTrafficBecomesReady(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.SetDown(true)
		unavailable(t, w.v.HealthCheck(t.Context()))
		for range 100 { // backoff holds for a probe as for a request
			unavailable(t, w.v.HealthCheck(t.Context()))
		}
		assert.Equal(t, 1, w.requests())
		w.SetDown(false)
		pass(time.Second)
		require.NoError(t, w.v.HealthCheck(t.Context()))
		assert.Equal(t, 2, w.requests())
		for range 1000 { // and then it costs nothing while a token can be decided
			pass(time.Minute)
			require.NoError(t, w.v.HealthCheck(t.Context()))
		}
		assert.Equal(t, 2, w.requests())
	})
}

func TestKeyHealthCheckWaitsWithinItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.OnJWKS(hang())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.Equal(t, time.Second, took(func() {
			assert.ErrorIs(t, w.v.HealthCheck(ctx), context.DeadlineExceeded)
		}))
		pass(4 * time.Second)
		synctest.Wait()
		assert.True(t, w.v.Status().Failing, "the fetch went on without it")
	})
}

func TestKeyStatusTellsWhatIsKnown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		assert.Equal(t, reachfive.Status{
			Issuer: w.Issuer(), JWKSURL: w.Issuer() + "/jwks.json", Algorithm: "RS256",
		}, w.v.Status())

		w.PublishRaw(`{"kty":"EC"}`, `nonsense-free {}`[len(`nonsense-free `):])
		w.SetCacheControl("max-age=300")
		fetched := time.Now().Round(0)
		w.accepts(w.Token())
		s := w.v.Status()
		require.Len(t, s.Keys, 1)
		assert.Equal(t, "key-1", s.Keys[0].ID)
		assert.Equal(t, 2048, s.Keys[0].Bits)
		assert.Len(t, s.Keys[0].Thumbprint, 43)
		assert.Equal(t, fetched, s.FetchedAt)
		assert.Equal(t, fetched.Add(300*time.Second), s.FreshUntil)
		assert.Equal(t, fetched.Add(24*time.Hour), s.ServesUntil)
		assert.Equal(t, uint64(2), s.SkippedKeys)
		assert.Equal(t, [2]uint64{1, 0}, [2]uint64{s.Fetches, s.Failures})
		assert.False(t, s.Failing)
		assert.Empty(t, s.LastError)

		w.SetDown(true)
		unavailable(t, w.v.Refresh(t.Context()))
		failed := w.v.Status()
		assert.True(t, failed.Failing)
		assert.Equal(t, "status 503", failed.LastError)
		assert.Equal(t, [2]uint64{2, 1}, [2]uint64{failed.Fetches, failed.Failures})
		assert.Equal(t, s.NextAttempt, failed.NextAttempt, "fresh keys are not asked for before their time")

		require.NoError(t, w.v.Close())
		assert.Zero(t, w.v.Status().NextAttempt)
	})
}

func TestKeyCloseEndsWhatRuns(t *testing.T) { // F6, F34
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.OnJWKS(hang())
		done := make(chan error)
		go func() {
			_, err := w.v.Verify(t.Context(), w.Token())
			done <- err
		}()
		synctest.Wait()
		assert.Zero(t, took(func() { require.NoError(t, w.v.Close()) }))
		unavailable(t, <-done)
		require.NoError(t, w.v.Close())
		assert.Empty(t, w.stateChanges(), "to be closed is no failure of the provider")
		assert.Empty(t, w.logged())
	})
}

func TestKeyVerifyGoesOnAfterCloseFromWhatIsKnown(t *testing.T) { // F34
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.accepts(w.Token())
		require.NoError(t, w.v.Close())
		w.acceptsAtOnce(w.Token())
		w.refuses(w.Token(reachfivetest.KID("junk")), reachfive.CodeKeysUnavailable)
		unavailable(t, w.v.Refresh(t.Context()))
		pass(9*time.Minute + 30*time.Second) // refresh ahead is due
		w.acceptsAtOnce(w.Token())
		pass(14 * time.Hour)
		w.accepts(w.Token())
		require.NoError(t, w.v.HealthCheck(t.Context()))
		pass(10 * time.Hour)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
		unavailable(t, w.v.HealthCheck(t.Context()))
		assert.Equal(t, 1, w.requests())
	})
}

func TestKeySetsOfTwoIssuersWithTheSameKIDAreKeptApart(t *testing.T) { // F43
	inBubble(t, func(t *testing.T) {
		one := newWorld(t, reachfive.WithTokenCache(100))
		other := worldOf(t, reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithName("other.localhost"),
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
