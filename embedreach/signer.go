package embedreach

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	// minSecretBytes is the size of a SHA-256 digest: RFC 7518 section 3.2
	// requires an HMAC key of at least that size.
	minSecretBytes = sha256.Size
	defaultTTL     = time.Hour
	maxTTL         = 24 * time.Hour
)

// header is the JOSE header of every token, the same bytes that the vendor's
// sample produces with jsonwebtoken's defaults.
const header = `{"alg":"HS256","typ":"JWT"}`

// Signer signs the tokens of one Reach partner. Make one with [NewSigner]; the
// zero value has no secret and must not be used. A Signer is immutable and
// safe for concurrent use. No way to print it shows the secret or the partner
// ID.
type Signer struct {
	partnerID string
	ttl       time.Duration
	now       func() time.Time
	logger    *slog.Logger
	// mac is a closure so that no printer that walks the struct by reflection
	// finds the secret.
	mac func(signingInput []byte) []byte
}

// Option configures [NewSigner], which returns an error for a nil one.
type Option func(*config)

type config struct {
	ttl              time.Duration
	now              func() time.Time
	logger           *slog.Logger
	allowShortSecret bool
}

// WithTTL sets the lifetime of a token in whole seconds, from one second to
// 24 hours. The default, and Reach's recommendation, is one hour.
func WithTTL(d time.Duration) Option { return func(c *config) { c.ttl = d } }

// WithClock replaces time.Now, for tests. It must be safe for concurrent use.
func WithClock(now func() time.Time) Option { return func(c *config) { c.now = now } }

// WithLogger sets the logger to which [Signer.Handler] writes why it answered
// 500 or 503. The default discards everything. A line has the request's method
// and the error's text, which may be that of identify's own error: keep personal
// data out of it.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }

// InsecureAllowShortSecret accepts a shared secret of less than 32 bytes,
// which RFC 7518 section 3.2 forbids and which can be guessed from one token.
// It is for a secret that Reach has issued and will not replace by a longer one.
// An empty secret is still refused.
func InsecureAllowShortSecret() Option { return func(c *config) { c.allowShortSecret = true } }

// NewSigner returns a Signer that signs with the secret shared with Reach, for
// the partner ID that Reach has assigned. The secret's bytes are used as they
// are, without decoding or trimming.
//
// NewSigner joins everything that is wrong with its arguments into one error. A
// bad partner ID is a [*FieldError] in it.
func NewSigner(sharedSecret, partnerID string, opts ...Option) (*Signer, error) {
	c := config{ttl: defaultTTL, now: time.Now, logger: slog.New(slog.DiscardHandler)}
	var errs []error
	for i, opt := range opts {
		if opt == nil {
			errs = append(errs, fmt.Errorf("embedreach: option %d is nil", i))
			continue
		}
		opt(&c)
	}
	errs = append(errs, c.check(sharedSecret), checkText("partnerId", partnerID))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	key := []byte(sharedSecret)
	return &Signer{
		partnerID: partnerID,
		ttl:       c.ttl,
		now:       c.now,
		logger:    c.logger,
		mac: func(signingInput []byte) []byte {
			h := hmac.New(sha256.New, key)
			h.Write(signingInput)
			return h.Sum(nil)
		},
	}, nil
}

func (c config) check(secret string) error {
	var errs []error
	switch {
	case secret == "":
		errs = append(errs, errors.New("embedreach: the shared secret is empty"))
	case len(secret) < minSecretBytes && !c.allowShortSecret:
		errs = append(errs, fmt.Errorf("embedreach: the shared secret has less than %d bytes", minSecretBytes))
	}
	if c.ttl < time.Second || c.ttl > maxTTL || c.ttl%time.Second != 0 {
		errs = append(errs, errors.New("embedreach: the TTL must be whole seconds, from 1 s to 24 h"))
	}
	if c.now == nil {
		errs = append(errs, errors.New("embedreach: the clock is nil"))
	}
	if c.logger == nil {
		errs = append(errs, errors.New("embedreach: the logger is nil"))
	}
	return errors.Join(errs...)
}

// tenantClaims and partnerClaims are the payloads, with the fields in the order
// of Reach's tables.
type tenantClaims struct {
	Email            string `json:"email"`
	Name             string `json:"name"`
	ExternalID       string `json:"externalId"`
	TenantExternalID string `json:"tenantExternalId"`
	PartnerID        string `json:"partnerId"`
	IssuedAt         int64  `json:"iat"`
	ExpiresAt        int64  `json:"exp"`
}

type partnerClaims struct {
	PartnerID string `json:"partnerId"`
	Type      string `json:"type"`
	IssuedAt  int64  `json:"iat"`
	ExpiresAt int64  `json:"exp"`
}

// TenantToken returns a token that opens the embedded UI for one user of one
// tenant, valid from now for the TTL. Every field of id is required; the error
// joins a [*FieldError] for each bad one.
func (s *Signer) TenantToken(id Identity) (string, error) {
	if err := id.check(); err != nil {
		return "", err
	}
	iat, exp := s.validity()
	return s.sign(tenantClaims{
		Email: id.Email, Name: id.Name, ExternalID: id.ExternalID,
		TenantExternalID: id.TenantExternalID, PartnerID: s.partnerID,
		IssuedAt: iat, ExpiresAt: exp,
	})
}

// PartnerToken returns a token for the /partner endpoints of Reach's API, valid
// from now for the TTL. It gives access to every tenant, so it is for calls from
// server to server only.
func (s *Signer) PartnerToken() (string, error) {
	iat, exp := s.validity()
	return s.sign(partnerClaims{PartnerID: s.partnerID, Type: "partner", IssuedAt: iat, ExpiresAt: exp})
}

// validity returns iat and exp in seconds since 1970. It reads the clock once, so
// that exp - iat is exactly the TTL.
func (s *Signer) validity() (iat, exp int64) {
	iat = s.now().Unix()
	return iat, iat + int64(s.ttl/time.Second)
}

// sign returns the JWS compact serialization of claims (RFC 7515 section 3.1).
func (s *Signer) sign(claims any) (string, error) {
	payload, err := marshal(claims)
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding
	token := b64.AppendEncode(nil, []byte(header))
	token = append(token, '.')
	token = b64.AppendEncode(token, payload)
	signature := s.mac(token)
	token = append(token, '.')
	return string(b64.AppendEncode(token, signature)), nil
}

// Format prints a fixed text for every verb.
func (Signer) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("embedreach.Signer(redacted)")) }

// LogValue gives slog the same fixed text.
func (Signer) LogValue() slog.Value { return slog.StringValue("embedreach.Signer(redacted)") }
