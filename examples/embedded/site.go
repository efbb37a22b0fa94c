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

// pageConfig is what the page's script needs to know. Nothing in it is secret.
type pageConfig struct {
	ReachFive string `json:"reachFive"` // the address of the sign-in
	ClientID  string `json:"clientId"`
}

// howToBundle says where the page's script comes from. It contains Reach's code,
// which is not ours to commit.
const howToBundle = "Run `make demo-embedded` in the root of the repository: it builds the script from npm packages, and starts this program."

// missing reports whether the page's script has not been built.
func missing(bundle fs.FS) bool {
	_, err := fs.Stat(bundle, "page.js")
	return err != nil
}

// site is the whole server: the page, its bundled script, and the bridge.
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
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if missing(bundle) {
			http.Error(w, "The page's script is missing. "+howToBundle, http.StatusServiceUnavailable)
			return
		}
		http.ServeFileFS(w, r, files, "index.html")
	})
	mux.Handle("GET /page.css", http.FileServerFS(files))
	if signIn != nil {
		mux.Handle(demoSignIn+"/", signIn)
	}
	return withPagePolicy(cfg, mux), nil
}

// withPagePolicy names every host that the page may call. Reach's components set
// style attributes and ask LaunchDarkly for feature flags; if they cannot reach
// it, they wait two seconds and continue.
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
