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

// Option configures a Tenant. Without options it is what most tests want: RS256,
// one key of 2048 bits, time.Now, a listener on loopback. A nil Option is an error
// of Start.
type Option func(*settings)

type settings struct {
	name         string
	clientID     string
	clients      []string // of WithClients
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
// certificate has this name and Client reaches it under this name, so it may look
// like a real one: "acme.reach5.net". It must be lower-case, without a port, and
// have a dot or be "localhost".
func WithName(host string) Option { return func(s *settings) { s.name = host } }

// WithClientID sets the ID of the tenant's client, and of Token's audience.
func WithClientID(id string) Option { return func(s *settings) { s.clientID = id } }

// WithClients adds clients to the one of WithClientID, such as an iOS and an
// Android app besides the web client. Each signs in under its own client ID, and
// ForClient makes a token for it. They are public clients: they have no secret,
// and WithHS256 cannot be combined with them.
//
// A Verifier accepts their tokens if it is given reachfive.WithAudiences.
func WithClients(clientIDs ...string) Option {
	return func(s *settings) { s.clients = append(s.clients, clientIDs...) }
}

// WithClientSecret sets the client's secret; a random one without it.
func WithClientSecret(secret string) Option { return func(s *settings) { s.clientSecret = secret } }

// WithHS256 signs the ID tokens with HS256 and the client secret, which is
// ReachFive's default for a client. Without it they are signed with RS256.
func WithHS256() Option { return func(s *settings) { s.algorithm = hs256 } }

// WithClock sets the tenant's clock. It dates the tokens and the answers, decides
// when codes and sign-ins expire, and is passed on by Options. Without it the clock
// is time.Now, which inside a testing/synctest bubble is the bubble's. SetDelay
// does not use it. now must be safe for concurrent use.
func WithClock(now func() time.Time) Option {
	return func(s *settings) { s.now, s.ownClock = now, true }
}

// WithKeyBits sets the size of generated RSA keys, 1024 to 8192 bits. The default is
// 2048.
func WithKeyBits(bits int) Option { return func(s *settings) { s.keyBits = bits } }

// WithKeys sets the RSA keys to use before any is generated: the first one signs,
// and each Rotate or ReplaceKey uses the next. Generating a key takes about 50 ms,
// and happens when the key is first needed, so tests with very many tenants may
// want to share some.
func WithKeys(keys ...*rsa.PrivateKey) Option {
	return func(s *settings) { s.keys = append(s.keys, keys...) }
}

// WithoutKIDs omits kid from the published keys and from the tokens' headers.
func WithoutKIDs() Option { return func(s *settings) { s.withoutKIDs = true } }

// WithCacheControl sets the Cache-Control header of /jwks.json, such as
// "max-age=600". The default is no such header. Tenant.SetCacheControl changes it.
func WithCacheControl(value string) Option { return func(s *settings) { s.cacheControl = value } }

// WithRedirectURIs sets the redirect URIs that /oauth/authorize accepts. Without it,
// it accepts every absolute URI without a fragment.
func WithRedirectURIs(uris ...string) Option {
	return func(s *settings) { s.redirectURIs = append(s.redirectURIs, uris...) }
}

// WithCertificateUntil sets when the tenant's certificate expires. The default is 90
// days from now. No client can reach a tenant whose certificate has expired.
func WithCertificateUntil(notAfter time.Time) Option {
	return func(s *settings) { s.notAfter = notAfter }
}

// InMemory starts no listener: Domain has no port, and Client uses Transport. Such a
// tenant can be started inside a testing/synctest bubble, and uses the bubble's
// clock.
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
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("reachfivetest: "+format, args...))
	}
	for _, opt := range opts {
		if opt == nil {
			problem("an option is nil")
			continue
		}
		opt(s)
	}
	if !isHostName(s.name) {
		problem("WithName: %q is not a lower-case host name with a dot, nor localhost", s.name)
	}
	if s.clientID == "" {
		problem("WithClientID: it is empty")
	}
	if s.clientSecret == "" {
		problem("WithClientSecret: it is empty")
	}
	known := []string{s.clientID}
	for _, id := range s.clients {
		if id == "" || slices.Contains(known, id) {
			problem("WithClients: %q is empty or used twice", id)
		}
		known = append(known, id)
	}
	if len(s.clients) > 0 && s.algorithm == hs256 {
		problem("WithClients: cannot be combined with WithHS256, whose secret belongs to one client")
	}
	if s.now == nil {
		problem("WithClock: it is nil")
	}
	if s.keyBits < 1024 || s.keyBits > 8192 {
		problem("WithKeyBits: want 1024 to 8192, got %d", s.keyBits)
	}
	if slices.Contains(s.keys, nil) {
		problem("WithKeys: a key is nil")
	}
	if strings.ContainsAny(s.cacheControl, "\r\n") {
		problem("WithCacheControl: a header must not contain line breaks")
	}
	for _, uri := range s.redirectURIs {
		if !isRedirectURI(uri) {
			problem("WithRedirectURIs: %q is not an absolute URI without fragment", uri)
		}
	}
	return s, errors.Join(problems...)
}

// isHostName reports whether name is valid in a URL and in a certificate.
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

// isRedirectURI reports whether uri is absolute and has no fragment, as RFC 6749
// section 3.1.2 requires.
func isRedirectURI(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.IsAbs() && u.Opaque == "" && !strings.Contains(uri, "#")
}
