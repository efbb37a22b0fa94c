package reachfive_test

import (
	"context"
	"errors"
	"io"
	"net"
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

// badAnswers are the answers that are a failed fetch, by what Status calls them.
func badAnswers() []struct {
	name   string
	answer func(http.ResponseWriter, *http.Request) bool
	class  string
} {
	return []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request) bool
		class  string
	}{
		{"status 500", status(500), "status 500"},
		{"status 502", status(502), "status 502"},
		{"status 503", status(503), "status 503"},
		{"status 404", status(404), "status 404"},
		{"status 204", status(204), "status 204"},
		{"status 304 unasked", status(304), "status 304"},
		{"status 206", status(206), "status 206"},
		{"status 429", status(429, "Retry-After", "1"), "status 429"},
		{"never", hang(), "timeout"},
		{"a byte a second", answering(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				w.(http.Flusher).Flush()
				advance(time.Second)
			}
		}), "timeout"},
		{"cut JSON", document(`{"keys":[{"kty":"RSA"`), "no JWK Set"},
		{"cut in a member's name", document(`{"ke`), "no JWK Set"},
		{"shorter than its Content-Length", answering(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"keys":[]}`)
		}), "connection"},
		{"connection cut", answering(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "connection"},
		{"HTML", document("<!doctype html><title>Sign in to the Wi-Fi</title>"), "no JWK Set"},
		{"no keys", document(`{"keys":[]}`), "no usable key"},
		{"keys null", document(`{"keys":null}`), "no JWK Set"},
		{"no member keys", document(`{}`), "no JWK Set"},
		{"an array", document(`[]`), "no JWK Set"},
		{"null", document(`null`), "no JWK Set"},
		{"nothing", document(``), "no JWK Set"},
		{"keys an object", document(`{"keys":{}}`), "no JWK Set"},
		{"keys twice", document(`{"keys":[],"keys":[]}`), "no JWK Set"},
		{"a byte order mark", document("\ufeff{\"keys\":[]}"), "no JWK Set"},
		{"an endless body", answering(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(" ", 4096)); err != nil {
					return
				}
			}
		}), "document too large"},
		{"one byte too much", document(strings.Repeat(" ", 512<<10+1)), "document too large"},
		{"a redirect to another host", status(302, "Location", "https://evil.example/jwks.json"), "redirect"},
		{"a redirect to http", status(301, "Location", "http://tenant.localhost/jwks.json"), "redirect"},
		{"a redirect to itself", status(307, "Location", "/jwks.json"), "redirect"},
		{"a redirect to the same host", status(308, "Location", "/other.json"), "redirect"},
	}
}

func TestKeyFaultLeavesTheLastGoodSetInPlace(t *testing.T) {
	t.Parallel()
	for _, tt := range badAnswers() {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newFixture(t)
				bodies := countBodies(w.Client().Transport)
				w.v = w.verifier(reachfive.WithHTTPClient(&http.Client{Transport: bodies}))
				token := w.Token()
				w.accepts(token)
				w.OnJWKS(tt.answer)
				advance(10 * time.Minute)
				assert.LessOrEqual(t, took(func() { w.accepts(token) }), 5*time.Second)
				w.acceptsAtOnce(token)
				s := w.v.Status()
				assert.True(t, s.Failing)
				assert.Equal(t, tt.class, s.LastError)
				assert.Equal(t, 2, w.requests(), "a redirect was followed, or a fetch repeated")
				w.OnJWKS(nil)
				advance(2 * time.Second)
				w.acceptsAtOnce(token)
				synctest.Wait()
				assert.False(t, w.v.Status().Failing)
				assert.Zero(t, bodies.open(), "a body was left open")
			})
		})
	}
}

func TestKeyFaultAtTheStartIsUnavailableUntilTheFirstGoodFetch(t *testing.T) {
	t.Parallel()
	for _, tt := range badAnswers() {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newFixture(t)
				w.OnJWKS(tt.answer)
				assert.LessOrEqual(t, took(func() {
					_, err := w.v.Verify(t.Context(), w.Token())
					unavailable(t, err)
					require.ErrorContains(t, err, tt.class)
				}), 5*time.Second)
				w.OnJWKS(nil)
				assert.Zero(t, took(func() { w.refuses(w.Token(), reachfive.CodeKeysUnavailable) }), "backoff")
				advance(2 * time.Second)
				w.accepts(w.Token())
				assert.Equal(t, []reachfive.State{reachfive.StateFailing, reachfive.StateRecovered}, w.stateChanges())
			})
		})
	}
}

func TestKeyFetchAsksForJSONAndTellsNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		var asked []*http.Request
		transport := w.Client().Transport
		w.v = w.verifier(reachfive.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r)
			return transport.RoundTrip(r)
		})}))
		w.accepts(w.Token())
		require.Len(t, asked, 1)
		assert.Equal(t, http.MethodGet, asked[0].Method)
		assert.Equal(t, http.Header{"Accept": {"application/json"}}, asked[0].Header)
	})
}

func TestKeyDNSFailureIsAFailedFetch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, class string
		err         error
	}{
		{"no such host", "dns", &net.DNSError{Err: "no such host", Name: "tenant.localhost", IsNotFound: true}},
		{"a refusal", "connection", &net.OpError{Op: "dial", Err: errors.New("connection refused")}},
		{"a timeout of the network", "timeout", context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newFixture(t)
				transport, fail := w.Client().Transport, false
				w.v = w.verifier(reachfive.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					if fail {
						return nil, tt.err
					}
					return transport.RoundTrip(r)
				})}))
				w.accepts(w.Token())
				fail = true
				advance(10 * time.Minute)
				w.accepts(w.Token())
				assert.Equal(t, tt.class, w.v.Status().LastError)
			})
		})
	}
}

func TestKeyCountsOfAThousandFirstRequests(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.SetDelay(300 * time.Millisecond)
		token := w.Token()
		var callers sync.WaitGroup
		for range 1000 {
			callers.Go(func() { w.accepts(token) })
		}
		callers.Wait()
		assert.Equal(t, 1, w.requests())
		t.Logf("1000 concurrent first requests: %d fetch", w.requests())
	})
}
