package reachfivetest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/reachfive-community/reachfive"
)

// NewUser returns a User as the middleware would store it, for tests of handlers
// that need no token and no tenant:
//
//	ctx := reachfive.ContextWithUser(r.Context(), reachfivetest.NewUser(t, claims))
//
// claims has wire names, such as "email" and "given_name". If iss, sub, aud, iat,
// exp or auth_time is missing, it is set as for a sign-in just now. The User is the
// one that a Verifier returns for these claims, User.Claims included. The test fails
// for claims that no Verifier accepts, such as an exp in the past.
func NewUser(tb testing.TB, claims map[string]any) *reachfive.User {
	tb.Helper()
	user, err := newUser(claims)
	if err != nil {
		tb.Fatal(fmt.Errorf("reachfivetest: NewUser: %w", err))
	}
	return user
}

// newUser verifies a token with these claims, so that the User is the one that
// production code would get.
func newUser(claims map[string]any) (*reachfive.User, error) {
	all := map[string]any{
		"iss":       "https://tenant.localhost",
		"sub":       "AVqvOB58Fg6nZfQ0ZqXt",
		"aud":       []string{"AtnY5xDg4fbanentihip"},
		"iat":       time.Now().Unix(),
		"exp":       time.Now().Add(tokenLifetime).Unix(),
		"auth_time": time.Now().Unix(),
	}
	maps.Copy(all, claims)
	audience, err := audienceOf(all["aud"])
	if err != nil {
		return nil, err
	}
	issuer, _ := all["iss"].(string)
	opts := []Option{InMemory(), WithClientID(audience[0])}
	verifierOpts := []reachfive.Option{reachfive.WithIssuer(issuer)}
	if len(audience) == 1 {
		// HS256 needs no RSA key, but allows only one audience.
		opts = append(opts, WithHS256(), WithClientSecret(rand.Text()+rand.Text()))
	} else {
		verifierOpts = append(verifierOpts, reachfive.WithAudiences(audience[1:]...))
	}
	tenant, err := Start(opts...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tenant.Close() }()
	token, err := tenant.compact(all, nil)
	if err != nil {
		return nil, err
	}
	v, err := reachfive.New(tenant.Domain, tenant.ClientID, append(tenant.Options(), verifierOpts...)...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = v.Close() }()
	return v.Verify(context.Background(), token)
}

// audienceOf reads aud in any of the forms that a test may use.
func audienceOf(aud any) ([]string, error) {
	text, err := json.Marshal(aud)
	if err != nil {
		return nil, err
	}
	var one string
	if json.Unmarshal(text, &one) == nil {
		return []string{one}, nil
	}
	var many []string
	if err := json.Unmarshal(text, &many); err != nil || len(many) == 0 {
		return nil, reachfive.CodeWrongAudience
	}
	return many, nil
}
