package reachfive_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/reachfive-community/reachfive"
)

// One request meets the outage, and then there is none for hours.
func TestKeyAfterALongSilenceTheProviderIsAskedBeforeOldKeysServe(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		removed := w.Token()
		w.accepts(removed)
		pass(10 * time.Minute)
		w.SetDown(true)
		w.accepts(removed) // through the outage
		w.SetDown(false)
		w.Rotate()
		w.RemoveKey("key-1")
		pass(20 * time.Hour)
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
					w := newWorld(t)
					token := w.Token()
					w.accepts(token)
					w.OnJWKS(tt.answer)
					pass(10 * time.Minute)
					w.accepts(token)
					pass(time.Until(w.v.Status().NextAttempt) + silence)
					w.SetDelay(time.Second)
					before := w.requests()
					waited := took(func() { w.accepts(token) })
					if silence < 5*time.Minute {
						assert.Zero(t, waited, "it is known that the provider is down")
					} else {
						assert.Equal(t, time.Second, waited, "the first request waits for a fetch")
					}
					pass(time.Second)
					assert.Equal(t, before+1, w.requests())
				})
			})
		}
	}
}
