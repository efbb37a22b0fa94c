package main

import (
	"context"
	"crypto/rsa"
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
)

type golangJWTClaims struct {
	jwt.RegisteredClaims
	profile
}

// golangJWTOptions are all the checks of golang-jwt that a ReachFive token
// passes.
func golangJWTOptions(alg string, t terms) []jwt.ParserOption {
	return []jwt.ParserOption{
		jwt.WithValidMethods([]string{alg}), jwt.WithStrictDecoding(), jwt.WithIssuer(t.issuer), jwt.WithAudience(t.clientID),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(t.now), jwt.WithLeeway(t.leeway),
	}
}

func golangJWT(alg string, key jwt.Keyfunc) verify {
	parser := jwt.NewParser(golangJWTOptions(alg, ourTerms())...)
	return func(_ context.Context, token encoded) (any, error) {
		claims := &golangJWTClaims{}
		_, err := parser.ParseWithClaims(token.text, claims, key)
		return claims, err
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

func golangJWTIDToken(decoded any) idToken {
	c := decoded.(*golangJWTClaims) //nolint:forcetypeassert // what golangJWT returns
	return idToken{c.Issuer, c.Subject, c.Audience, c.ExpiresAt.Unix(), c.IssuedAt.Unix(), c.profile}
}

// goOIDCConfig are all the checks of go-oidc: it has no option to be stricter.
func goOIDCConfig(t terms) *oidc.Config {
	return &oidc.Config{ClientID: t.clientID, SupportedSigningAlgs: []string{oidc.RS256}, Now: t.now}
}

type goOIDCClaims struct {
	*oidc.IDToken
	profile
}

func goOIDC(ctx context.Context, jwksURL string, _ *rsa.PublicKey) verify {
	t := ourTerms()
	verifier := oidc.NewVerifier(t.issuer, oidc.NewRemoteKeySet(ctx, jwksURL), goOIDCConfig(t))
	return func(ctx context.Context, token encoded) (any, error) {
		verified, err := verifier.Verify(ctx, token.text)
		if err != nil {
			return nil, err
		}
		decoded := &goOIDCClaims{IDToken: verified}
		return decoded, verified.Claims(&decoded.profile)
	}
}

func goOIDCIDToken(decoded any) idToken {
	c := decoded.(*goOIDCClaims) //nolint:forcetypeassert // what goOIDC returns
	return idToken{c.Issuer, c.Subject, c.Audience, c.Expiry.Unix(), c.IssuedAt.Unix(), c.profile}
}

// Validate makes profile one of go-jwt-middleware's custom claims.
func (*profile) Validate(context.Context) error { return nil }

func auth0(alg validator.SignatureAlgorithm, key func(context.Context) (any, error)) verify {
	v := auth0Validator(alg, key)
	return func(ctx context.Context, token encoded) (any, error) { return v.ValidateToken(ctx, token.text) }
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
	// A client of its own, which it shares with none of the other libraries.
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

func auth0IDToken(decoded any) idToken {
	c := decoded.(*validator.ValidatedClaims) //nolint:forcetypeassert // what ValidateToken returns
	r := c.RegisteredClaims
	p := c.CustomClaims.(*profile) //nolint:forcetypeassert // what WithCustomClaims makes
	return idToken{r.Issuer, r.Subject, r.Audience, r.Expiry, r.IssuedAt, *p}
}

var errClaims = errors.New("a claim does not hold")

// cristal decodes into a struct and checks the claims itself, because
// cristalhq/jwt has neither a key set nor a check of claims.
func cristal(verifier cristalhq.Verifier) verify {
	return func(_ context.Context, token encoded) (any, error) {
		claims := &idToken{}
		if err := cristalhq.ParseClaims(token.bytes, verifier, claims); err != nil {
			return nil, err
		}
		now := time.Now().Unix()
		if claims.Issuer != issuer || len(claims.Audience) != 1 || claims.Audience[0] != clientID ||
			claims.ExpiresAt <= now || claims.IssuedAt > now+60 {
			return nil, errClaims
		}
		return claims, nil
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

func cristalhqClaims(decoded any) idToken {
	return *decoded.(*idToken) //nolint:forcetypeassert // what cristal returns
}
