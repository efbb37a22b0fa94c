package reachfive

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// clientIDError says what is wrong with a client ID.
func clientIDError(id string) error {
	if id == "" {
		return errors.New("the client ID is empty")
	}
	if strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("the client ID has white space or characters beyond ASCII")
	}
	return nil
}

// parseDomain returns the lower-cased host, with its port if it has one, of a
// tenant's domain.
func parseDomain(domain string) (string, error) {
	host := strings.ToLower(domain)
	host = strings.TrimSuffix(strings.TrimPrefix(host, "https://"), "/")
	if host == "" {
		return "", errors.New("the domain is empty")
	}
	if strings.Contains(host, "://") {
		return "", errors.New("want a host name such as acme.reach5.net, with or without https://")
	}
	u, err := url.Parse("https://" + host)
	if err != nil || u.Host != host {
		return "", errors.New("want host or host:port, without user information, path, query and fragment")
	}
	name, port := u.Hostname(), u.Port()
	if strings.HasSuffix(host, ":") || port != "" && !validPort(port) {
		return "", errors.New("the port is not one of 1 to 65535")
	}
	if port == "443" {
		return "", errors.New("leave the default port :443 out, the issuer does not have it")
	}
	if _, err := netip.ParseAddr(name); err != nil && !validHostName(name) {
		return "", errors.New("the host name is not a valid one")
	}
	if !strings.Contains(name, ".") && port == "" && name != "localhost" {
		return "", errors.New("the host name needs a dot or a port")
	}
	return host, nil
}

func validPort(port string) bool {
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil && port[0] != '0'
}

// validHostName reports whether name is a host name (RFC 1123 section 2.1).
func validHostName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return false
			}
		}
	}
	return true
}

// jwksURLError says why keys cannot be fetched from rawURL. Whoever can change an
// answer over http could choose the keys, so http is for loopback only.
func jwksURLError(rawURL string, loopbackHTTP bool) error {
	u, err := url.Parse(rawURL)
	if err != nil || u.Hostname() == "" {
		return errors.New("want an https URL")
	}
	if u.Fragment != "" {
		return errors.New("want a URL without fragment")
	}
	switch u.Scheme {
	case "https":
		return nil
	case "http":
		addr, _ := netip.ParseAddr(u.Hostname()) // the zero Addr for a name
		if loopbackHTTP && (u.Hostname() == "localhost" || addr.IsLoopback()) {
			return nil
		}
		return errors.New("http is only for a literal loopback address or localhost; want https")
	}
	return errors.New("want an https URL")
}
