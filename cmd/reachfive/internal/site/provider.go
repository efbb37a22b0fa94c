package site

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// provider changes the tenant for the page's switches.
type provider struct {
	tenant          *reachfivetest.Tenant
	verifier        *reachfive.Verifier
	forgeryVerifier *reachfive.Verifier

	mu        sync.Mutex
	published []string // kids, oldest first
	removed   string   // the kid that was removed last
	down      bool
}

// newProvider replaces the published keys by a new one, so that there is a removed
// key from the start.
func newProvider(c Config) (*provider, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	kids, err := publishedKIDs(ctx, c.Tenant)
	if err != nil {
		return nil, fmt.Errorf("read the tenant's keys: %w", err)
	}
	p := &provider{
		tenant: c.Tenant, verifier: c.Verifier, forgeryVerifier: c.ForgeryVerifier,
		published: append(kids, c.Tenant.Rotate()),
	}
	p.removeOld()
	return p, errors.Join(c.Verifier.Refresh(ctx), c.ForgeryVerifier.Refresh(ctx))
}

func publishedKIDs(ctx context.Context, tenant *reachfivetest.Tenant) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, tenant.Issuer()+"/jwks.json", nil)
	if err != nil {
		return nil, err
	}
	res, err := tenant.Client().Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	var set struct {
		Keys []struct {
			KID string `json:"kid"`
		} `json:"keys"`
	}
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil {
		return nil, err
	}
	var kids []string
	for _, key := range set.Keys {
		kids = append(kids, key.KID)
	}
	return kids, nil
}

func (p *provider) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /demo/provider", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, p.state()) })
	mux.HandleFunc("POST /demo/provider/{switch}", p.serveSwitch)
	mux.HandleFunc("POST /demo/token/{kind}", p.serveToken)
	return mux
}

// serveSwitch changes the tenant and answers with the new state. It makes the
// verifier fetch, so that the visitor need not wait until the keys' lifetime ends.
// A rotation is the exception: the verifier discovers it by the first token of the
// new key.
func (p *provider) serveSwitch(w http.ResponseWriter, r *http.Request) {
	refresh := true
	switch r.PathValue("switch") {
	case "rotate":
		p.rotate()
		refresh = false
	case "remove":
		p.mu.Lock()
		p.removeOld()
		p.mu.Unlock()
	case "down":
		p.setDown(true)
	case "up":
		p.setDown(false)
	default:
		http.NotFound(w, r)
		return
	}
	if refresh {
		_ = p.verifier.Refresh(r.Context()) // Status has the result
	}
	_ = p.forgeryVerifier.Refresh(r.Context()) // if the tenant is down, the last keys stay
	writeJSON(w, p.state())
}

func (p *provider) rotate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published = append(p.published, p.tenant.Rotate())
}

// removeOld removes every key except the newest. The caller holds the lock.
func (p *provider) removeOld() {
	last := len(p.published) - 1
	for _, kid := range p.published[:last] {
		p.tenant.RemoveKey(kid)
		p.removed = kid
	}
	p.published = p.published[last:]
}

func (p *provider) setDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	p.tenant.SetDown(down)
}

func (p *provider) lastRemoved() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.removed
}

// knownKey is the kid of a key that the verifier of the forgeries has.
func (p *provider) knownKey() string {
	keys := p.forgeryVerifier.Status().Keys
	if len(keys) == 0 {
		return p.tenant.KID()
	}
	return keys[len(keys)-1].ID
}

// serveToken answers with a token: one of the forgeries, or a good token of a key
// that the verifier has never seen.
func (p *provider) serveToken(w http.ResponseWriter, r *http.Request) {
	token, known := p.forge(r.PathValue("kind"))
	if !known {
		http.NotFound(w, r)
		return
	}
	writeJSON(w, map[string]any{"token": token, "provider": p.state()})
}

// state is what the page shows of the tenant, and of the verifier's keys.
func (p *provider) state() map[string]any {
	status := p.verifier.Status()
	known := []string{}
	for _, key := range status.Keys {
		known = append(known, key.ID)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return map[string]any{
		"up": !p.down, "published": slices.Clone(p.published), "known": known,
		"failing": status.Failing, "fetches": status.Fetches, "failures": status.Failures,
	}
}
