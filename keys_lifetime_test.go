package reachfive_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

func TestKeyRefreshAheadStartsOneFetchAndNobodyWaits(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.SetCacheControl("max-age=1000")
		token := w.Token()
		w.accepts(token)

		advance(800*time.Second - time.Nanosecond)
		w.acceptsAtOnce(token)
		assert.Equal(t, 1, w.requests(), "before 80 % of the lifetime")

		w.SetDelay(3 * time.Second)
		advance(100*time.Second + time.Nanosecond)
		for range 100 {
			w.acceptsAtOnce(token)
		}
		assert.Equal(t, 2, w.requests(), "from 90 % of the lifetime on, whatever the jitter")
		advance(3 * time.Second)
		assert.Equal(t, []reachfive.FetchCause{reachfive.CauseFirst, reachfive.CauseAhead}, w.causes())
		assert.Equal(t, time.Now().Add(-3*time.Second), w.v.Status().FetchedAt.Local())
	})
}

func TestKeyRefreshAheadIsSpreadByJitter(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.SetCacheControl("max-age=1000")
		attempts, latest := map[time.Time]bool{}, time.Time{}
		for range 64 {
			v := w.verifier()
			require.NoError(t, v.Refresh(t.Context()))
			attempt := v.Status().NextAttempt
			attempts[attempt] = true
			if attempt.After(latest) {
				latest = attempt
			}
			assert.GreaterOrEqual(t, time.Until(attempt), 800*time.Second)
			assert.LessOrEqual(t, time.Until(attempt), 900*time.Second)
		}
		assert.Greater(t, len(attempts), 10)
		assert.Greater(t, time.Until(latest), 850*time.Second)
	})
}

func TestKeyLifetimeOverWaitsForOneSharedFetch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		token := w.Token()
		w.accepts(token)
		advance(10 * time.Minute)
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

func TestKeySetOverMaxStaleServesNoMoreAndHealsAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.accepts(w.Token())
		w.SetDown(true)
		advance(24*time.Hour - time.Nanosecond)
		w.accepts(w.Token())
		assert.Equal(t, w.v.Status().FetchedAt.Add(24*time.Hour), w.v.Status().ServesUntil)
		advance(time.Nanosecond)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
		unavailable(t, w.v.HealthCheck(t.Context()))
		w.SetDown(false)
		advance(2 * time.Second)
		w.accepts(w.Token())
		require.NoError(t, w.v.HealthCheck(t.Context()))
	})
}

func TestKeyMaxStaleNeverEndsBeforeTheLifetime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t, reachfive.WithMaxStale(0))
		w.accepts(w.Token())
		w.SetDown(true)
		advance(10*time.Minute - time.Nanosecond)
		w.acceptsAtOnce(w.Token())
		require.NoError(t, w.v.HealthCheck(t.Context()))
		assert.Equal(t, w.v.Status().FreshUntil, w.v.Status().ServesUntil)
		advance(time.Nanosecond)
		synctest.Wait()
		advance(2 * time.Second)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
	})
}

func TestKeyLifetimeIsCacheControlsWithinBounds(t *testing.T) {
	t.Parallel()
	const standard = 10 * time.Minute
	for _, tt := range []struct {
		header []string
		want   time.Duration
	}{
		{nil, standard},
		{[]string{""}, standard},
		{[]string{"max-age=300"}, 5 * time.Minute},
		{[]string{"Max-Age=300"}, 5 * time.Minute},
		{[]string{`max-age="300"`}, 5 * time.Minute},
		{[]string{"public, max-age=300 , must-revalidate"}, 5 * time.Minute},
		{[]string{"public,max-age=300"}, 5 * time.Minute},
		{[]string{"max-age=300", "max-age=120"}, 2 * time.Minute},
		{[]string{"max-age=0", "max-age=300"}, time.Minute},
		{[]string{"max-age=59"}, time.Minute},
		{[]string{"max-age=0"}, time.Minute},
		{[]string{"max-age=-1"}, time.Minute},
		{[]string{"max-age=1e3"}, time.Minute},
		{[]string{"max-age="}, time.Minute},
		{[]string{"max-age"}, time.Minute},
		{[]string{"max-age=3600"}, time.Hour},
		{[]string{"max-age=3601"}, time.Hour},
		{[]string{"max-age=31536000, immutable"}, time.Hour},
		{[]string{"max-age=100000000000000000000"}, time.Hour},
		{[]string{"s-maxage=60"}, standard},
		{[]string{"no-store"}, standard},
		{[]string{"no-cache, must-revalidate"}, standard},
		// The time that the answer has spent in caches on the way (RFC 9111 4.2).
		{[]string{"max-age=300", "Age: 60"}, 4 * time.Minute},
		{[]string{"max-age=86400", "Age: 60"}, time.Hour},
		{[]string{"max-age=86400", "Age: 84600"}, 30 * time.Minute},
		{[]string{"max-age=300", "Age: 299"}, time.Minute},
		{[]string{"max-age=300", "Age: 100000000000000000000"}, time.Minute},
		{[]string{"max-age=100000000000000000000", "Age: 60"}, time.Hour},
		{[]string{"max-age=300", "Age: -60"}, 5 * time.Minute},
		{[]string{"max-age=300", "Age: 1e2"}, 5 * time.Minute},
		{[]string{"max-age=300", "Age: "}, 5 * time.Minute},
		{[]string{"no-cache", "Age: 300"}, standard},
	} {
		t.Run(strings.Join(tt.header, "; "), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newFixture(t)
				set := `{"keys":[` + w.JWK(w.KID()) + `]}`
				w.OnJWKS(answering(func(rw http.ResponseWriter, _ *http.Request) {
					for _, value := range tt.header {
						if age, ok := strings.CutPrefix(value, "Age: "); ok {
							rw.Header().Set("Age", age)
							continue
						}
						rw.Header().Add("Cache-Control", value)
					}
					rw.Header().Set("Expires", "Thu, 01 Dec 1994 16:00:00 GMT")
					_, _ = io.WriteString(rw, set)
				}))
				require.NoError(t, w.v.Refresh(t.Context()))
				s := w.v.Status()
				assert.Equal(t, tt.want, s.FreshUntil.Sub(s.FetchedAt))
				// An hour of steady traffic costs between 1 and 75 fetches.
				token := w.Token()
				for start := time.Now(); time.Since(start) < time.Hour; advance(5 * time.Second) {
					w.acceptsAtOnce(token)
				}
				assert.LessOrEqual(t, w.requests(), 76)
				assert.GreaterOrEqual(t, w.requests(), 2)
			})
		})
	}
}
