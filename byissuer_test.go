package reachfive_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func byIssuer(t *testing.T, verifiers ...*reachfive.Verifier) *reachfive.IssuerVerifier {
	t.Helper()
	v, err := reachfive.ByIssuer(verifiers...)
	require.NoError(t, err)
	return v
}

func secretVerifier(t *testing.T, domain, clientID, secret string) *reachfive.Verifier {
	t.Helper()
	v, err := reachfive.New(domain, clientID, reachfive.WithClientSecret(secret))
	require.NoError(t, err)
	return v
}

func TestByIssuerLetsAClientMoveFromHS256ToRS256(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		before := secretVerifier(t, tenant.Domain, tenant.ClientID, tenant.ClientSecret)
		v := byIssuer(t, before, tenant.Verifier())
		for name, mod := range map[string]reachfivetest.Mod{"HS256": reachfivetest.HS256(), "RS256": reachfivetest.RS256()} {
			u, err := v.Verify(t.Context(), tenant.Token(mod, reachfivetest.Claim("sub", name)))
			require.NoError(t, err, name)
			assert.Equal(t, name, u.Subject)
		}
		// The secret that an attacker may try is any text of the public key.
		_, err := v.Verify(t.Context(), tenant.Token(reachfivetest.HS256With(tenant.JWK(tenant.KID()))))
		assert.Equal(t, reachfive.CodeInvalidSignature, reachfive.CodeOf(err))
	})
}

func TestByIssuerServesAMiddleware(t *testing.T) {
	t.Parallel()
	tenant := memoryTenant(t)
	h := reachfive.Middleware(byIssuer(t, tenant.Verifier()))(http.HandlerFunc(whoAmI))
	for token, want := range map[string]int{tenant.Token(): http.StatusOK, tenant.Token(reachfivetest.Expired()): http.StatusUnauthorized} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, get("Bearer "+token))
		assert.Equal(t, want, w.Code)
	}
}

func TestByIssuerKeepsHS256ClientsApart(t *testing.T) {
	t.Parallel()
	const webSecret, appSecret = "web-secret-web-secret-web-secret-web", "app-secret-app-secret-app-secret-app"
	tenant := memoryTenant(t)
	v := byIssuer(t,
		secretVerifier(t, tenant.Domain, "web", webSecret),
		secretVerifier(t, tenant.Domain, "app", appSecret))
	tests := []struct {
		name   string
		aud    any
		secret string
		want   reachfive.Code
	}{
		{"the first client's", "web", webSecret, ""},
		{"the second client's", []string{"app"}, appSecret, ""},
		{"the first client's, signed by the second", "web", appSecret, reachfive.CodeInvalidSignature},
		{"the second client's, signed by the first", "app", webSecret, reachfive.CodeInvalidSignature},
		{"for both", []string{"web", "app"}, webSecret, reachfive.CodeWrongAudience},
		{"for both, the other way round", []string{"app", "web"}, webSecret, reachfive.CodeWrongAudience},
		{"for another", "other", webSecret, reachfive.CodeWrongAudience},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := v.Verify(t.Context(), tenant.Token(reachfivetest.HS256With(tt.secret), reachfivetest.Claim("aud", tt.aud)))
			assert.Equal(t, tt.want, reachfive.CodeOf(err), "%v", err)
		})
	}
}

// CVE-2026-49998: keys were found by kid alone.
func TestByIssuerNeverCrossesKeysOfOneKid(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		a := memoryTenant(t, reachfivetest.WithName("a.localhost"))
		b := memoryTenant(t, reachfivetest.WithName("b.localhost"))
		kid := b.KID()
		require.Equal(t, a.KID(), kid, "the tenants were to publish different keys under one kid")
		b.ReplaceKey(kid)
		require.NotEqual(t, a.JWK(kid), b.JWK(kid))
		v := byIssuer(t, a.Verifier(reachfive.WithTokenCache(10)), b.Verifier(reachfive.WithTokenCache(10)))

		for range 2 { // the second time from the token caches
			for _, tenant := range []*reachfivetest.Tenant{a, b} {
				u, err := v.Verify(t.Context(), tenant.Token())
				require.NoError(t, err)
				assert.Equal(t, "https://"+tenant.Domain, u.Issuer)
			}
			_, err := v.Verify(t.Context(), a.Token(reachfivetest.Claim("iss", "https://"+b.Domain)))
			assert.Equal(t, reachfive.CodeInvalidSignature, reachfive.CodeOf(err), "%v", err)
			_, err = v.Verify(t.Context(), b.Token(reachfivetest.Claim("iss", "https://"+a.Domain)))
			assert.Equal(t, reachfive.CodeInvalidSignature, reachfive.CodeOf(err), "%v", err)
		}
	})
}

func TestByIssuerSaysWhyNoVerifierFits(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		hmac := secretVerifier(t, "other.example", "other", tenant.ClientSecret)
		rs := tenant.Verifier()
		tests := []struct {
			name  string
			v     reachfive.TokenVerifier
			token string
			want  reachfive.Code
		}{
			{"no token", byIssuer(t, rs), "", reachfive.CodeMissingToken},
			{"no compact JWS", byIssuer(t, rs), "a.b", reachfive.CodeMalformedToken},
			{"a character that no base64url has", byIssuer(t, rs), tenant.Token() + "\n", reachfive.CodeMalformedToken},
			{"no JSON in the header", byIssuer(t, rs), tenant.Token(reachfivetest.RawHeader(`{"alg":"RS256"} x`)), reachfive.CodeMalformedToken},
			{"a header member twice", byIssuer(t, rs), tenant.Token(reachfivetest.RawHeader(`{"alg":"RS256","alg":"RS256"}`)), reachfive.CodeMalformedToken},
			{"no object in the payload", byIssuer(t, rs), tenant.Token(reachfivetest.RawPayload(`null`)), reachfive.CodeMalformedToken},
			{"iss twice", byIssuer(t, rs), tenant.Token(reachfivetest.RawPayload(`{"iss":"a","iss":"b"}`)), reachfive.CodeMalformedToken},
			{"alg none", byIssuer(t, rs, hmac), tenant.Token(reachfivetest.Header("alg", "none")), reachfive.CodeUnsupportedAlgorithm},
			{"no verifier has the algorithm", byIssuer(t, rs), tenant.Token(reachfivetest.HS256()), reachfive.CodeUnsupportedAlgorithm},
			{"the algorithm is another issuer's", byIssuer(t, rs, hmac), tenant.Token(reachfivetest.HS256()), reachfive.CodeWrongIssuer},
			{"another issuer", byIssuer(t, rs, hmac), tenant.Token(reachfivetest.OtherIssuer()), reachfive.CodeWrongIssuer},
			{"no issuer", byIssuer(t, rs), tenant.Token(reachfivetest.WithoutClaim("iss")), reachfive.CodeWrongIssuer},
			{"an issuer that is no string", byIssuer(t, rs), tenant.Token(reachfivetest.Claim("iss", 1)), reachfive.CodeWrongIssuer},
			{"another audience", byIssuer(t, rs, hmac), tenant.Token(reachfivetest.OtherAudience()), reachfive.CodeWrongAudience},
			{"no audience", byIssuer(t, rs), tenant.Token(reachfivetest.Claim("aud", []string{})), reachfive.CodeWrongAudience},
			{"a good choice and a bad signature", byIssuer(t, rs, hmac), tenant.Token(reachfivetest.WrongKey()), reachfive.CodeInvalidSignature},
			{"a good choice and an old token", byIssuer(t, rs, hmac), tenant.Token(reachfivetest.Expired()), reachfive.CodeExpired},
			{"a good token", byIssuer(t, rs, hmac), tenant.Token(), ""},
		}
		for _, tt := range tests {
			u, err := tt.v.Verify(t.Context(), tt.token)
			assert.Equal(t, tt.want, reachfive.CodeOf(err), "%s: %v", tt.name, err)
			assert.Equal(t, err == nil, u != nil, tt.name)
		}
	})
}

func TestByIssuerRunsTheChecksOfTheCall(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		v := byIssuer(t, tenant.Verifier())
		_, err := v.Verify(t.Context(), tenant.Token(reachfivetest.IssuedAt(time.Now().Add(-time.Hour))), reachfive.MaxTokenAge(time.Minute))
		assert.Equal(t, reachfive.CodeExpired, reachfive.CodeOf(err))
	})
}

func TestByIssuerRefusesVerifiersThatOneTokenFits(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-of-at-least-thirty-two-bytes"
	hmac := secretVerifier(t, "a.example", "web", secret)
	rs := func(domain, clientID string, opts ...reachfive.Option) *reachfive.Verifier {
		v, err := reachfive.New(domain, clientID, opts...)
		require.NoError(t, err)
		return v
	}
	web := rs("a.example", "web")
	tests := []struct {
		name      string
		verifiers []*reachfive.Verifier
		want      string // "" for none
	}{
		{"none", nil, "no verifier"},
		{"nil first", []*reachfive.Verifier{nil, web}, "verifier 0 is nil"},
		{"nil last", []*reachfive.Verifier{web, nil}, "verifier 1 is nil"},
		{"nothing but nil", []*reachfive.Verifier{nil, nil}, "verifier 0 is nil\nreachfive: ByIssuer: verifier 1 is nil"},
		{"the same twice", []*reachfive.Verifier{web, web}, "verifiers 0 and 1"},
		{"the same settings twice", []*reachfive.Verifier{hmac, web, rs("A.example", "web")}, "verifiers 1 and 2"},
		{"a shared audience", []*reachfive.Verifier{web, rs("a.example", "ios", reachfive.WithAudiences("web"))}, "verifiers 0 and 1"},
		{"another algorithm", []*reachfive.Verifier{web, hmac}, ""},
		{"another audience", []*reachfive.Verifier{web, rs("a.example", "ios")}, ""},
		{"another issuer", []*reachfive.Verifier{web, rs("b.example", "web")}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := reachfive.ByIssuer(tt.verifiers...)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			assert.Nil(t, v)
		})
	}
}

func TestByIssuerKeepsTheVerifiersThatItWasGiven(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-of-at-least-thirty-two-bytes"
	tenant := memoryTenant(t, reachfivetest.WithHS256())
	verifiers := []*reachfive.Verifier{tenant.Verifier(), secretVerifier(t, "b.example", "web", secret)}
	v := byIssuer(t, verifiers...)
	verifiers[0] = verifiers[1]
	_, err := v.Verify(t.Context(), tenant.Token())
	require.NoError(t, err)
	verifiers[0], verifiers[1] = nil, nil
	_, err = v.Verify(t.Context(), tenant.Token())
	require.NoError(t, err)
}
