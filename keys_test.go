package reachfive_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// rsaKeys are made once, for all tenants of these tests: each takes a while.
var rsaKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	keys := make([]*rsa.PrivateKey, 8)
	var made sync.WaitGroup
	for i := range keys {
		made.Go(func() { keys[i], _ = rsa.GenerateKey(rand.Reader, 2048) })
	}
	made.Wait()
	return keys
})

// fixture is a tenant, a Verifier of its tokens, and what the Verifier tells.
type fixture struct {
	*reachfivetest.Tenant
	t *testing.T
	v *reachfive.Verifier

	mu      sync.Mutex
	fetches []reachfive.FetchEvent
	states  []reachfive.State
	log     bytes.Buffer
}

// newFixture makes a tenant in memory, for a bubble.
func newFixture(t *testing.T, opts ...reachfive.Option) *fixture {
	t.Helper()
	return fixtureOf(t, reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()...)), opts...)
}

func fixtureOf(t *testing.T, tenant *reachfivetest.Tenant, opts ...reachfive.Option) *fixture {
	t.Helper()
	w := &fixture{Tenant: tenant, t: t}
	w.v = w.verifier(opts...)
	return w
}

// verifier makes another Verifier that reports to the same fixture.
func (w *fixture) verifier(opts ...reachfive.Option) *reachfive.Verifier {
	w.t.Helper()
	return w.Verifier(append([]reachfive.Option{
		reachfive.WithLogger(slog.New(slog.NewTextHandler(w, nil))),
		reachfive.WithObserver(reachfive.Observer{
			FetchDone: func(_ context.Context, e reachfive.FetchEvent) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.fetches = append(w.fetches, e)
			},
			StateChanged: func(s reachfive.State) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.states = append(w.states, s)
			},
		}),
	}, opts...)...)
}

// Write takes a line of the log.
func (w *fixture) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(line)
}

// logged returns the lines of the log, when nothing goes on any more.
func (w *fixture) logged() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	text := strings.TrimSuffix(w.log.String(), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func (w *fixture) stateChanges() []reachfive.State {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.states
}

// causes returns why the keys were fetched, in the order of the answers.
func (w *fixture) causes() (causes []reachfive.FetchCause) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.fetches {
		causes = append(causes, e.Cause)
	}
	return causes
}

// verify returns the Code of the verdict, "" if the token was accepted.
func (w *fixture) verify(token string) reachfive.Code {
	w.t.Helper()
	_, err := w.v.Verify(w.t.Context(), token)
	if err != nil && reachfive.CodeOf(err) == "" {
		w.t.Errorf("an error without a Code: %v", err)
	}
	return reachfive.CodeOf(err)
}

// accepts fails the test unless the token is accepted.
func (w *fixture) accepts(token string) {
	w.t.Helper()
	assert.Equal(w.t, reachfive.Code(""), w.verify(token))
}

// refuses fails the test unless the token is refused with that Code.
func (w *fixture) refuses(token string, want reachfive.Code) {
	w.t.Helper()
	assert.Equal(w.t, want, w.verify(token))
}

// acceptsAtOnce fails the test if the token is not accepted, or if the call
// waited for a fetch, however short.
func (w *fixture) acceptsAtOnce(token string) {
	w.t.Helper()
	ctx := &watchedContext{Context: w.t.Context()}
	_, err := w.v.Verify(ctx, token)
	require.NoError(w.t, err)
	assert.Zero(w.t, ctx.waits.Load(), "the call waited")
}

// requests returns how many requests for keys there were, when nothing goes on
// any more.
func (w *fixture) requests() int {
	synctest.Wait()
	return w.JWKSRequests()
}

// unavailable fails the test unless err is CodeKeysUnavailable, and returns
// when a new attempt makes sense.
func unavailable(t *testing.T, err error) time.Duration {
	t.Helper()
	var refusal *reachfive.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, reachfive.CodeKeysUnavailable, refusal.Code)
	assert.Positive(t, refusal.RetryAfter)
	return refusal.RetryAfter
}

// watchedContext counts how often somebody got ready to wait for its end. A
// call that asks for Done waits for something; one that does not cannot.
type watchedContext struct {
	context.Context
	waits atomic.Int64
}

func (c *watchedContext) Done() <-chan struct{} {
	c.waits.Add(1)
	return c.Context.Done()
}

// advance lets time pass, in a bubble.
func advance(d time.Duration) { time.Sleep(d) }

// took returns how long call took, in a bubble.
func took(call func()) time.Duration {
	start := time.Now()
	call()
	return time.Since(start)
}

// answering makes a hook of a handler that answers every request for keys.
func answering(answer http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		answer(w, r)
		return true
	}
}

// document makes a hook that answers with this text.
func document(text string) func(http.ResponseWriter, *http.Request) bool {
	return answering(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

// status makes a hook that answers with this status and these headers.
func status(code int, header ...string) func(http.ResponseWriter, *http.Request) bool {
	return answering(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	})
}

// hang makes a hook that never answers.
func hang() func(http.ResponseWriter, *http.Request) bool {
	return answering(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
}

// inBubble runs a test in a bubble with its own time.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	rsaKeys() // outside of the bubble
	synctest.Test(t, test)
}

// bubbleGoroutines returns how many goroutines the bubble of the test has, when
// nothing goes on any more.
func bubbleGoroutines() int {
	synctest.Wait()
	all := make([]byte, 8<<20)
	all = all[:runtime.Stack(all, true)]
	// The first line of a goroutine: goroutine 7 [select, synctest bubble 3]:
	own, _, _ := bytes.Cut(all, []byte("\n"))
	_, bubble, _ := bytes.Cut(own, []byte("synctest bubble"))
	return bytes.Count(all, append([]byte("synctest bubble"), bubble...))
}
