package reachfive

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Skeleton: the signatures of the public API.
type (
	Verifier struct{}
	Option   func(*config)
	config   struct{}
	Status   struct{}
)

func New(domain, clientID string, opts ...Option) (*Verifier, error) { return &Verifier{}, nil }
func (v *Verifier) Verify(ctx context.Context, idToken string, checks ...Check) (*User, error) {
	return nil, CodeKeysUnavailable
}
func (v *Verifier) Refresh(ctx context.Context) error     { return nil }
func (v *Verifier) HealthCheck(ctx context.Context) error { return nil }
func (v *Verifier) Status() Status                        { return Status{} }
func (v *Verifier) Close() error                          { return nil }

func WithClientSecret(secret string) Option     { return nil }
func WithAudiences(clientIDs ...string) Option  { return nil }
func WithIssuer(iss string) Option              { return nil }
func WithJWKSURL(url string) Option             { return nil }
func WithDiscovery() Option                     { return nil }
func WithHTTPClient(client *http.Client) Option { return nil }
func WithLeeway(d time.Duration) Option         { return nil }
func WithClock(now func() time.Time) Option     { return nil }
func WithMaxStale(d time.Duration) Option       { return nil }
func WithLogger(logger *slog.Logger) Option     { return nil }
func WithChecks(checks ...Check) Option         { return nil }
func InsecureAllowShortSecret() Option          { return nil }
func InsecureAllowAccessTokenClaims() Option    { return nil }
