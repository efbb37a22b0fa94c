package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// check finds the mistakes that one value alone does not show.
func (c *Config) check(p *Problems) {
	if c.Version != Version && !p.has("version") && p.positions["version"] != (position{}) {
		p.Add("version", "want 1, the only version there is, not %d", c.Version)
	}
	c.checkListeners(p)
	for _, name := range slices.Sorted(maps.Keys(c.Tenants)) {
		c.Tenants[name].check(p, "tenants."+name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Policies)) {
		c.checkPolicy(p, "policies."+name, c.Policies[name])
	}
	if _, known := c.Policies[c.DefaultPolicy]; c.DefaultPolicy != "" && !known {
		p.Add("default_policy", "there is no policy of this name; the policies are %s", names(c.Policies))
	}
	if c.DefaultPolicy != "" && c.GRPC == nil {
		p.Add("default_policy", "is for gRPC requests alone, and there is no grpc listener; remove it")
	}
	c.Redis.check(p)
	c.checkNumbers(p)
}

func (c *Config) checkNumbers(p *Problems) {
	for _, number := range []struct {
		path            string
		value, min, max int
	}{
		{"token_cache", c.TokenCache, 0, 10_000_000},
		{"limits.connections", c.Limits.Connections, 1, 1_000_000},
		{"limits.header_bytes", c.Limits.HeaderBytes, 4096, 1 << 20},
	} {
		if number.value < number.min || number.value > number.max {
			p.Add(number.path, "want %d to %d, not %d", number.min, number.max, number.value)
		}
	}
	if c.Drain.Timeout == 0 {
		p.Add("drain.timeout", "want more than 0s, so that requests can finish")
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) && !p.has("log.level") {
		p.Add("log.level", "want debug, info, warn or error")
	}
}

func (c *Config) checkListeners(p *Problems) {
	if c.Decision == nil && c.GRPC == nil && !p.has("decision") && !p.has("grpc") {
		p.Add("", "no listener for decisions: write decision (for nginx, Caddy, Traefik, HAProxy) or grpc (for Envoy, Istio), such as decision: {address: \"127.0.0.1:9400\"}")
	}
	type listener struct {
		path string
		at   endpoint
	}
	var listeners []listener
	add := func(path, address string) (endpoint, bool) {
		if address == "" || p.has(path) {
			return endpoint{}, false
		}
		at, err := parseEndpoint(address)
		if err != nil {
			p.Add(path, "%s", err)
			return at, false
		}
		for _, other := range listeners {
			if at.conflicts(other.at) {
				p.Add(path, "%s has this address too; each listener needs an address of its own", parent(other.path))
			}
		}
		listeners = append(listeners, listener{path, at})
		return at, true
	}
	for _, l := range []struct {
		path     string
		listener *Listener
	}{{"decision", c.Decision}, {"grpc", c.GRPC}} {
		if l.listener == nil {
			continue
		}
		at, ok := add(l.path+".address", l.listener.Address)
		if ok && !at.loopback && l.listener.TLS == nil && !l.listener.InsecurePlaintext {
			p.Add(l.path+".address", "listens beyond loopback without TLS, so that tokens cross the network in plain text; write tls with certificate and key, use an address such as 127.0.0.1:9400, or set insecure_plaintext if the network is trusted")
		}
		if l.listener.TLS != nil && l.listener.InsecurePlaintext {
			p.Add(l.path+".insecure_plaintext", "has no effect beside tls; remove it")
		}
	}
	add("health.address", c.Health.Address)
}

// endpoint is a listener's address.
type endpoint struct {
	host     string
	port     uint16
	loopback bool
	wildcard bool
}

// conflicts reports whether both cannot be listened on. Port 0 is any free one.
func (e endpoint) conflicts(other endpoint) bool {
	return e.port != 0 && e.port == other.port && (e.host == other.host || e.wildcard || other.wildcard)
}

func parseEndpoint(address string) (endpoint, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return endpoint{}, fmt.Errorf("want host:port such as 127.0.0.1:9400 or [::1]:9400")
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return endpoint{}, fmt.Errorf("want a port number of 0 to 65535 after the last colon")
	}
	e := endpoint{host: host, port: uint16(number)}
	switch addr, err := netip.ParseAddr(host); {
	case host == "":
		e.wildcard = true
	case host == "localhost":
		// The system decides between the two, so it stands for both.
		e.host, e.loopback = "127.0.0.1", true
	case err != nil:
		return endpoint{}, fmt.Errorf("want an IP address or localhost before the port; a host name may change its address")
	default:
		addr = addr.Unmap()
		e.host, e.loopback, e.wildcard = addr.String(), addr.IsLoopback(), addr.IsUnspecified()
	}
	return e, nil
}

func (t Tenant) check(p *Problems, path string) {
	switch t.Algorithm {
	case "RS256":
		for key, value := range map[string]string{"client_secret_file": t.ClientSecretFile, "client_secret_env": t.ClientSecretEnv} {
			if value != "" {
				p.Add(join(path, key), "is for HS256 alone; write algorithm: HS256, or remove the secret")
			}
		}
	case "HS256":
		switch {
		case t.ClientSecretFile != "" && t.ClientSecretEnv != "":
			p.Add(path+".client_secret_env", "cannot be combined with client_secret_file; remove one")
		case t.ClientSecretFile == "" && t.ClientSecretEnv == "" && !p.has(path+".client_secret_file") && !p.has(path+".client_secret_env"):
			p.Add(path+".algorithm", "HS256 needs the client's secret: write client_secret_file or client_secret_env")
		}
		for key, given := range map[string]bool{"jwks_url": t.JWKSURL != "", "discovery": t.Discovery, "ca_file": t.CAFile != "", "key_store_file": t.KeyStoreFile != ""} {
			if given {
				p.Add(join(path, key), "is for RS256 alone, because HS256 fetches no keys; remove it")
			}
		}
	default:
		if !p.has(path + ".algorithm") {
			p.Add(path+".algorithm", "want RS256 or HS256")
		}
	}
}

func (c *Config) checkPolicy(p *Problems, path string, policy Policy) {
	for key, value := range map[string]time.Duration{"max_age": policy.Checks.MaxAge, "max_token_age": policy.Checks.MaxTokenAge} {
		at := path + ".checks." + key
		if _, given := p.positions[at]; given && value == 0 && !p.has(at) {
			p.Add(at, "want more than 0s; remove the key for no check")
		}
	}
	var seen []string
	for i, name := range policy.Tenants {
		at := fmt.Sprintf("%s.tenants[%d]", path, i)
		if _, known := c.Tenants[name]; !known && name != "" {
			p.Add(at, "there is no tenant of this name; the tenants are %s", names(c.Tenants))
		}
		if slices.Contains(seen, name) && name != "" {
			p.Add(at, "stands twice; remove one")
		}
		seen = append(seen, name)
	}
}

// names lists the keys of a mapping for a message.
func names[V any](of map[string]V) string {
	if len(of) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(of)), ", ")
}
