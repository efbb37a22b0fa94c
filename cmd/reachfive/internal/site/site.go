// Package site is the page of `reachfive demo --serve`. One loopback port serves
// the page, the backend of examples/spa, the tenant's sign-in endpoints over
// http, and what only the demonstration has: forged tokens, and the switches that
// change the tenant.
package site

import (
	"embed"
	"encoding/json"
	"html/template"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/examples/spa"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

//go:embed web
var files embed.FS

// The host names of the page and of the tenant. Browsers resolve both to
// loopback. They differ because cookies ignore ports.
const (
	appHost    = "app.localhost"
	tenantHost = "tenant.localhost"
)

// Config is the configuration of New.
type Config struct {
	Tenant          *reachfivetest.Tenant
	Verifier        *reachfive.Verifier // of the page's backend
	ForgeryVerifier *reachfive.Verifier // of the forged tokens, so that they cost Verifier no fetch
	Port            string              // of the listener
	Email           string              // of the user to sign in as
	Password        string              // of that user; the page fills it in
	SDK             string              // the file of the SDK's UMD bundle, or ""
}

// URL is the page's address.
func URL(port string) string { return "http://" + net.JoinHostPort(appHost, port) + "/" }

// New returns the handler of the page's port. It answers only under its own host
// names, so that no other site can reach it under a name that resolves to
// loopback.
func New(c Config) (http.Handler, error) {
	provider, err := newProvider(c)
	if err != nil {
		return nil, err
	}
	page, err := newPage(c)
	if err != nil {
		return nil, err
	}
	backend := spa.Handler(c.Verifier, spa.NewSessions(), spa.NewNonces())

	app := http.NewServeMux()
	app.Handle("/session", backend)
	app.Handle("/session/", backend)
	app.Handle("/me", backend)
	app.Handle("POST /check", check(c.Verifier))
	app.Handle("POST /check/forged", check(c.ForgeryVerifier))
	app.Handle("/demo/", http.NewCrossOriginProtection().Handler(provider.handler()))
	app.Handle("/", page)
	signIn := c.Tenant.SignInHandler()

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Host {
		case net.JoinHostPort(appHost, c.Port):
			app.ServeHTTP(w, r)
		case net.JoinHostPort(tenantHost, c.Port):
			signIn.ServeHTTP(w, r)
		case net.JoinHostPort("127.0.0.1", c.Port), net.JoinHostPort("localhost", c.Port):
			http.Redirect(w, r, URL(c.Port), http.StatusFound)
		default:
			http.Error(w, "this host name is not served here", http.StatusMisdirectedRequest)
		}
	}), nil
}

// newPage serves the two pages and their files. The pages differ in what calls
// the tenant: a small script, or ReachFive's SDK.
func newPage(c Config) (http.Handler, error) {
	index, err := template.ParseFS(files, "web/index.html")
	if err != nil {
		return nil, err
	}
	own := "http://" + net.JoinHostPort(tenantHost, c.Port)
	serve := func(mode, tenant, policy string) (http.HandlerFunc, error) {
		config, err := json.Marshal(map[string]any{
			"mode": mode, "tenant": tenant, "domain": c.Tenant.Domain, "clientId": c.Tenant.ClientID,
			"email": c.Email, "password": c.Password, "forgeries": forgeries(),
		})
		return func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h.Set("Content-Security-Policy", policy)
			h.Set("Content-Type", "text/html; charset=utf-8")
			_ = index.Execute(w, map[string]any{"Config": string(config), "SDK": mode == "sdk"})
		}, err
	}
	ownPage, err := serve("own", own, policyFor(own))
	if err != nil {
		return nil, err
	}
	mode := "sdk"
	if c.SDK == "" {
		mode = "no-sdk"
	}
	sdkPage, err := serve(mode, c.Tenant.Issuer(), policyFor(c.Tenant.Issuer())+sdkPolicy)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", ownPage)
	mux.Handle("GET /sdk", sdkPage)
	mux.Handle("GET /web/", http.FileServerFS(files))
	if c.SDK != "" {
		// Read now, so that a wrong path is an error at once.
		bundle, err := os.ReadFile(c.SDK)
		if err != nil {
			return nil, err
		}
		mux.HandleFunc("GET /vendor/identity-core.js", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
			_, _ = w.Write(bundle)
		})
	}
	return withHeaders(mux), nil
}

func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// policyFor allows the page to load its own files and to call its own backend and
// the tenant. Nothing inline runs, and no other host can be reached.
func policyFor(tenant string) string {
	return strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
		"connect-src 'self' " + tenant, "frame-src " + tenant,
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
	}, "; ")
}

// sdkPolicy is what ReachFive's SDK needs in addition: it hides the frame of a web
// message with the style attribute "display:none;", whose digest this is.
const sdkPolicy = "; style-src-attr 'unsafe-hashes' 'sha256-0EZqoz+oBhx7gF4nvY2bSqoGyy4zLjNF+SDQXGp/ZrY='"

// Paste is a page with a form that posts a token of the visitor's to /session.
func Paste() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy",
			"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		http.ServeFileFS(w, r, files, "web/paste.html")
	})
	mux.Handle("GET /web/", http.FileServerFS(files))
	return withHeaders(mux)
}
