package main

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/auth0/go-jwt-middleware/v3/jwks"
	"github.com/auth0/go-jwt-middleware/v3/validator"
	"github.com/coreos/go-oidc/v3/oidc"
	cristalhq "github.com/cristalhq/jwt/v5"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v2/jwt"
	"github.com/lestrrat-go/jwx/v2/jwt/openid"

	"github.com/reachfive-community/reachfive"
)

// verify decides about one token. A nil error is a yes, and then the claims
// have been decoded.
type verify func(ctx context.Context, token string) error

// library verifies tokens as its documentation shows it: with its key cache,
// issuer and audience checked, the claims in a struct of ours.
type library struct {
	name string
	// rs256 makes a verifier that gets its keys from the URL. ctx ends what
	// runs in the background.
	rs256 func(ctx context.Context, jwksURL string, key *rsa.PublicKey) verify
	hs256 func() verify // nil where the library has none
}

// profile are the claims that every library decodes.
type profile struct {
	AuthTime      int64           `json:"auth_time"`
	AuthType      string          `json:"auth_type"`
	NewUser       bool            `json:"new_user"`
	Email         string          `json:"email"`
	EmailVerified bool            `json:"email_verified"`
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

// Validate makes profile one of go-jwt-middleware's custom claims.
func (*profile) Validate(context.Context) error { return nil }

const ours = "reachfive"

func libraries() []library {
	return []library{
		{ours, reachfiveRS256, reachfiveHS256},
		{"cristalhq/jwt (one fixed key)", cristalhqRS256, cristalhqHS256},
		{"golang-jwt + keyfunc", golangJWTRS256, golangJWTHS256},
		{"go-oidc", goOIDC, nil},
		{"jwx/v2 jwt.Parse + jwk.Cache", jwxRS256, jwxHS256},
		{"auth0/go-jwt-middleware v3", auth0RS256, auth0HS256},
	}
}

func newReachFive(opts ...reachfive.Option) *reachfive.Verifier {
	v, err := reachfive.New(domain, clientID, opts...)
	check(err)
	return v
}

func asVerify(v *reachfive.Verifier) verify {
	return func(ctx context.Context, token string) error {
		_, err := v.Verify(ctx, token)
		return err
	}
}

func reachfiveRS256(ctx context.Context, jwksURL string, _ *rsa.PublicKey) verify {
	v := newReachFive(reachfive.WithJWKSURL(jwksURL))
	context.AfterFunc(ctx, func() { _ = v.Close() })
	return asVerify(v)
}

func reachfiveHS256() verify { return asVerify(newReachFive(reachfive.WithClientSecret(secret))) }

type golangJWTClaims struct {
	jwt.RegisteredClaims
	profile
}

func golangJWT(alg string, key jwt.Keyfunc) verify {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithIssuer(issuer),
		jwt.WithAudience(clientID), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	return func(_ context.Context, token string) error {
		_, err := parser.ParseWithClaims(token, &golangJWTClaims{}, key)
		return err
	}
}

func golangJWTRS256(ctx context.Context, jwksURL string, _ *rsa.PublicKey) verify {
	keys, err := keyfunc.NewDefaultCtx(ctx, []string{jwksURL})
	check(err)
	return golangJWT("RS256", keys.Keyfunc)
}

func golangJWTHS256() verify {
	return golangJWT("HS256", func(*jwt.Token) (any, error) { return []byte(secret), nil })
}

func goOIDC(ctx context.Context, jwksURL string, _ *rsa.PublicKey) verify {
	keys := oidc.NewRemoteKeySet(ctx, jwksURL)
	verifier := oidc.NewVerifier(issuer, keys, &oidc.Config{ClientID: clientID})
	return func(ctx context.Context, token string) error {
		verified, err := verifier.Verify(ctx, token)
		if err != nil {
			return err
		}
		var p profile
		return verified.Claims(&p)
	}
}

func jwx(key jwxjwt.ParseOption) verify {
	return func(_ context.Context, token string) error {
		_, err := jwxjwt.Parse([]byte(token), key, jwxjwt.WithToken(openid.New()), jwxjwt.WithValidate(true),
			jwxjwt.WithIssuer(issuer), jwxjwt.WithAudience(clientID))
		return err
	}
}

func jwxRS256(ctx context.Context, jwksURL string, _ *rsa.PublicKey) verify {
	cache := jwk.NewCache(ctx) //nolint:forbidigo // as its users do
	check(cache.Register(jwksURL))
	return jwx(jwxjwt.WithKeySet(jwk.NewCachedSet(cache, jwksURL)))
}

func jwxHS256() verify { return jwx(jwxjwt.WithKey(jwa.HS256, []byte(secret))) }

func auth0(alg validator.SignatureAlgorithm, key func(context.Context) (any, error)) verify {
	v := auth0Validator(alg, key)
	return func(ctx context.Context, token string) error {
		_, err := v.ValidateToken(ctx, token)
		return err
	}
}

func auth0Validator(alg validator.SignatureAlgorithm, key func(context.Context) (any, error)) *validator.Validator {
	v, err := validator.New(
		validator.WithKeyFunc(key), validator.WithAlgorithm(alg),
		validator.WithIssuer(issuer), validator.WithAudience(clientID),
		validator.WithCustomClaims(func() *profile { return &profile{} }),
	)
	check(err)
	return v
}

func auth0Keys(jwksURL string) func(context.Context) (any, error) {
	issuerURL, err := url.Parse(issuer)
	check(err)
	keysURL, err := url.Parse(jwksURL)
	check(err)
	// The client is copied, and so is not shared with the other libraries.
	keys, err := jwks.NewCachingProvider(jwks.WithIssuerURL(issuerURL), jwks.WithCustomJWKSURI(keysURL),
		jwks.WithCustomClient(&http.Client{Timeout: 30 * time.Second}))
	check(err)
	return keys.KeyFunc
}

func auth0RS256(_ context.Context, jwksURL string, _ *rsa.PublicKey) verify {
	return auth0(validator.RS256, auth0Keys(jwksURL))
}

func auth0HS256() verify {
	return auth0(validator.HS256, func(context.Context) (any, error) { return []byte(secret), nil })
}

var errClaims = errors.New("a claim does not hold")

// cristal has no key set and checks no claim; the checks here are the least.
func cristal(verifier cristalhq.Verifier) verify {
	return func(_ context.Context, token string) error {
		var claims idToken
		if err := cristalhq.ParseClaims([]byte(token), verifier, &claims); err != nil {
			return err
		}
		now := time.Now().Unix()
		if claims.Issuer != issuer || len(claims.Audience) != 1 || claims.Audience[0] != clientID ||
			claims.ExpiresAt <= now || claims.IssuedAt > now+60 {
			return errClaims
		}
		return nil
	}
}

func cristalhqRS256(_ context.Context, _ string, key *rsa.PublicKey) verify {
	verifier, err := cristalhq.NewVerifierRS(cristalhq.RS256, key)
	check(err)
	return cristal(verifier)
}

func cristalhqHS256() verify {
	verifier, err := cristalhq.NewVerifierHS(cristalhq.HS256, []byte(secret))
	check(err)
	return cristal(verifier)
}
