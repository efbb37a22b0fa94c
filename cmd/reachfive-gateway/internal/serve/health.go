package serve

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/reachfive-community/reachfive"
)

// readyWithin bounds how long a probe waits for keys. Kubernetes gives up after
// a second by default; the manifests allow more.
const readyWithin = 2 * time.Second

// readiness is the body of /readyz.
type readiness struct {
	Status   string            `json:"status"`
	SignOuts string            `json:"sign_outs,omitempty"`
	Tenants  map[string]string `json:"tenants,omitempty"`
}

// readiness is 200 while the tokens of at least one tenant can be decided and
// the sign-outs, where they are configured, are known. One tenant's outage must not take the others away; its own requests get 503.
func (g *Gateway) readiness(ctx context.Context) (answer readiness, status int) {
	if g.isEnding() {
		return readiness{Status: "draining"}, http.StatusServiceUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	answer, status = readiness{Status: "not ready", Tenants: map[string]string{}}, http.StatusServiceUnavailable
	for tenant, err := range g.parts.Health(ctx) {
		switch code := reachfive.CodeOf(err); {
		case err == nil:
			answer.Tenants[tenant], answer.Status = "ready", "ready"
			status = http.StatusOK
		case code != "":
			answer.Tenants[tenant] = string(code)
		default:
			answer.Tenants[tenant] = "the keys did not come in time"
		}
	}
	if g.parts.SignOuts == nil {
		return answer, status
	}
	answer.SignOuts = "ready"
	if err := g.parts.SignOuts(ctx); err != nil {
		// No token of any tenant can be decided.
		answer.SignOuts, answer.Status, status = "not known", "not ready", http.StatusServiceUnavailable
	}
	return answer, status
}

// serveHealth serves the probes and the metrics.
func (g *Gateway) serveHealth(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "GET or HEAD only", http.StatusMethodNotAllowed)
		return
	}
	switch r.URL.Path {
	case "/livez":
		writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
	case "/readyz":
		answer, status := g.readiness(r.Context())
		writeJSON(w, status, answer)
	case "/metrics":
		g.parts.Metrics.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
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
