// Package decide answers proxies that ask over HTTP.
package decide

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/policy"
)

// Path begins the path of every question; the name of a policy follows.
const Path = "/auth/"

// UnknownPolicy is the reason of a refusal for which there is no policy.
const UnknownPolicy reachfive.Code = "unknown_policy"

// Finder finds a policy by its name.
type Finder interface {
	Find(name string) (*policy.Policy, bool)
}

// Handler answers /auth/{policy}, whatever the method, the query and the body.
// It answers 403 to every other path, never with a redirect: whatever a proxy
// asks by mistake, no request passes for it. It is safe for concurrent use.
type Handler struct {
	finder  Finder
	observe func(policyName string, outcome policy.Outcome)
	log     *slog.Logger

	lastComplaint atomic.Int64 // Unix time in seconds
}

// New makes a Handler. observe hears of every decision; the name it gets is one
// of a policy, or "" for an unknown one.
func New(finder Finder, observe func(string, policy.Outcome), log *slog.Logger) *Handler {
	return &Handler{finder: finder, observe: observe, log: log}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// The body is not read, so the answer must not wait for it and the
		// connection cannot be used again.
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 needs none
		w.Header().Set("Connection", "close")
	}
	// The path as it was sent: a policy's name needs no escaping, and what is
	// decoded or cleaned could be read in two ways.
	name, ok := strings.CutPrefix(r.URL.EscapedPath(), Path)
	if !ok {
		name = ""
	}
	h.Decide(w, r, name)
}

// Decide answers r by the policy of this name.
func (h *Handler) Decide(w http.ResponseWriter, r *http.Request, name string) {
	p, known := h.finder.Find(name)
	if !known {
		h.complain(r.Context(), name)
		refuse(w, r)
		h.observe("", policy.Outcome{Reason: UnknownPolicy})
		return
	}
	outcome := p.Answer(w, r)
	h.observe(name, outcome)
	if outcome.Reason != policy.Accepted && outcome.Reason != policy.Anonymous {
		h.log.LogAttrs(r.Context(), slog.LevelDebug, "refused",
			slog.String("policy", name), slog.String("code", string(outcome.Reason)))
	}
}

// complain logs at most one line per second: a proxy that is configured wrongly
// asks with every request.
func (h *Handler) complain(ctx context.Context, name string) {
	now := time.Now().Unix()
	if last := h.lastComplaint.Load(); last == now || !h.lastComplaint.CompareAndSwap(last, now) {
		return
	}
	if len(name) > 64 {
		name = name[:64]
	}
	h.log.LogAttrs(ctx, slog.LevelWarn, "a proxy asked for a policy that is not configured; the request was denied",
		slog.String("policy", strconv.QuoteToASCII(name)))
}

// refuse answers 403 in the form of all refusals.
func refuse(w http.ResponseWriter, r *http.Request) {
	const body = `{"error":"access_denied","error_description":"unknown_policy: the gateway has no such policy"}`
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusForbidden)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(body))
	}
}
