package main

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed web/index.html web/page.css
var page embed.FS

// pageConfig is what the page's script has to know, and nothing secret.
type pageConfig struct {
	ReachFive string `json:"reachFive"` // where the sign-in lives
	ClientID  string `json:"clientId"`
}

// site is the whole server: the page, its bundled script, and the bridge. The
// bundle holds the vendor's code, so it is built by `make e2e` or by the
// README's one line, and never committed.
func site(cfg pageConfig, bundle fs.FS, reachToken, signIn http.Handler) (http.Handler, error) {
	configJSON, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(page, "web")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /reach-authtoken", reachToken)
	mux.HandleFunc("GET /config.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(configJSON)
	})
	mux.Handle("GET /bundle/", http.StripPrefix("/bundle/", http.FileServerFS(bundle)))
	mux.Handle("/", http.FileServerFS(files))
	if signIn != nil {
		mux.Handle(demoSignIn+"/", signIn)
	}
	return withPagePolicy(cfg, mux), nil
}

// withPagePolicy names every host that the page may speak to. Reach's
// components ask LaunchDarkly for feature flags and set style attributes;
// without that host they wait two seconds and go on.
func withPagePolicy(cfg pageConfig, next http.Handler) http.Handler {
	connect := []string{"'self'", "https://api.embedreach.com", "https://app.launchdarkly.com", "https://events.launchdarkly.com"}
	if strings.HasPrefix(cfg.ReachFive, "https://") {
		connect = append(connect, cfg.ReachFive)
	}
	policy := "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
		"connect-src " + strings.Join(connect, " ") + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
