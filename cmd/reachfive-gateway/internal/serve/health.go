package serve

import (
	"context"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/reachfive-community/reachfive"
)

// readyWithin bounds how long a probe waits for keys. Kubernetes gives up after
// a second by default; the manifests allow more.
const readyWithin = 2 * time.Second

// healthHandler serves the probes and the metrics.
type healthHandler struct {
	health   func(context.Context) map[string]error
	metrics  http.Handler
	draining *atomic.Bool
}

// ServeHTTP implements http.Handler.
func (h *healthHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "GET or HEAD only", http.StatusMethodNotAllowed)
		return
	}
	switch r.URL.Path {
	case "/livez":
		writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
	case "/readyz":
		h.ready(w, r)
	case "/metrics":
		h.metrics.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// ready answers 200 while the tokens of at least one tenant can be decided. One
// tenant's outage must not take the others away; its own requests get 503.
func (h *healthHandler) ready(w http.ResponseWriter, r *http.Request) {
	answer := struct {
		Status  string            `json:"status"`
		Tenants map[string]string `json:"tenants,omitempty"`
	}{Status: "ready", Tenants: map[string]string{}}
	if h.draining.Load() {
		answer.Status = "draining"
		writeJSON(w, http.StatusServiceUnavailable, answer)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
	defer cancel()
	status := http.StatusServiceUnavailable
	for tenant, err := range h.health(ctx) {
		switch code := reachfive.CodeOf(err); {
		case err == nil:
			answer.Tenants[tenant] = "ready"
			status = http.StatusOK
		case code != "":
			answer.Tenants[tenant] = string(code)
		default:
			answer.Tenants[tenant] = "the keys did not come in time"
		}
	}
	if status != http.StatusOK {
		answer.Status = "not ready"
	}
	writeJSON(w, status, answer)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a probe that has gone reads nothing
}
