package reachfive_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// shiftedWall returns at with its wall clock shifted by whole seconds and its
// monotonic reading as it was: what a machine shows that was suspended, or whose
// clock was set. No function of package time makes such a time, so this one
// reaches into its first word: a flag, 33 bits of seconds, 30 of nanoseconds.
func shiftedWall(at time.Time, by time.Duration) time.Time {
	if !strings.Contains(at.String(), " m=") {
		panic("no monotonic reading")
	}
	wall := (*uint64)(unsafe.Pointer(&at))
	*wall += uint64(by/time.Second) << 30 // wraps for what is negative
	return at
}

func TestShiftedWallLeavesTheMonotonicReading(t *testing.T) {
	t.Parallel()
	at := time.Now()
	for _, by := range []time.Duration{24 * time.Hour, -time.Hour} {
		shifted := shiftedWall(at, by)
		assert.Equal(t, by, shifted.Round(0).Sub(at.Round(0)))
		assert.Zero(t, shifted.Sub(at))
	}
}

// jumpingClock is a clock that can be set. It goes as fast as the bubble's, whose
// own times have no monotonic reading.
type jumpingClock struct {
	base  time.Time // of outside of the bubble
	start time.Time
	plain bool         // without monotonic reading
	wall  atomic.Int64 // how far it was set, in nanoseconds
}

func (c *jumpingClock) now() time.Time {
	now := shiftedWall(c.base.Add(time.Since(c.start)), time.Duration(c.wall.Load()))
	if c.plain {
		now = now.Round(0)
	}
	return now
}

func (c *jumpingClock) set(by time.Duration) { c.wall.Store(int64(by)) }

// withClock runs a test in a bubble, with a fixture on such a clock.
func withClock(t *testing.T, plain bool, test func(t *testing.T, w *fixture, clock *jumpingClock)) {
	base := time.Now()
	inBubble(t, func(t *testing.T) {
		clock := &jumpingClock{base: base, start: time.Now(), plain: plain}
		test(t, fixtureOf(t, reachfivetest.NewTenant(t, reachfivetest.InMemory(),
			reachfivetest.WithKeys(rsaKeys()...), reachfivetest.WithClock(clock.now))), clock)
	})
}

func TestKeyOfAMachineThatWasSuspendedForADayIsNotFresh(t *testing.T) {
	t.Parallel()
	withClock(t, false, func(t *testing.T, w *fixture, clock *jumpingClock) {
		old := w.Token()
		w.accepts(old)
		synctest.Wait() // until the fetch is reported
		w.Rotate()
		w.RemoveKey("key-1")
		clock.set(23 * time.Hour) // while the monotonic clock stood still
		w.refuses(w.Token(reachfivetest.SignedBy("key-1")), reachfive.CodeUnknownKey)
		w.accepts(w.Token())
		assert.Equal(t, reachfive.CauseLifetime, w.causes()[1])

		w.SetDown(true)
		clock.set(47 * time.Hour)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable) // over MaxStale
	})
}

func TestKeyClockSetBackAnHourFreezesNothing(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		name := "with the monotonic clock"
		if plain {
			name = "with a clock that has none"
		}
		t.Run(name, func(t *testing.T) {
			withClock(t, plain, func(t *testing.T, w *fixture, clock *jumpingClock) {
				w.accepts(w.Token())
				clock.set(-time.Hour)
				start, token := w.requests(), w.Token()
				for range 20 * 60 { // 20 minutes: the lifetime is 10
					w.accepts(token)
					advance(time.Second)
				}
				asked := w.requests() - start
				assert.GreaterOrEqual(t, asked, 2, "frozen")
				assert.LessOrEqual(t, asked, 4, "a storm")
				assert.WithinDuration(t, clock.now(), w.v.Status().FetchedAt, 10*time.Minute)

				// The same while fetches fail: backoff and budget go on.
				w.SetDown(true)
				advance(10 * time.Minute)
				w.accepts(w.Token())
				w.refuses(w.Token(reachfivetest.KID("junk")), reachfive.CodeKeysUnavailable)
				clock.set(-2 * time.Hour)
				before, token := w.requests(), w.Token()
				for range 10 * 60 {
					w.acceptsAtOnce(token)
					advance(time.Second)
				}
				assert.InDelta(t, 15, w.requests()-before, 5, "1, 2, 4, 8, 16, 32, 60, 60, ... seconds")

				w.SetDown(false)
				advance(time.Minute)
				w.accepts(w.Token())
				synctest.Wait()
				assert.False(t, w.v.Status().Failing)

				for range 4 { // the budget too
					w.refuses(w.Token(reachfivetest.KID("junk")), reachfive.CodeUnknownKey)
				}
				clock.set(-3 * time.Hour)
				w.Rotate()
				advance(10 * time.Second)
				_ = w.verify(w.Token()) // where there is no monotonic clock, the budget starts anew
				advance(10 * time.Second)
				w.accepts(w.Token())
			})
		})
	}
}

func TestKeyClockSetAheadAnHourCostsOneFetch(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		withClock(t, plain, func(t *testing.T, w *fixture, clock *jumpingClock) {
			token := w.Token()
			w.accepts(token)
			clock.set(time.Hour)
			for range 7 * 60 {
				w.accepts(token)
				advance(time.Second)
			}
			assert.Equal(t, 2, w.requests())
			clock.set(0) // and back again
			for range 7 * 60 {
				w.accepts(token)
				advance(time.Second)
			}
			assert.LessOrEqual(t, w.requests(), 4)
		})
	}
}

func TestKeyFetchIsBoundedWhateverTheClockSays(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		frozen := time.Now()
		w := fixtureOf(t, reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()...),
			reachfivetest.WithClock(func() time.Time { return frozen })))
		w.OnJWKS(hang())
		assert.Equal(t, 5*time.Second, took(func() { w.refuses(w.Token(), reachfive.CodeKeysUnavailable) }))
		require.Error(t, w.v.Refresh(t.Context()))
	})
}

func TestKeyClockSkewOfATokenIsExactAtItsBorder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		now := time.Now()
		w := newFixture(t)
		lenient := w.verifier(reachfive.WithLeeway(time.Minute))
		at := func(claim string, offset time.Duration) string {
			return w.Token(reachfivetest.Claim(claim, now.Add(offset).Unix()))
		}
		for _, tt := range []struct {
			claim         string
			offset        time.Duration
			want, lenient reachfive.Code
		}{
			{"iat", 60 * time.Second, "", ""},
			{"iat", 61 * time.Second, reachfive.CodeNotYetValid, reachfive.CodeNotYetValid},
			{"nbf", 60 * time.Second, "", ""},
			{"nbf", 61 * time.Second, reachfive.CodeNotYetValid, reachfive.CodeNotYetValid},
			{"exp", time.Second, "", ""},
			{"exp", 0, reachfive.CodeExpired, ""},
			{"exp", -59 * time.Second, reachfive.CodeExpired, ""},
			{"exp", -60 * time.Second, reachfive.CodeExpired, reachfive.CodeExpired},
		} {
			w.refuses(at(tt.claim, tt.offset), tt.want)
			_, err := lenient.Verify(t.Context(), at(tt.claim, tt.offset))
			assert.Equal(t, tt.lenient, reachfive.CodeOf(err), "%s %v", tt.claim, tt.offset)
		}
	})
}
