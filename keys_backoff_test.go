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

func TestKeyBackoffDoublesToAMinuteWithJitter(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		var started []time.Time
		w.OnJWKS(answering(func(rw http.ResponseWriter, _ *http.Request) {
			started = append(started, time.Now())
			rw.WriteHeader(http.StatusInternalServerError)
		}))
		token := w.Token()
		for start := time.Now(); time.Since(start) < 10*time.Minute; advance(50 * time.Millisecond) {
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

func TestKeyRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
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
					w := newFixture(t)
					token := w.Token()
					if withSet {
						w.accepts(token)
						advance(10 * time.Minute)
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
					advance(time.Until(next) - time.Nanosecond)
					w.refuses(token, code)
					w.refuses(w.Token(reachfivetest.KID("junk")), reachfive.CodeKeysUnavailable)
					assert.Equal(t, before+1, w.requests(), "a request before it was over")
					advance(time.Nanosecond)
					w.refuses(token, code)
					assert.Equal(t, before+2, w.requests())
				})
			})
		}
	}
}

func TestKeyRetryAfterBindsEverythingButRefresh(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		token := w.Token()
		w.accepts(token)
		advance(10 * time.Minute)
		w.OnJWKS(status(http.StatusServiceUnavailable, "Retry-After", "200"))
		w.accepts(token)
		assert.Equal(t, 2, w.requests())

		// A Refresh that fails without a Retry-After lifts nothing.
		advance(100 * time.Second)
		w.OnJWKS(status(http.StatusInternalServerError))
		unavailable(t, w.v.Refresh(t.Context()))
		assert.Equal(t, 3, w.requests())
		advance(99 * time.Second)
		w.acceptsAtOnce(token)
		assert.Equal(t, 3, w.requests(), "Retry-After was forgotten")

		// One that gets another Retry-After counts it from then on.
		w.OnJWKS(status(http.StatusServiceUnavailable, "Retry-After", "200"))
		unavailable(t, w.v.Refresh(t.Context()))
		advance(199 * time.Second)
		w.acceptsAtOnce(token)
		assert.Equal(t, 4, w.requests(), "Retry-After was counted from an earlier failure")
		advance(time.Second)
		w.acceptsAtOnce(token)
		assert.Equal(t, 5, w.requests())
	})
}

func TestKeyFailedRefreshDoesNotPostponeWhatIsDue(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
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
		advance(time.Until(next))
		w.accepts(token)
	})
}

func TestKeyBackoffIsSpreadByJitter(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
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
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		token := w.Token()
		w.accepts(token)
		advance(10 * time.Minute)
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
			advance(tt.passes)
			w.OnJWKS(status(http.StatusServiceUnavailable, "Retry-After", tt.retryAfter))
			unavailable(t, w.v.Refresh(t.Context()))
			assert.Equal(t, tt.want, time.Until(w.v.Status().NextAttempt))
		}
	})
}
