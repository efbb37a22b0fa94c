package main

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/lestrrat-go/httprc/v3"
	jwa2 "github.com/lestrrat-go/jwx/v2/jwa"
	jwk2 "github.com/lestrrat-go/jwx/v2/jwk"
	jwt2 "github.com/lestrrat-go/jwx/v2/jwt"
	openid2 "github.com/lestrrat-go/jwx/v2/jwt/openid"
	jwa3 "github.com/lestrrat-go/jwx/v3/jwa"
	jwk3 "github.com/lestrrat-go/jwx/v3/jwk"
	jwt3 "github.com/lestrrat-go/jwx/v3/jwt"
	openid3 "github.com/lestrrat-go/jwx/v3/jwt/openid"
)

// requiredClaims are those that jwx does not require by itself.
func requiredClaims() []string { return []string{"sub", "exp", "iat"} }

// jwx2CompactOnly makes a setting that jwx/v2 has for the whole process, before
// its first token: Parse reads the setting without a lock.
var jwx2CompactOnly = sync.OnceFunc(func() { jwt2.Settings(jwt2.WithCompactOnly(true)) })

// jwx2Options are all the checks of jwx/v2 that a ReachFive token passes. Its
// callers add WithToken(openid.New()), a new one for each token, which checks
// the types of the standard claims.
// WithNumericDateParsePedantic is not among them, because it refuses updated_at
// as ReachFive writes it.
func jwx2Options(t terms) []jwt2.ParseOption {
	jwx2CompactOnly()
	options := []jwt2.ParseOption{
		jwt2.WithPedantic(true), jwt2.WithValidate(true),
		jwt2.WithIssuer(t.issuer), jwt2.WithAudience(t.clientID),
		jwt2.WithClock(jwt2.ClockFunc(t.now)), jwt2.WithAcceptableSkew(t.leeway),
	}
	for _, name := range requiredClaims() {
		options = append(options, jwt2.WithRequiredClaim(name))
	}
	return options
}

// jwx3Options are the same for jwx/v3, which has one check more.
func jwx3Options(t terms) []jwt3.ParseOption {
	options := []jwt3.ParseOption{
		jwt3.WithPedantic(true), jwt3.WithStrictStringClaims(true), jwt3.WithValidate(true),
		jwt3.WithIssuer(t.issuer), jwt3.WithAudience(t.clientID),
		jwt3.WithClock(jwt3.ClockFunc(t.now)), jwt3.WithAcceptableSkew(t.leeway),
	}
	for _, name := range requiredClaims() {
		options = append(options, jwt3.WithRequiredClaim(name))
	}
	return options
}

func jwx2(key jwt2.ParseOption) verify {
	options := slices.Clip(append(jwx2Options(ourTerms()), key))
	return func(_ context.Context, token encoded) (any, error) {
		return jwt2.Parse(token.bytes, append(options, jwt2.WithToken(openid2.New()))...)
	}
}

func jwx3(key jwt3.ParseOption) verify {
	options := slices.Clip(append(jwx3Options(ourTerms()), key))
	return func(_ context.Context, token encoded) (any, error) {
		return jwt3.Parse(token.bytes, append(options, jwt3.WithToken(openid3.New()))...)
	}
}

func jwx2RS256(ctx context.Context, jwksURL string, _ *rsa.PublicKey) verify {
	cache := jwk2.NewCache(ctx)
	check(cache.Register(jwksURL))
	return jwx2(jwt2.WithKeySet(jwk2.NewCachedSet(cache, jwksURL)))
}

func jwx3RS256(ctx context.Context, jwksURL string, _ *rsa.PublicKey) verify {
	cache, err := jwk3.NewCache(ctx, httprc.NewClient())
	check(err)
	check(cache.Register(ctx, jwksURL))
	context.AfterFunc(ctx, func() { _ = cache.Shutdown(context.WithoutCancel(ctx)) })
	set, err := cache.CachedSet(jwksURL)
	check(err)
	return jwx3(jwt3.WithKeySet(set))
}

func jwx2HS256() verify { return jwx2(jwt2.WithKey(jwa2.HS256, []byte(secret))) }

func jwx3HS256() verify { return jwx3(jwt3.WithKey(jwa3.HS256(), []byte(secret))) }

// jwx keeps the claims in a token of its own, with a getter for each of those
// that OpenID Connect defines. The rest is in a map.
func jwx2IDToken(decoded any) idToken {
	token := decoded.(openid2.Token) //nolint:forcetypeassert // what jwx2 asks for
	return throughJSON(token, token.UpdatedAt())
}

func jwx3IDToken(decoded any) idToken {
	token := decoded.(openid3.Token) //nolint:forcetypeassert // what jwx3 asks for
	at, _ := token.UpdatedAt()
	return throughJSON(token, at)
}

// throughJSON reads what a token writes, but for updated_at, which jwx writes
// as a number of seconds.
func throughJSON(token any, at time.Time) idToken {
	var written struct {
		idToken
		UpdatedAt json.Number `json:"updated_at"`
	}
	check(json.Unmarshal(mustMarshal(token), &written))
	written.idToken.UpdatedAt = at.UTC().Format(updatedAt)
	return written.idToken
}
