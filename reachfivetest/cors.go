package reachfivetest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// withCORS lets pages read the answers, as the Fetch standard defines,
// https://fetch.spec.whatwg.org/#http-cors-protocol. It names the origin, because
// browsers do not accept "*" for a request with credentials.
func (t *Tenant) withCORS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if origin := r.Header.Get("Origin"); origin != "" && t.isPageOrigin(origin) {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Allow-Credentials", "true")
		}
		next.ServeHTTP(w, r)
	})
}

// servePreflight allows what the browser SDK sends: a correlation ID on every
// request, a JSON body, an access token, and the page's language.
func servePreflight(w http.ResponseWriter, _ *http.Request) {
	if h := w.Header(); h.Get("Access-Control-Allow-Origin") != "" {
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", "accept-language, authorization, content-type, custom-locale, x-r5-correlation-id")
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}

// isPageOrigin reports whether origin is that of one of the redirect URIs. Without
// WithRedirectURIs every origin is.
func (t *Tenant) isPageOrigin(origin string) bool {
	if len(t.settings.redirectURIs) == 0 {
		return true
	}
	return slices.ContainsFunc(t.settings.redirectURIs, func(uri string) bool { return originOf(uri) == origin })
}

// originOf returns the origin of a redirect URI as a browser writes it, except that
// an explicit default port stays. It returns "" if no page can have this origin.
func originOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" ||
		strings.Trim(u.Host, "abcdefghijklmnopqrstuvwxyz0123456789-.:[]") != "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
