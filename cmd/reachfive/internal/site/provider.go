package site

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// provider is the tenant as the page's switches move it.
type provider struct {
	tenant   *reachfivetest.Tenant
	verifier *reachfive.Verifier

	mu        sync.Mutex
	published []string // kids, oldest first
	removed   string   // the kid that was taken back last
	down      bool
}

// newProvider takes back the keys that are published and goes on with a new
// one, so that there is a removed key from the start.
func newProvider(tenant *reachfivetest.Tenant, v *reachfive.Verifier) (*provider, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	kids, err := publishedKIDs(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("read the tenant's keys: %w", err)
	}
	p := &provider{tenant: tenant, verifier: v, published: append(kids, tenant.Rotate())}
	p.removeOld()
	return p, v.Refresh(ctx)
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

// serveSwitch changes the provider and tells how it stands. But for a rotation,
// which the verifier finds out by itself, it asks the verifier to fetch: an
// operator would, and the visitor need not wait for the cache's lifetime.
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
		_ = p.verifier.Refresh(r.Context()) // Status has what came of it
	}
	writeJSON(w, p.state())
}

func (p *provider) rotate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published = append(p.published, p.tenant.Rotate())
}

// removeOld leaves the newest key alone. The caller holds the lock.
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

func (p *provider) retired() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.removed
}

// serveToken hands out a token: one of the forgeries, or a good one of a key
// that the verifier has never seen.
func (p *provider) serveToken(w http.ResponseWriter, r *http.Request) {
	token, known := p.forge(r.PathValue("kind"))
	if !known {
		http.NotFound(w, r)
		return
	}
	writeJSON(w, map[string]any{"token": token, "provider": p.state()})
}

// state is what the page shows of the provider, and of what the verifier knows.
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
