//go:build chaos

package reachfive_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

const (
	chaosSpeed     = 120 // how much faster than real time the verifier's clock runs
	chaosLimit     = 80 * time.Second
	chaosFetches   = 10 // that must meet each toxic
	chaosRotations = 10 // that must be taken in
	chaosOutages   = 5  // that must be served through
	chaosKeys      = 60
)

// chaos is the run: a tenant that rotates its keys throughout, a Verifier whose
// requests for keys go through toxiproxy, and callers of all kinds.
type chaos struct {
	t      *testing.T
	tenant *reachfivetest.Tenant
	v      *reachfive.Verifier
	now    func() time.Time

	mu      sync.RWMutex // read-held during a call for a key that must not go meanwhile
	known   map[string]string
	removed map[string]removedKey
	toxic   *toxic // in force

	rotations, inOutage           int // taken in, made during an outage
	accepted, atEnd, waited       atomic.Int64
	junk, forged, gone, duringOut atomic.Int64
}

type removedKey struct {
	token string
	at    time.Time
}

func (c *chaos) wrong(format string, args ...any) { c.t.Errorf("a wrong verdict: "+format, args...) }

// callKnown verifies a token of a key that was accepted before and is published
// still. It must be accepted, and must not wait.
func (c *chaos) callKnown(i int) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	kids := make([]string, 0, len(c.known))
	for kid := range c.known {
		kids = append(kids, kid)
	}
	slices.Sort(kids)
	s := c.v.Status()
	// At the very end of a lifetime, before a failure is known, a call may wait.
	usable := s.Failing || c.now().Before(s.FreshUntil.Add(-12*time.Second))
	ctx := &watchedContext{Context: context.Background()}
	_, err := c.v.Verify(ctx, c.known[kids[i%len(kids)]])
	switch {
	case err != nil:
		c.wrong("a valid token of a known key: %v", err)
	case ctx.waits.Load() == 0:
		c.accepted.Add(1)
		if c.toxic != nil && s.Failing && c.now().After(s.FreshUntil) {
			c.duringOut.Add(1)
		}
	case usable:
		c.waited.Add(1)
	default:
		c.atEnd.Add(1)
	}
}

// callOthers verifies tokens that must never be accepted.
func (c *chaos) callOthers(junk string) {
	_, err := c.v.Verify(context.Background(), junk)
	if code := reachfive.CodeOf(err); code != reachfive.CodeUnknownKey && code != reachfive.CodeKeysUnavailable {
		c.wrong("a junk kid: %v", err)
	}
	c.junk.Add(1)
	c.mu.RLock()
	defer c.mu.RUnlock()
	for kid := range c.known {
		_, err := c.v.Verify(context.Background(), c.tenant.Token(reachfivetest.WrongKey(), reachfivetest.KID(kid)))
		if code := reachfive.CodeOf(err); code != reachfive.CodeInvalidSignature {
			c.wrong("a forged token: %v", err)
		}
		c.forged.Add(1)
		break
	}
	for kid, key := range c.removed {
		after := c.v.Status().FetchedAt.After(key.at)
		_, err := c.v.Verify(context.Background(), key.token)
		if after && err == nil {
			c.wrong("a token of %s, removed before the last good fetch", kid)
		}
		c.gone.Add(1)
	}
}

// rotate publishes a key and tries its token until it is accepted; then it takes
// the oldest key away.
func (c *chaos) rotate(ctx context.Context, tick <-chan time.Time) {
	c.mu.Lock()
	kid := c.tenant.Rotate()
	token := c.tenant.Token()
	if c.toxic != nil && c.toxic.outage {
		c.inOutage++
	}
	c.mu.Unlock()
	for {
		_, err := c.v.Verify(context.Background(), token)
		if err == nil {
			break
		}
		// The key was published before its token was made: it is never unknown.
		if code := reachfive.CodeOf(err); code != reachfive.CodeKeysUnavailable {
			c.wrong("a token of a new key: %v", err)
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rotations++
	c.known[kid] = token
	if len(c.known) > 3 {
		oldest := kid
		for other := range c.known {
			if len(other) < len(oldest) || len(other) == len(oldest) && other < oldest {
				oldest = other
			}
		}
		c.tenant.RemoveKey(oldest)
		c.removed = map[string]removedKey{oldest: {c.known[oldest], c.now()}}
		delete(c.known, oldest)
	}
}

func TestChaos(t *testing.T) {
	begun := time.Now()
	now := func() time.Time { return begun.Add(chaosSpeed * time.Since(begun)) }
	keys := make([]*rsa.PrivateKey, chaosKeys)
	var made sync.WaitGroup
	for i := range keys {
		made.Go(func() { keys[i], _ = rsa.GenerateKey(rand.Reader, 2048) })
	}
	made.Wait()
	tenant := reachfivetest.NewTenant(t, reachfivetest.WithClock(now), reachfivetest.WithKeys(keys...),
		reachfivetest.WithCacheControl("max-age=240"))
	_, port, err := net.SplitHostPort(tenant.Domain)
	require.NoError(t, err)
	proxy := startToxiproxy(t, "127.0.0.1:"+port)

	c := &chaos{t: t, tenant: tenant, now: now, removed: map[string]removedKey{}}
	transport := tenant.Client().Transport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, proxy.listen)
	}
	c.v = tenant.Verifier(reachfive.WithHTTPClient(&http.Client{Transport: transport}),
		reachfive.WithObserver(reachfive.Observer{FetchDone: func(_ context.Context, e reachfive.FetchEvent) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.toxic == nil {
				return
			}
			c.toxic.fetches++
			if e.Result != "ok" {
				c.toxic.failures++
			}
		}}))
	require.NoError(t, c.v.Refresh(t.Context()))
	c.known = map[string]string{"key-1": tenant.Token()}
	junk := tenant.Token(reachfivetest.KID("junk"))

	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for g := range 3 {
		callers.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for i := g; ctx.Err() == nil; i++ {
				c.callKnown(i)
				<-tick.C
			}
		})
	}
	callers.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			c.callOthers(junk)
			<-tick.C
		}
	})
	callers.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		pause := time.NewTicker(time.Second)
		defer pause.Stop()
		for range chaosKeys - 2 {
			c.rotate(ctx, tick.C)
			select {
			case <-pause.C:
			case <-ctx.Done():
				return
			}
		}
	})

	toxics := []*toxic{
		{name: "refusal", outage: true},
		{name: "latency", kind: "latency", attrs: map[string]any{"latency": 40, "jitter": 20}},
		{name: "reset", outage: true, kind: "reset_peer", attrs: map[string]any{"timeout": 0}},
		{name: "timeout", outage: true, kind: "timeout", attrs: map[string]any{"timeout": 100}},
		{name: "limit_data", outage: true, kind: "limit_data", attrs: map[string]any{"bytes": 1000}},
	}
	step := time.NewTicker(10 * time.Millisecond)
	defer step.Stop()
	outages := 0
	met := func() bool {
		c.mu.RLock()
		defer c.mu.RUnlock()
		for _, toxic := range toxics {
			if toxic.fetches < chaosFetches {
				return false
			}
		}
		return outages >= chaosOutages && c.rotations >= chaosRotations
	}
	for round := 0; !met() && time.Since(begun) < chaosLimit; round++ {
		for _, toxic := range toxics {
			proxy.apply(toxic)
			c.mu.Lock()
			c.toxic = toxic
			target := toxic.fetches + chaosFetches
			c.mu.Unlock()
			servedBefore, sinceStart := c.duringOut.Load(), time.Now()
			for fetches := 0; fetches < target && time.Since(sinceStart) < 15*time.Second && time.Since(begun) < chaosLimit; <-step.C {
				c.mu.RLock()
				fetches = toxic.fetches
				c.mu.RUnlock()
			}
			c.mu.Lock()
			c.toxic = nil
			if served := int(c.duringOut.Load() - servedBefore); toxic.outage && served > 0 {
				outages++
				toxic.served += served
			}
			c.mu.Unlock()
			proxy.lift(toxic)
			// Until the provider is seen to be back.
			for start := time.Now(); c.v.Status().Failing && time.Since(start) < 10*time.Second; {
				<-step.C
			}
		}
	}
	cancel()
	callers.Wait()

	var table strings.Builder
	fmt.Fprintf(&table, "%-12s %8s %8s %30s\n", "toxic", "fetches", "failed", "calls served past the lifetime")
	for _, toxic := range toxics {
		fmt.Fprintf(&table, "%-12s %8d %8d %30d\n", toxic.name, toxic.fetches, toxic.failures, toxic.served)
	}
	s := c.v.Status()
	t.Logf("%v of real time, %v of the verifier's\n%s", time.Since(begun).Round(time.Second), now().Sub(begun).Round(time.Minute), table.String())
	t.Logf("rotations taken in: %d, of them made during an outage: %d; outages served through: %d; fetches: %d, failed: %d",
		c.rotations, c.inOutage, outages, s.Fetches, s.Failures)
	t.Logf("accepted without a wait: %d; calls for a usable kid that waited: %d; calls that met the end of a lifetime: %d",
		c.accepted.Load(), c.waited.Load(), c.atEnd.Load())
	t.Logf("refused: %d junk kids, %d forgeries; tried: %d tokens of removed keys", c.junk.Load(), c.forged.Load(), c.gone.Load())
	for _, toxic := range toxics {
		if toxic.fetches < chaosFetches || toxic.outage && toxic.failures < chaosFetches {
			t.Errorf("%s was met by %d fetches, of which %d failed: want %d", toxic.name, toxic.fetches, toxic.failures, chaosFetches)
		}
	}
	if c.rotations < chaosRotations || c.inOutage == 0 {
		t.Errorf("%d rotations, %d during outages: want %d and some", c.rotations, c.inOutage, chaosRotations)
	}
	if outages < chaosOutages {
		t.Errorf("%d outages were served through: want %d", outages, chaosOutages)
	}
	if c.waited.Load() > 0 {
		t.Errorf("%d calls for a usable kid waited", c.waited.Load())
	}
}
