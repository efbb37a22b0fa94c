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

// NewUser returns the User that a handler would find behind the middleware,
// for tests of handlers that need no token and no tenant:
//
//	ctx := reachfive.ContextWithUser(r.Context(), reachfivetest.NewUser(t, claims))
//
// claims goes by wire names, such as "email" and "given_name"; what it lacks
// of iss, sub, aud, iat, exp and auth_time is filled in, as of a sign-in just
// now. The User is the one that a Verifier makes of these claims, User.Claims
// included. Claims that no Verifier would accept, an exp that has passed for
// one, fail the test: no handler ever sees their user.
func NewUser(tb testing.TB, claims map[string]any) *reachfive.User {
	tb.Helper()
	user, err := newUser(claims)
	if err != nil {
		tb.Fatal(fmt.Errorf("reachfivetest: NewUser: %w", err))
	}
	return user
}

// newUser has a Verifier read a token that lives for this call only, so that
// the User is what production makes of the claims, by construction.
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
		// HS256 spares the RSA key; it has room for one audience only.
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

// audienceOf reads aud in any of the forms that a test may write it in.
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
