package reachfive_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// The token that ReachFive's documentation decodes (reference: Decode tokens).
// It expired in January 2020.
const (
	goldenDomain = "local-sandbox.og4.me"
	goldenClient = "sg48CdAYohRPeRWZ9j1H"
	goldenSecret = "KiHTYd2yCaoqRW2V8IxMP81XfyUbLadEZNO0IS02"
	goldenToken  = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJBV19DTUZjaUYtQUMyeGlTdHUtNiIsImF1ZCI6WyJzZzQ4Q2RBWW9oUlBlUldaOWoxSCJdLCJhdXRoX3R5cGUiOiJwYXNzd29yZCIsIm5ld191c2VyIjp0cnVlLCJlbWFpbF92ZXJpZmllZCI6ZmFsc2UsInVwZGF0ZWRfYXQiOiIyMDIwLTAxLTIwVDA5OjAyOjI1Ljk1NVoiLCJjdXN0b21fZmllbGRzIjp7fSwiYXV0aF90aW1lIjoxNTc5NTEwOTQ1LCJpc3MiOiJodHRwczovL2xvY2FsLXNhbmRib3gub2c0Lm1lIiwiZXhwIjoxNTc5NTk3MzQ1LCJpYXQiOjE1Nzk1MTA5NDUsImVtYWlsIjoiZ2l2ZXJhbmRvbXRva2VuNEByZWFjaDUuY28ifQ.kR0RRpNi4gFPUEOwuR1Tilx4imYjM1Owrbrtw6liZv0"
	goldenIssued = 1579510945
	goldenExpiry = 1579597345
)

func goldenVerifier(t *testing.T, now time.Time, opts ...reachfive.Option) *reachfive.Verifier {
	t.Helper()
	opts = append([]reachfive.Option{
		reachfive.WithClientSecret(goldenSecret),
		reachfive.WithClock(func() time.Time { return now }),
	}, opts...)
	v, err := reachfive.New(goldenDomain, goldenClient, opts...)
	require.NoError(t, err)
	return v
}

func TestVerifyAcceptsThePublishedToken(t *testing.T) {
	now := time.Unix(goldenIssued, 0)
	v := goldenVerifier(t, now)
	for range 3 { // the second and third find the header remembered
		u, err := v.Verify(t.Context(), goldenToken)
		require.NoError(t, err)
		assert.Equal(t, "https://local-sandbox.og4.me", u.Issuer)
		assert.Equal(t, "AW_CMFciF-AC2xiStu-6", u.Subject)
		assert.Equal(t, []string{goldenClient}, u.Audience)
		assert.Equal(t, time.Unix(goldenExpiry, 0).UTC(), u.ExpiresAt)
		assert.Equal(t, time.Unix(goldenIssued, 0).UTC(), u.IssuedAt)
		assert.Equal(t, time.Unix(goldenIssued, 0).UTC(), u.AuthTime)
		assert.Equal(t, time.Date(2020, 1, 20, 9, 2, 25, 955_000_000, time.UTC), u.UpdatedAt)
		assert.Equal(t, "password", u.AuthType)
		assert.True(t, u.NewUser)
		assert.Equal(t, "giverandomtoken4@reach5.co", u.Email)
		assert.False(t, u.EmailVerified)
		assert.JSONEq(t, `{}`, string(u.CustomFields))

		// Everything else is absent.
		for name, empty := range map[string]string{
			"nonce": u.Nonce, "azp": u.AuthorizedParty, "acr": u.ACR, "phone_number": u.PhoneNumber,
			"name": u.Name, "given_name": u.GivenName, "family_name": u.FamilyName,
			"middle_name": u.MiddleName, "nickname": u.Nickname, "preferred_username": u.PreferredUsername,
			"gender": u.Gender, "birthdate": u.Birthdate, "locale": u.Locale, "zoneinfo": u.Zoneinfo,
			"website": u.Website, "picture": u.Picture, "profile": u.Profile,
			"custom_identifier": u.CustomIdentifier, "external_id": u.ExternalID,
		} {
			assert.Empty(t, empty, name)
		}
		assert.Nil(t, u.AMR)
		assert.Nil(t, u.Address)
		assert.False(t, u.PhoneNumberVerified)

		var claims map[string]any
		require.NoError(t, u.Claims(&claims))
		assert.Len(t, claims, 12)
		wire, err := json.Marshal(u)
		require.NoError(t, err)
		assert.JSONEq(t, `{"iss":"https://local-sandbox.og4.me","sub":"AW_CMFciF-AC2xiStu-6",
			"aud":["sg48CdAYohRPeRWZ9j1H"],"exp":1579597345,"iat":1579510945,"auth_time":1579510945,
			"updated_at":"2020-01-20T09:02:25.955Z","auth_type":"password","new_user":true,
			"email":"giverandomtoken4@reach5.co","custom_fields":{}}`, string(wire))
	}
}

func TestVerifyRefusesThePublishedTokenOutsideItsTime(t *testing.T) {
	for _, tt := range []struct {
		name string
		now  int64
		want reachfive.Code
	}{
		{"a minute before it was issued", goldenIssued - 60, ""},
		{"more than a minute before it was issued", goldenIssued - 61, reachfive.CodeNotYetValid},
		{"in its last second", goldenExpiry - 1, ""},
		{"at its expiry", goldenExpiry, reachfive.CodeExpired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := goldenVerifier(t, time.Unix(tt.now, 0)).Verify(t.Context(), goldenToken)
			assert.Equal(t, tt.want, reachfive.CodeOf(err))
		})
	}
}

func TestObserverIsToldWhetherAKeyWasAtHand(t *testing.T) {
	hs := []reachfivetest.Option{reachfivetest.WithHS256()}
	for _, tt := range []struct {
		name  string
		opts  []reachfivetest.Option
		mods  []reachfivetest.Mod
		want  reachfive.Code
		known bool
	}{
		{"a good token", nil, nil, "", true},
		{"a kid that no key has", nil, []reachfivetest.Mod{reachfivetest.KID("nobody")}, reachfive.CodeUnknownKey, false},
		{"a bad signature of a known kid", nil, []reachfivetest.Mod{reachfivetest.WrongKey()}, reachfive.CodeInvalidSignature, true},
		{"a good token without kid", nil, []reachfivetest.Mod{reachfivetest.NoKID()}, "", true},
		{"another algorithm", nil, []reachfivetest.Mod{reachfivetest.HS256()}, reachfive.CodeUnsupportedAlgorithm, false},
		{"HS256", hs, nil, "", true},
		{"a bad signature of HS256", hs, []reachfivetest.Mod{reachfivetest.WrongKey()}, reachfive.CodeInvalidSignature, true},
		{"an expired token of HS256", hs, []reachfivetest.Mod{reachfivetest.Expired()}, reachfive.CodeExpired, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var seen []reachfive.VerifyEvent
				tenant := memoryTenant(t, tt.opts...)
				v := tenant.Verifier(reachfive.WithTokenCache(10), reachfive.WithObserver(reachfive.Observer{
					VerifyDone: func(_ context.Context, e reachfive.VerifyEvent) { seen = append(seen, e) },
				}))
				token := tenant.Token(tt.mods...)
				for range 2 { // the second time a good one is a hit
					_, err := v.Verify(t.Context(), token)
					assert.Equal(t, tt.want, reachfive.CodeOf(err))
				}
				require.Len(t, seen, 2)
				for n, e := range seen {
					assert.Equal(t, tt.known, e.KeyKnown)
					assert.Equal(t, tt.want == "" && n == 1, e.CacheHit)
				}
			})
		})
	}
}

func TestVerifierIsPrintedByItsIssuer(t *testing.T) {
	t.Parallel()
	v, err := reachfive.New("acme.reach5.net", "client", reachfive.WithClientSecret("a secret of this test and of nothing else"))
	require.NoError(t, err)
	const want = "reachfive.Verifier(https://acme.reach5.net)"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.Equal(t, want, fmt.Sprintf(verb, v), verb)
		assert.Equal(t, want, fmt.Sprintf(verb, *v), verb)
	}
	assert.Equal(t, want, v.LogValue().String())
}
