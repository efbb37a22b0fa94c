package reachfive

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// minSecretSize is the least an HS256 secret may have, in bytes (RFC 7518
	// section 3.2).
	minSecretSize = 32
	maxLeeway     = 5 * time.Minute

	defaultMaxStale = 24 * time.Hour
)

// Option configures a Verifier in New. An impossible value is an error of New
// that names the option.
type Option func(*config)

// config is what New makes of its arguments.
type config struct {
	domain      string
	audiences   []string
	issuer      string
	jwksURL     string
	discovery   bool
	fixed       *keySet       // of WithJWKS
	secret      func() []byte // behind a closure, where no print reaches it; nil for RS256
	shortSecret bool
	accessToken bool
	client      *http.Client
	leeway      time.Duration
	now         func() time.Time
	tokenCache  int
	store       KeyStore
	shared      SharedKeyStore
	maxStale    time.Duration // negative: the default
	logger      *slog.Logger  // nil: slog.Default(), asked for at each line
	observer    Observer
	checks      []Check

	errs []error
}

func (c *config) fail(option, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("reachfive: "+option+": "+format, args...))
}

// WithClientSecret makes the Verifier accept HS256 with the client secret, and
// only HS256; without it, the Verifier accepts RS256, and only RS256. A ReachFive
// client uses HS256 unless its settings in the console say RS256. The secret's
// bytes are used as they are; there must be at least 32.
func WithClientSecret(secret string) Option {
	return func(c *config) {
		key := []byte(secret)
		c.secret = func() []byte { return key }
	}
}

// WithAudiences accepts the tokens of further clients of the same tenant: web,
// iOS, Android. It cannot be combined with WithClientSecret, which belongs to
// one client.
func WithAudiences(clientIDs ...string) Option {
	return func(c *config) {
		if len(clientIDs) == 0 {
			c.fail("WithAudiences", "at least one client ID is needed")
		}
		for _, id := range clientIDs {
			if err := clientIDError(id); err != nil {
				c.fail("WithAudiences", "%w", err)
			}
		}
		c.audiences = append(c.audiences, clientIDs...)
	}
}

// WithIssuer sets the iss that tokens must have, byte for byte. The default is
// "https://" and the domain.
func WithIssuer(iss string) Option {
	return func(c *config) {
		u, err := url.Parse(iss)
		switch {
		case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil:
			c.fail("WithIssuer", "want an https URL without user information")
		case strings.ContainsAny(iss, "?#"):
			c.fail("WithIssuer", "want a URL without query and fragment")
		}
		c.issuer = iss
	}
}

// WithJWKSURL sets where the keys are. The default is "https://", the domain
// and "/jwks.json". It must be https; http is allowed only for a literal loopback
// address or localhost. User information and a query are sent to the server, and
// appear in no log, no record of a KeyStore and no Status.
func WithJWKSURL(jwksURL string) Option {
	return func(c *config) {
		if err := jwksURLError(jwksURL, true); err != nil {
			c.fail("WithJWKSURL", "%w", err)
		}
		c.jwksURL = jwksURL
	}
}

// WithDiscovery takes the location of the keys from the tenant's
// /.well-known/openid-configuration, whose issuer must be the configured one
// (OpenID Connect Discovery 1.0 section 4). The document is read again, at most
// once a minute, when keys cannot be fetched or lack the one that a token names.
func WithDiscovery() Option { return func(c *config) { c.discovery = true } }

// WithJWKS sets the keys themselves: document is a JWK Set (RFC 7517 section 5),
// and the Verifier uses no network. Its keys must meet the same conditions as
// fetched ones; a document without a usable key is an error of New. The keys
// never change: a token of an unknown kid is refused with CodeUnknownKey, and
// Refresh and HealthCheck return nil. It is for tests, tools and machines
// without a network; a tenant that rotates its keys breaks it.
//
// WithJWKS cannot be combined with WithJWKSURL, WithDiscovery, WithHTTPClient,
// WithKeyStore, WithSharedKeyStore, WithMaxStale or WithClientSecret.
func WithJWKS(document []byte) Option {
	return func(c *config) {
		set, err := parseKeySet(document)
		if err != nil {
			set = new(keySet) // for the checks of combinations
			c.fail("WithJWKS", "%w", err)
		}
		c.fixed = set
	}
}

// WithHTTPClient sets the HTTP client used to fetch keys: for a proxy, a private
// CA, tracing. The client is copied. Redirects are refused whatever its
// CheckRedirect says, and a fetch ends after 5 seconds whatever its Timeout is.
// The caller closes its idle connections.
func WithHTTPClient(client *http.Client) Option {
	return func(c *config) {
		if client == nil {
			c.fail("WithHTTPClient", "the client is nil")
		}
		c.client = client
	}
}

// WithLeeway accepts a token for d after its exp. The default is 0, the maximum
// 5 minutes. For iat, nbf and auth_time the tolerance is always 1 minute.
func WithLeeway(d time.Duration) Option {
	return func(c *config) {
		if d < 0 || d > maxLeeway {
			c.fail("WithLeeway", "want 0 to %v, got %v", maxLeeway, d)
		}
		c.leeway = d
	}
}

// WithClock sets the clock for every comparison of times, including those of the
// key cache. It is for tests. now must be safe for concurrent use.
func WithClock(now func() time.Time) Option {
	return func(c *config) {
		if now == nil {
			c.fail("WithClock", "the clock is nil")
		}
		c.now = now
	}
}

// WithTokenCache keeps the outcome of up to entries verifications, so that the
// signature of a token is verified once, not at each request. The decision stays
// the same: times and Checks are evaluated on every call, and the tokens of a key
// end when the provider removes it. Tokens of more than 4 KiB are not kept, so an
// entry takes at most about 9 KiB of memory. The default, 0, is no cache.
func WithTokenCache(entries int) Option {
	return func(c *config) {
		if entries < 0 {
			c.fail("WithTokenCache", "want 0 or more entries, got %d", entries)
		}
		c.tokenCache = entries
	}
}

// WithKeyStore keeps the last good key set outside of the process, so that a
// service can restart during an outage of the provider and still decide.
func WithKeyStore(store KeyStore) Option {
	return func(c *config) {
		if store == nil {
			c.fail("WithKeyStore", "the store is nil")
		}
		c.store = store
	}
}

// WithSharedKeyStore shares the fetches of the keys with all processes that use
// the same store, issuer and JWKS URL: one of them fetches for all, and newer
// keys reach each of the others within 10 seconds if it sees traffic. While the
// store is down the Verifier works as without one. It can be combined with
// WithKeyStore; it has no effect with WithClientSecret.
func WithSharedKeyStore(store SharedKeyStore) Option {
	return func(c *config) {
		if store == nil {
			c.fail("WithSharedKeyStore", "the store is nil")
		}
		c.shared = store
	}
}

// WithMaxStale sets how long the last good keys serve when fetches fail,
// counted from the last good fetch. The default is 24 hours; with 0 they serve
// no longer than their lifetime.
func WithMaxStale(d time.Duration) Option {
	return func(c *config) {
		if d < 0 {
			c.fail("WithMaxStale", "want 0 or more, got %v", d)
		}
		c.maxStale = d
	}
}

// WithLogger sets the logger for changes of state of the key cache: one line
// for each, none per token. The default is slog.Default(), looked up when a line
// is written.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) {
		if logger == nil {
			c.fail("WithLogger", "the logger is nil")
		}
		c.logger = logger
	}
}

// WithObserver sets the functions that are told what the Verifier does: see
// Observer.
func WithObserver(observer Observer) Option {
	return func(c *config) { c.observer = observer }
}

// WithChecks adds checks that run on every token, before those of the call.
func WithChecks(checks ...Check) Option {
	return func(c *config) {
		if slices.ContainsFunc(checks, func(check Check) bool { return check == nil }) {
			c.fail("WithChecks", "a Check is nil")
		}
		c.checks = append(c.checks, checks...)
	}
}

// InsecureAllowShortSecret accepts a client secret of less than 32 bytes. RFC 7518
// section 3.2 forbids it: such a secret can be guessed.
func InsecureAllowShortSecret() Option { return func(c *config) { c.shortSecret = true } }

// InsecureAllowAccessTokenClaims accepts tokens with scope, scp or client_id,
// which mark an access token (RFC 9068). If access tokens are accepted as ID
// tokens, any API that the user has called can sign in as that user.
func InsecureAllowAccessTokenClaims() Option { return func(c *config) { c.accessToken = true } }

// newConfig makes a config of all arguments. Its error joins everything that is
// wrong with them.
func newConfig(domain, clientID string, opts []Option) (*config, error) {
	c := &config{maxStale: -1, now: time.Now}
	host, err := parseDomain(domain)
	if err != nil {
		c.fail("domain", "%w", err)
	}
	if err := clientIDError(clientID); err != nil {
		c.fail("clientID", "%w", err)
	}
	c.domain, c.issuer, c.audiences = host, "https://"+host, []string{clientID}
	for _, opt := range opts {
		if opt == nil {
			c.fail("Option", "an option is nil")
			continue
		}
		opt(c)
	}
	c.checkCombinations()
	if c.jwksURL == "" && !c.discovery {
		c.jwksURL = "https://" + host + "/jwks.json"
	}
	if c.maxStale < 0 {
		c.maxStale = defaultMaxStale
	}
	return c, errors.Join(c.errs...)
}

// checkCombinations refuses options that contradict each other.
func (c *config) checkCombinations() {
	if c.discovery && c.jwksURL != "" {
		c.fail("WithDiscovery", "cannot be combined with WithJWKSURL")
	}
	if c.secret != nil {
		c.checkSecret()
	}
	if c.fixed == nil {
		return
	}
	for _, other := range []struct {
		option string
		given  bool
	}{
		{"WithClientSecret", c.secret != nil},
		{"WithJWKSURL", c.jwksURL != ""},
		{"WithDiscovery", c.discovery},
		{"WithHTTPClient", c.client != nil},
		{"WithKeyStore", c.store != nil},
		{"WithSharedKeyStore", c.shared != nil},
		{"WithMaxStale", c.maxStale >= 0},
	} {
		if other.given {
			c.fail("WithJWKS", "cannot be combined with %s", other.option)
		}
	}
}

func (c *config) checkSecret() {
	size := len(c.secret())
	switch {
	case size == 0:
		c.fail("WithClientSecret", "the secret is empty")
	case size < minSecretSize && !c.shortSecret:
		c.fail("WithClientSecret", "the secret has %d bytes, want at least %d (RFC 7518 section 3.2)", size, minSecretSize)
	}
	if len(c.audiences) > 1 {
		c.fail("WithClientSecret", "cannot be combined with WithAudiences: a secret belongs to one client")
	}
	if c.discovery {
		c.fail("WithClientSecret", "cannot be combined with WithDiscovery: HS256 needs no keys of the tenant")
	}
	if c.jwksURL != "" {
		c.fail("WithClientSecret", "cannot be combined with WithJWKSURL: HS256 needs no keys of the tenant")
	}
}
