package reachfivetest

import (
	"encoding/json"
	"io"
	"net/http"
)

// maxBody is the largest request body that an endpoint reads, in bytes.
const maxBody = 64 << 10

// routes returns every endpoint of the tenant.
func (t *Tenant) routes() http.Handler {
	api := t.signInRoutes()
	api.HandleFunc("GET /.well-known/openid-configuration", t.serveDiscovery)
	root := http.NewServeMux()
	root.HandleFunc("GET /jwks.json", t.serveJWKS)
	root.Handle("/", t.withCORS(t.withFaults(api)))
	return t.counted(root)
}

// signInRoutes returns the endpoints that a page needs to sign a user in and out.
func (t *Tenant) signInRoutes() *http.ServeMux {
	api := http.NewServeMux()
	api.HandleFunc("GET /identity/v1/config", t.serveConfig)
	api.HandleFunc("POST /identity/v1/password/login", t.servePasswordLogin)
	api.HandleFunc("POST /identity/v1/signup", t.serveSignup)
	api.HandleFunc("GET /identity/v1/userinfo", t.serveUserinfo)
	api.HandleFunc("GET /identity/v1/logout", t.serveLogout)
	api.HandleFunc("GET /oauth/authorize", t.serveAuthorize)
	api.HandleFunc("POST /oauth/token", t.serveToken)
	api.HandleFunc("POST /oauth/revoke", t.serveRevoke)
	api.HandleFunc("OPTIONS /", servePreflight)
	api.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		oauthError{http.StatusNotFound, "not_found", "The tenant has no such endpoint"}.write(w)
	})
	return api
}

// SignInHandler returns the endpoints that a page needs to sign a user in and out,
// for use with another listener: a demonstration can serve them over http on
// loopback to a browser that does not trust the tenant's certificate. The keys and
// the discovery document are not included, because they must be served over https.
// The tenant's faults apply, and Close ends the handler too.
func (t *Tenant) SignInHandler() http.Handler {
	return t.counted(t.withCORS(t.withFaults(t.signInRoutes())))
}

// counted lets Close wait for handlers in progress, and aborts requests after it.
func (t *Tenant) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.mu.Lock()
		closed := t.closed
		if !closed {
			t.running.Add(1)
		}
		t.mu.Unlock()
		if closed {
			panic(http.ErrAbortHandler) // net/http closes the connection
		}
		defer t.running.Done()
		w.Header().Set("Date", t.settings.now().UTC().Format(http.TimeFormat))
		next.ServeHTTP(w, r)
	})
}

// withFaults applies SetDelay and SetDown.
func (t *Tenant) withFaults(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		met := t.arrive(false)
		if !sleep(r, met.delay) {
			return
		}
		if met.down {
			serveDown(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func serveDown(w http.ResponseWriter) {
	oauthError{http.StatusServiceUnavailable, "temporarily_unavailable", "The tenant is down"}.write(w)
}

// serveJWKS applies the faults itself, because it serves the key set of the time
// when the request arrived.
func (t *Tenant) serveJWKS(w http.ResponseWriter, r *http.Request) {
	met := t.arrive(true)
	set, err := t.keySet()
	if !sleep(r, met.delay) {
		return
	}
	switch {
	case met.onJWKS != nil && met.onJWKS(w, r):
	case met.down:
		serveDown(w)
	case err != nil:
		oauthError{http.StatusInternalServerError, "server_error", "The tenant cannot generate a key"}.write(w)
	default:
		if met.cacheControl != "" {
			w.Header().Set("Cache-Control", met.cacheControl)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, set)
	}
}

// serveDiscovery serves the metadata of OpenID Connect Discovery 1.0 section 3,
// https://openid.net/specs/openid-connect-discovery-1_0.html.
func (t *Tenant) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	iss := t.Issuer()
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                iss,
		"authorization_endpoint":                iss + "/oauth/authorize",
		"token_endpoint":                        iss + "/oauth/token",
		"jwks_uri":                              iss + "/jwks.json",
		"response_types_supported":              []string{"code"},
		"userinfo_endpoint":                     iss + "/identity/v1/userinfo",
		"revocation_endpoint":                   iss + "/oauth/revoke",
		"response_modes_supported":              []string{"query", "web_message"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{t.settings.algorithm},
		"scopes_supported":                      []string{"openid", "profile", "email", "phone", "address"},
		"token_endpoint_auth_methods_supported": []string{"none", "client_secret_post"},
		"code_challenge_methods_supported":      []string{"S256"},
	})
}

// oauthError is an error response of RFC 6749 section 5.2. The browser SDK expects
// JSON in every error response.
type oauthError struct {
	status      int
	code        string
	description string
}

func (e oauthError) write(w http.ResponseWriter) {
	writeJSON(w, e.status, map[string]any{"error": e.code, "error_description": e.description})
}

// writeJSON answers with v, and forbids to store it, which RFC 6749 section 5.1
// requires for tokens.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
