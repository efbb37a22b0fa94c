package reachfive_test

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// breach is a way in which a caller's own code breaks its contract.
type breach struct {
	name  string
	serve func(next http.RoundTripper, r *http.Request) (*http.Response, error)
	class string
}

func breaches(release <-chan struct{}) []breach {
	withBody := func(body func(io.ReadCloser) io.ReadCloser) func(http.RoundTripper, *http.Request) (*http.Response, error) {
		return func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			res, err := next.RoundTrip(r)
			if err == nil {
				res.Body = body(res.Body)
			}
			return res, err
		}
	}
	return []breach{
		{"RoundTrip panics", func(http.RoundTripper, *http.Request) (*http.Response, error) { panic("a bug") }, "panic in the HTTP client"},
		{"RoundTrip panics with nil", func(http.RoundTripper, *http.Request) (*http.Response, error) { panic(nil) }, "panic in the HTTP client"}, //nolint:govet // on purpose
		{"RoundTrip ends its goroutine", func(http.RoundTripper, *http.Request) (*http.Response, error) {
			runtime.Goexit()
			return nil, nil
		}, "panic in the HTTP client"},
		{"RoundTrip returns nothing", func(http.RoundTripper, *http.Request) (*http.Response, error) { return nil, nil }, "connection"},
		{"RoundTrip hangs whatever its context says", func(http.RoundTripper, *http.Request) (*http.Response, error) {
			<-release
			return nil, io.EOF
		}, "timeout"},
		{"Read panics", withBody(func(b io.ReadCloser) io.ReadCloser {
			return brokenBody{ReadCloser: b, read: func() { panic("a bug") }}
		}), "panic in the HTTP client"},
		{"Read hangs", withBody(func(b io.ReadCloser) io.ReadCloser {
			return brokenBody{ReadCloser: b, read: func() { <-release }}
		}), "timeout"},
		{"Close panics", withBody(func(b io.ReadCloser) io.ReadCloser {
			return brokenBody{ReadCloser: b, close: func() { panic("a bug") }}
		}), "panic in the HTTP client"},
	}
}

type brokenBody struct {
	io.ReadCloser
	read, close func()
}

func (b brokenBody) Read(p []byte) (int, error) {
	if b.read != nil {
		b.read()
	}
	return b.ReadCloser.Read(p)
}

func (b brokenBody) Close() error {
	err := b.ReadCloser.Close()
	if b.close != nil {
		b.close()
	}
	return err
}

func TestKeyBreachOfACallersRoundTripperIsAFailedFetch(t *testing.T) {
	t.Parallel()
	for i, name := range breaches(nil) {
		t.Run(name.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				b := breaches(release)[i]
				w := newFixture(t)
				transport := w.Client().Transport
				var broken atomic.Bool // a call that hangs is never waited for
				broken.Store(true)
				w.v = w.verifier(reachfive.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					if broken.Load() {
						return b.serve(transport, r)
					}
					return transport.RoundTrip(r)
				})}))
				token := w.Token()
				assert.LessOrEqual(t, took(func() { w.refuses(token, reachfive.CodeKeysUnavailable) }), 5*time.Second)
				assert.Equal(t, b.class, w.v.Status().LastError)
				assert.Equal(t, w.Issuer()+"/jwks.json", w.v.Status().JWKSURL)
				broken.Store(false)
				advance(2 * time.Second)
				w.accepts(token)
				broken.Store(true)
				advance(10 * time.Minute)
				assert.LessOrEqual(t, took(func() { w.accepts(token) }), 5*time.Second)
				w.acceptsAtOnce(token)
				synctest.Wait() // until the fetch has ended, if not what it called
				assert.Zero(t, took(func() { require.NoError(t, w.v.Close()) }))
			})
		})
	}
}

func TestKeyObserverAndLoggerThatPanicEndNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.v = w.verifier(reachfive.WithObserver(reachfive.Observer{
			FetchDone:    func(context.Context, reachfive.FetchEvent) { panic("a bug") },
			StateChanged: func(reachfive.State) { panic("a bug") },
		}))
		w.accepts(w.Token())
		w.SetDown(true)
		advance(10 * time.Minute)
		w.accepts(w.Token())
		require.NoError(t, w.v.Close())
	})
}

func TestKeyTwoHundredFailuresLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		bodies := countBodies(w.Client().Transport)
		w.v = w.verifier(reachfive.WithHTTPClient(&http.Client{Transport: bodies}))
		token := w.Token()
		w.accepts(token)
		w.SetDown(true)
		before := bubbleGoroutines()
		for range 200 {
			advance(time.Minute)
			_ = w.verify(token)
			unavailable(t, w.v.Refresh(t.Context()))
		}
		assert.Equal(t, before, bubbleGoroutines())
		assert.Zero(t, bodies.open())
		assert.Greater(t, w.v.Status().Failures, uint64(200))
		assert.Len(t, w.logged(), 2, "one line for 200 failures")
	})
}

// bodyCounter counts the response bodies that are open.
type bodyCounter struct {
	next http.RoundTripper
	mu   sync.Mutex
	n    int
}

func countBodies(next http.RoundTripper) *bodyCounter { return &bodyCounter{next: next} }

func (c *bodyCounter) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
}

func (c *bodyCounter) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *bodyCounter) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := c.next.RoundTrip(r)
	if err == nil {
		c.add(1)
		res.Body = brokenBody{ReadCloser: res.Body, close: sync.OnceFunc(func() { c.add(-1) })}
	}
	return res, err
}
