package main

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/reachfive-community/reachfive"
)

// encoded is a token in both forms that the libraries take. Each gets its own,
// so that no time includes a conversion that only this program makes.
type encoded struct {
	text  string
	bytes []byte
}

func encode(token string) encoded { return encoded{token, []byte(token)} }

// verify verifies one token and returns what the library decoded its claims
// into, in the library's own type.
type verify func(ctx context.Context, token encoded) (any, error)

// library verifies tokens as its documentation shows it, with its key cache and
// with all of its checks that a ReachFive token can pass.
type library struct {
	name string
	// rs256 makes a verifier that gets its keys from the URL. ctx ends what
	// runs in the background.
	rs256 func(ctx context.Context, jwksURL string, key *rsa.PublicKey) verify
	hs256 func() verify // nil where the library has none
	// claims copies what verify returned, for a comparison.
	claims func(decoded any) idToken
}

// terms are what a token is checked against.
type terms struct {
	issuer   string
	clientID string
	now      func() time.Time
	leeway   time.Duration
}

// ourTerms are those of every contestant.
func ourTerms() terms { return terms{issuer: issuer, clientID: clientID, now: time.Now} }

// profile are the claims of a person that every library decodes.
type profile struct {
	AuthTime      int64           `json:"auth_time"`
	AuthType      string          `json:"auth_type"`
	NewUser       bool            `json:"new_user"`
	Email         string          `json:"email"`
	EmailVerified bool            `json:"email_verified"`
	PhoneNumber   string          `json:"phone_number"`
	PhoneVerified bool            `json:"phone_number_verified"`
	GivenName     string          `json:"given_name"`
	FamilyName    string          `json:"family_name"`
	Name          string          `json:"name"`
	Gender        string          `json:"gender"`
	Birthdate     string          `json:"birthdate"`
	Locale        string          `json:"locale"`
	Picture       string          `json:"picture"`
	UpdatedAt     string          `json:"updated_at"`
	CustomFields  json.RawMessage `json:"custom_fields"`
}

// idToken is a whole payload, for the libraries that decode all of it at once.
type idToken struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  []string `json:"aud"`
	ExpiresAt int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	profile
}

const (
	ours     = "reachfive"
	fixedKey = "cristalhq/jwt (one fixed key)"
)

func libraries() []library {
	return []library{
		{ours, reachfiveRS256, reachfiveHS256, reachfiveClaims},
		{fixedKey, cristalhqRS256, cristalhqHS256, cristalhqClaims},
		{"golang-jwt + keyfunc", golangJWTRS256, golangJWTHS256, golangJWTIDToken},
		{"go-oidc", goOIDC, nil, goOIDCIDToken},
		{"jwx/v2 jwt.Parse + jwk.Cache", jwx2RS256, jwx2HS256, jwx2IDToken},
		{"jwx/v3 jwt.Parse + jwk.Cache", jwx3RS256, jwx3HS256, jwx3IDToken},
		{"auth0/go-jwt-middleware v3", auth0RS256, auth0HS256, auth0IDToken},
	}
}

func newReachFive(opts ...reachfive.Option) *reachfive.Verifier {
	v, err := reachfive.New(domain, clientID, append(opts, reachfive.WithLogger(slog.New(slog.DiscardHandler)))...)
	check(err)
	return v
}

func asVerify(v *reachfive.Verifier) verify {
	return func(ctx context.Context, token encoded) (any, error) { return v.Verify(ctx, token.text) }
}

func reachfiveRS256(ctx context.Context, jwksURL string, _ *rsa.PublicKey) verify {
	v := newReachFive(reachfive.WithJWKSURL(jwksURL))
	context.AfterFunc(ctx, func() { _ = v.Close() })
	return asVerify(v)
}

func reachfiveHS256() verify { return asVerify(newReachFive(reachfive.WithClientSecret(secret))) }

// updatedAt is how ReachFive writes updated_at.
const updatedAt = "2006-01-02T15:04:05.000Z07:00"

func reachfiveClaims(decoded any) idToken {
	u := decoded.(*reachfive.User) //nolint:forcetypeassert // what Verify returns
	return idToken{
		Issuer: u.Issuer, Subject: u.Subject, Audience: u.Audience, ExpiresAt: u.ExpiresAt.Unix(), IssuedAt: u.IssuedAt.Unix(),
		profile: profile{
			AuthTime: u.AuthTime.Unix(), AuthType: u.AuthType, NewUser: u.NewUser, Email: u.Email, EmailVerified: u.EmailVerified,
			PhoneNumber: u.PhoneNumber, PhoneVerified: u.PhoneNumberVerified,
			GivenName: u.GivenName, FamilyName: u.FamilyName, Name: u.Name, Gender: u.Gender, Birthdate: u.Birthdate,
			Locale: u.Locale, Picture: u.Picture, UpdatedAt: u.UpdatedAt.UTC().Format(updatedAt), CustomFields: u.CustomFields,
		},
	}
}
