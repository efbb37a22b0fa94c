package reachfivetest

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Option configures a Tenant. The zero choice of every option is the one that
// most tests want: RS256, one key of 2048 bits, time.Now, a loopback listener.
type Option func(*settings)

type settings struct {
	name         string
	clientID     string
	clientSecret string
	algorithm    string
	now          func() time.Time
	ownClock     bool
	keyBits      int
	keys         []*rsa.PrivateKey
	withoutKIDs  bool
	cacheControl string
	redirectURIs []string
	inMemory     bool
	notAfter     time.Time
}

// WithName sets the tenant's host name; "tenant.localhost" without it. Its
// certificate carries the name, and Client reaches it under the name, so it
// may look like a real one: "acme.reach5.net". It is lower-case, has no port,
// and has a dot or is "localhost".
func WithName(host string) Option { return func(s *settings) { s.name = host } }

// WithClientID sets the client that the tokens are for.
func WithClientID(id string) Option { return func(s *settings) { s.clientID = id } }

// WithClientSecret sets the client's secret; a random one without it.
func WithClientSecret(secret string) Option { return func(s *settings) { s.clientSecret = secret } }

// WithHS256 makes the client one whose ID tokens are signed with HS256 and
// the client secret, which is ReachFive's default for a client. Without it
// they are signed with RS256.
func WithHS256() Option { return func(s *settings) { s.algorithm = hs256 } }

// WithClock sets the clock that dates the tokens and the answers, ends codes
// and sign-ins, and that Verifier passes on; time.Now without it, which inside a
// testing/synctest bubble is the bubble's clock. SetDelay waits on real, or
// the bubble's, time. now must be safe for concurrent use.
func WithClock(now func() time.Time) Option {
	return func(s *settings) { s.now, s.ownClock = now, true }
}

// WithKeyBits sets the size of the RSA keys that are made, 1024 to 8192 bits;
// 2048 without it.
func WithKeyBits(bits int) Option { return func(s *settings) { s.keyBits = bits } }

// WithKeys gives the RSA keys to use before any is made, in this order: the
// first signs, each further one is taken by Rotate or ReplaceKey. A key takes
// about 50 ms to make and is made when it is first needed, so tests with very
// many tenants may share some.
func WithKeys(keys ...*rsa.PrivateKey) Option {
	return func(s *settings) { s.keys = append(s.keys, keys...) }
}

// WithoutKIDs leaves kid out of the published keys and of the tokens' headers.
func WithoutKIDs() Option { return func(s *settings) { s.withoutKIDs = true } }

// WithCacheControl sets the Cache-Control header of /jwks.json, such as
// "max-age=600". Without it there is none. Tenant.SetCacheControl changes it.
func WithCacheControl(value string) Option { return func(s *settings) { s.cacheControl = value } }

// WithRedirectURIs sets the only redirect URIs that /oauth/authorize takes.
// Without it every absolute URI without a fragment will do.
func WithRedirectURIs(uris ...string) Option {
	return func(s *settings) { s.redirectURIs = append(s.redirectURIs, uris...) }
}

// WithCertificateUntil sets the time after which the tenant's certificate is no
// longer good; 90 days from now without it. A time that has passed makes a
// tenant whom nobody can reach, because no client trusts it.
func WithCertificateUntil(notAfter time.Time) Option {
	return func(s *settings) { s.notAfter = notAfter }
}

// InMemory starts no listener: Domain has no port, and Client goes through
// Transport. Such a tenant can be made inside a testing/synctest bubble, and
// uses that bubble's clock.
func InMemory() Option { return func(s *settings) { s.inMemory = true } }

// newSettings applies opts to the defaults and reports every mistake at once.
func newSettings(opts []Option) (*settings, error) {
	s := &settings{
		name:         "tenant.localhost",
		clientID:     "AtnY5xDg4fbanentihip",
		clientSecret: rand.Text() + rand.Text(),
		algorithm:    rs256,
		now:          time.Now,
		keyBits:      2048,
		notAfter:     time.Now().AddDate(0, 0, 90),
	}
	for _, opt := range opts {
		if opt != nil {
			opt(s)
		}
	}
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("reachfivetest: "+format, args...))
	}
	if !isHostName(s.name) {
		problem("WithName: %q is no lower-case host name with a dot, nor localhost", s.name)
	}
	if s.clientID == "" {
		problem("WithClientID: it is empty")
	}
	if s.clientSecret == "" {
		problem("WithClientSecret: it is empty")
	}
	if s.now == nil {
		problem("WithClock: it is nil")
	}
	if s.keyBits < 1024 || s.keyBits > 8192 {
		problem("WithKeyBits: %d is not within 1024 and 8192", s.keyBits)
	}
	if slices.Contains(s.keys, nil) {
		problem("WithKeys: a key is nil")
	}
	if strings.ContainsAny(s.cacheControl, "\r\n") {
		problem("WithCacheControl: a header has no line breaks")
	}
	for _, uri := range s.redirectURIs {
		if !isRedirectURI(uri) {
			problem("WithRedirectURIs: %q is no absolute URI without fragment", uri)
		}
	}
	return s, errors.Join(problems...)
}

// isHostName reports whether name can stand in a URL and in a certificate.
func isHostName(name string) bool {
	if name != "localhost" && !strings.Contains(strings.Trim(name, "."), ".") {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// isRedirectURI: absolute and without fragment, as RFC 6749 section 3.1.2
// asks.
func isRedirectURI(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.IsAbs() && u.Opaque == "" && !strings.Contains(uri, "#")
}
