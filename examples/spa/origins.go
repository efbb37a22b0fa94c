package spa

import (
	"net/url"
	"strings"
)

// browserOrigins writes each origin as a browser sends it: in lower case and
// without the default port of its scheme. What follows compares byte by byte.
func browserOrigins(origins []string) []string {
	written := make([]string, len(origins))
	for i, origin := range origins {
		written[i] = strings.ToLower(origin)
		u, err := url.Parse(written[i])
		if err != nil {
			continue // the middleware panics on it
		}
		if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
			written[i] = strings.TrimSuffix(written[i], ":"+u.Port())
		}
	}
	return written
}
