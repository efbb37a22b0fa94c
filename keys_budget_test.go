package reachfive_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestKeyBackoffIsSpreadByJitter(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.SetDown(true)
		attempts := map[time.Time]bool{}
		for range 20 {
			v := w.verifier()
			unavailable(t, v.Refresh(t.Context()))
			attempts[v.Status().NextAttempt] = true
		}
		assert.Greater(t, len(attempts), 10)
	})
}

func TestKeyRetryAfterThatEndsLaterCounts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		token := w.Token()
		w.accepts(token)
		pass(10 * time.Minute)
		w.OnJWKS(status(http.StatusServiceUnavailable, "Retry-After", "200"))
		w.accepts(token)
		for _, tt := range []struct {
			passes     time.Duration // since the failure before
			retryAfter string
			want       time.Duration
		}{
			{150 * time.Second, "100", 100 * time.Second}, // 50 s were left, though of a longer one
			{60 * time.Second, "30", 40 * time.Second},    // the one before
			{10 * time.Second, "30", 30 * time.Second},    // both end at once
			{10 * time.Second, "", 20 * time.Second},
		} {
			pass(tt.passes)
			w.OnJWKS(status(http.StatusServiceUnavailable, "Retry-After", tt.retryAfter))
			unavailable(t, w.v.Refresh(t.Context()))
			assert.Equal(t, tt.want, time.Until(w.v.Status().NextAttempt))
		}
	})
}

func TestKeyBudgetRegainsFromItsFirstUseOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.accepts(w.Token())
		junk := w.Token(reachfivetest.KID("junk"))
		w.refuses(junk, reachfive.CodeUnknownKey)
		pass(9 * time.Second)
		w.refuses(junk, reachfive.CodeUnknownKey)
		assert.Equal(t, 3, w.requests())
		w.Rotate()
		rotated := w.Token()
		pass(time.Second - time.Nanosecond)
		w.refuses(rotated, reachfive.CodeKeysUnavailable)
		pass(time.Nanosecond)
		w.accepts(rotated)
	})
}

// Without a monotonic clock the budget must neither stand still for as long as
// the clock was set back, nor be without end.
func TestKeyBudgetOutlivesAClockThatIsSetBack(t *testing.T) {
	withClock(t, true, func(t *testing.T, w *world, clock *jumpingClock) {
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
		pass(10*time.Second - time.Nanosecond)
		w.refuses(rotated, reachfive.CodeKeysUnavailable)
		pass(time.Nanosecond)
		w.accepts(rotated)
		for range 100 {
			w.refuses(junk, reachfive.CodeUnknownKey)
		}
		assert.Equal(t, before+1, w.requests())
	})
}
