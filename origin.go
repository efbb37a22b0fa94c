package reachfive

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// checkOrigin refuses a request that a page of an untrusted origin made a
// browser send. The request carries a token that the browser adds by itself or
// that the page chose.
func (m *middleware) checkOrigin(r *http.Request) error {
	if m.anyOrigin {
		return nil
	}
	if asksForUpgrade(r) {
		// Browsers let every page open a WebSocket to every host, send the
		// cookies along, and always send Origin (RFC 6455 section 10.2).
		if r.Header.Get("Origin") == "" {
			return &Error{Code: CodeUntrustedOrigin, detail: "an upgrade without an Origin"}
		}
		// The handshake is a GET, and Check accepts every GET.
		r = r.WithContext(r.Context())
		r.Method = http.MethodPost
	}
	if err := m.origins.Check(r); err != nil {
		return &Error{Code: CodeUntrustedOrigin, cause: err}
	}
	return nil
}

// asksForUpgrade reports whether r would turn its connection, or its HTTP/2
// stream (RFC 8441 section 4), into something else, such as a WebSocket.
func asksForUpgrade(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" || r.Header.Get(":protocol") != ""
}

// normalizeOrigin writes an origin as browsers do, which is the form that
// http.CrossOriginProtection compares: in lower case, without a default port.
// It returns "" for what no browser sends.
func normalizeOrigin(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	scheme, rest, _ := strings.Cut(strings.ToLower(origin), "://")
	if rest != strings.ToLower(u.Host) { //nolint:gocritic // not EqualFold: no scheme, user info, a path, "?" or "#"
		return ""
	}
	host := strings.ToLower(u.Hostname())
	if strings.HasPrefix(rest, "[") {
		host = "[" + host + "]" // url.Parse accepts only an IPv6 address there
	} else if host == "" || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" {
		return ""
	}
	if rest == host {
		return scheme + "://" + host
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 {
		return ""
	}
	if scheme == "http" && port == 80 || scheme == "https" && port == 443 {
		return scheme + "://" + host
	}
	return scheme + "://" + host + ":" + strconv.FormatUint(port, 10)
}
