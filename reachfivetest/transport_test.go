package reachfivetest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

// respond makes a hook that answers every request.
func respond(handler http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		handler(w, r)
		return true
	}
}

// Both ways to reach the tenant behave the same for a client.
func TestHooksAndFaultsShowOverTLSAndInMemory(t *testing.T) {
	for name, opts := range map[string][]reachfivetest.Option{"over TLS": nil, "in memory": {reachfivetest.InMemory()}} {
		t.Run(name, func(t *testing.T) {
			tenant := reachfivetest.NewTenant(t, append(opts, reachfivetest.WithCacheControl("max-age=600"))...)
			fetch := func() (reply, error) { return get(t, tenant.Client(), tenant.Issuer()+"/jwks.json") }

			res, err := fetch()
			require.NoError(t, err)
			assert.Equal(t, "max-age=600", res.header.Get("Cache-Control"))
			tenant.SetCacheControl("")
			res, err = fetch()
			require.NoError(t, err)
			assert.Empty(t, res.header.Get("Cache-Control"))

			tenant.SetDown(true)
			res, err = fetch()
			require.NoError(t, err)
			assert.Equal(t, http.StatusServiceUnavailable, res.status)
			res, err = get(t, tenant.Client(), tenant.Issuer()+"/.well-known/openid-configuration")
			require.NoError(t, err)
			assert.Equal(t, http.StatusServiceUnavailable, res.status)
			tenant.SetDown(false)

			tenant.OnJWKS(respond(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "hook", http.StatusTeapot) }))
			res, err = fetch()
			require.NoError(t, err)
			assert.Equal(t, http.StatusTeapot, res.status)
			assert.Equal(t, "hook\n", res.body)

			tenant.OnJWKS(respond(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
			_, err = fetch()
			require.ErrorContains(t, err, "EOF")

			tenant.OnJWKS(respond(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				_, _ = io.WriteString(w, "short")
			}))
			res, err = fetch()
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.Equal(t, "short", res.body)

			large := strings.Repeat("x", 300<<10)
			tenant.OnJWKS(respond(func(w http.ResponseWriter, _ *http.Request) {
				for range 3 {
					_, _ = io.WriteString(w, large)
				}
			}))
			res, err = fetch()
			require.NoError(t, err)
			assert.Len(t, res.body, 3*len(large))

			tenant.OnJWKS(func(http.ResponseWriter, *http.Request) bool { return false })
			res, err = fetch()
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, res.status)
			tenant.OnJWKS(nil)
			assert.Equal(t, 8, tenant.JWKSRequests())
		})
	}
}

func TestADelayedRequestEndsWithItsContextInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
		tenant.SetDelay(10 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		_, err := send(ctx, t, tenant.Client(), http.MethodGet, tenant.Issuer()+"/jwks.json", "", "")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 5*time.Second, time.Since(start))
		_, err = get(t, tenant.Client(), tenant.Issuer()+"/jwks.json")
		require.NoError(t, err)
		assert.Equal(t, 15*time.Second, time.Since(start))
	})
}

func TestADelayedAnswerHasTheKeysOfItsArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
		tenant.SetDelay(time.Second)
		answer := make(chan reply, 1)
		go func() {
			res, _ := get(t, tenant.Client(), tenant.Issuer()+"/jwks.json")
			answer <- res
		}()
		synctest.Wait()
		tenant.Rotate()
		assert.NotContains(t, (<-answer).body, "key-2")
	})
}

func TestClosingTheBodyEndsAnEndlessAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
		ended := make(chan struct{})
		tenant.OnJWKS(respond(func(w http.ResponseWriter, r *http.Request) {
			defer close(ended)
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<10)); err != nil {
					return
				}
			}
		}))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tenant.Issuer()+"/jwks.json", nil)
		require.NoError(t, err)
		res, err := tenant.Transport().RoundTrip(req)
		require.NoError(t, err)
		_, err = io.CopyN(io.Discard, res.Body, 1<<20)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		<-ended
	})
}

func TestADrippedAnswerEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
		tenant.OnJWKS(respond(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Second)
			}
		}))
		ctx, cancel := context.WithTimeout(t.Context(), 4500*time.Millisecond)
		defer cancel()
		res, err := send(ctx, t, tenant.Client(), http.MethodGet, tenant.Issuer()+"/jwks.json", "", "")
		require.Error(t, err)
		assert.Len(t, res.body, 5)
	})
}

// A handler that watches its context may return before anything else has noticed
// the end of the context. A client must not mistake what it has written for the
// whole body.
func TestAStreamedAnswerThatEndsAtItsDeadlineIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
		tenant.OnJWKS(respond(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, " ")
			_ = http.NewResponseController(w).Flush()
			for range 10 { // other waiters, so that the last one is late
				context.AfterFunc(r.Context(), func() {})
			}
			<-r.Context().Done()
		}))
		for range 100 { // the order is random
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			res, err := send(ctx, t, tenant.Client(), http.MethodGet, tenant.Issuer()+"/jwks.json", "", "")
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, " ", res.body)
		}
	})
}

func TestTransportAnswersOnlyForTheTenantAndByHTTPS(t *testing.T) {
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithName("acme.reach5.net"))
	for target, want := range map[string]bool{
		"https://acme.reach5.net/jwks.json": true, "https://localhost:8443/jwks.json": true, "https://127.0.0.1/jwks.json": true,
		"http://acme.reach5.net/jwks.json": false, "https://other.reach5.net/jwks.json": false,
	} {
		res, err := get(t, tenant.Client(), target)
		assert.Equal(t, want, err == nil, "%s: %v", target, err)
		assert.Equal(t, want, res.status == http.StatusOK, target)
	}
}

func TestHEADHasAHeadAndNoBody(t *testing.T) {
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
	res, err := send(t.Context(), t, tenant.Client(), http.MethodHead, tenant.Issuer()+"/jwks.json", "", "")
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, res.status)
	assert.Equal(t, "application/json", res.header.Get("Content-Type"))
	assert.Empty(t, res.body)
}
