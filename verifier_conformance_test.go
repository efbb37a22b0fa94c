package reachfive_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	kit "github.com/reachfive-community/reachfive/reachfivetest"
)

// These are the tests of the OpenID conformance suite for relying parties that
// apply to a verifier of ID tokens, under their names in the suite.

func TestRPIDTokenSigRS256(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		assert.Empty(t, codeOf(t, tenant.Verifier(), tenant.Token()))
	})
}

func TestRPIDTokenIsRefused(t *testing.T) {
	t.Parallel()
	hs := []kit.Option{kit.WithHS256()}
	signed := func(mods ...kit.Mod) func(*testing.T, *kit.Tenant) string {
		return func(_ *testing.T, tenant *kit.Tenant) string { return tenant.Token(mods...) }
	}
	for _, tt := range []struct {
		name  string
		opts  []kit.Option
		token func(*testing.T, *kit.Tenant) string
		want  reachfive.Code
	}{
		{"invalid-sig-rs256", nil, signed(kit.WrongKey()), reachfive.CodeInvalidSignature},
		{"invalid-sig-rs256, tampered with", nil, signed(kit.Tampered()), reachfive.CodeInvalidSignature},
		{"invalid-sig-hs256", hs, signed(kit.WrongKey()), reachfive.CodeInvalidSignature},
		{"invalid-sig-es256", nil, es256, reachfive.CodeUnsupportedAlgorithm},
		{"sig-none", nil, signed(kit.Unsigned()), reachfive.CodeMalformedToken},
		{"sig-none, with a signature", nil, signed(kit.Header("alg", "none")), reachfive.CodeUnsupportedAlgorithm},
		{"invalid-iss", nil, signed(kit.OtherIssuer()), reachfive.CodeWrongIssuer},
		{"missing-sub", nil, signed(kit.WithoutClaim("sub")), reachfive.CodeMissingClaim},
		{"invalid-aud", nil, signed(kit.OtherAudience()), reachfive.CodeWrongAudience},
		{"missing-aud", nil, signed(kit.WithoutClaim("aud")), reachfive.CodeMissingClaim},
		{"missing-iat", nil, signed(kit.WithoutClaim("iat")), reachfive.CodeMissingClaim},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				tenant := memoryTenant(t, tt.opts...)
				assert.Equal(t, tt.want, codeOf(t, tenant.Verifier(), tt.token(t, tenant)))
			})
		})
	}
	t.Run("nonce-invalid", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			tenant := memoryTenant(t)
			token := tenant.Token(kit.Claim("nonce", "n-1"))
			assert.Empty(t, codeOf(t, tenant.Verifier(), token, reachfive.Nonce("n-1")))
			assert.Equal(t, reachfive.CodeWrongNonce, codeOf(t, tenant.Verifier(), token, reachfive.Nonce("n-2")))
		})
	})
}

// es256 signs the tenant's token with an elliptic key.
func es256(t *testing.T, tenant *kit.Tenant) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	_, payload, _ := segmentsOf(tenant.Token())
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"key-1"}`)) + "." + payload
	sum := sha256.Sum256([]byte(signed))
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	require.NoError(t, err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestRPKIDAbsent(t *testing.T) {
	t.Parallel()
	t.Run("single", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			tenant := memoryTenant(t)
			assert.Empty(t, codeOf(t, tenant.Verifier(), tenant.Token(kit.NoKID())))
		})
	})
	t.Run("multiple", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			tenant := memoryTenant(t)
			v := tenant.Verifier()
			require.Empty(t, codeOf(t, v, tenant.Token(kit.NoKID())))
			tenant.Rotate()
			tenant.Rotate()
			require.NoError(t, v.Refresh(t.Context()))
			for _, kid := range []string{"key-1", "key-2", "key-3"} {
				assert.Empty(t, codeOf(t, v, tenant.Token(kit.SignedBy(kid), kit.NoKID())))
			}
			assert.Equal(t, reachfive.CodeInvalidSignature, codeOf(t, v, tenant.Token(kit.WrongKey(), kit.NoKID())))
		})
	})
}

func TestRPSigningKeyRotation(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		v := tenant.Verifier()
		require.Empty(t, codeOf(t, v, tenant.Token()))
		tenant.Rotate()
		assert.Empty(t, codeOf(t, v, tenant.Token()), "just before signing")
		assert.Equal(t, 2, tenant.JWKSRequests())
		assert.Empty(t, codeOf(t, v, tenant.Token(kit.SignedBy("key-1"))), "the old key is still published")
	})
}

func TestRPIgnoresAnUnparseableKeyInTheJWKS(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		tenant.PublishRaw(`{"kty":"EC","crv":"P-256"}`, `"key"`, `{"kty":"RSA","n":"!","e":"AQAB"}`)
		assert.Empty(t, codeOf(t, tenant.Verifier(), tenant.Token()))
	})
}

// The tests below replay vulnerabilities of other verifiers.

func TestCVE202026160AnArrayIsNoWayAroundAud(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		for _, aud := range []any{[]string{}, []string{""}, []string{"other"}, []string{"other", tenant.ClientID}, ""} {
			assert.Equal(t, reachfive.CodeWrongAudience, codeOf(t, tenant.Verifier(), tenant.Token(kit.Claim("aud", aud))), "%v", aud)
		}
	})
}

func TestCVE202530204And202527144ManyDotsCostNothing(t *testing.T) {
	v := hs256Verifier(t, time.Unix(1_800_000_000, 0))
	for _, size := range []int{2, 3, 8 << 10, 16 << 10, 1 << 20} {
		token := strings.Repeat(".", size)
		assert.Equal(t, reachfive.CodeMalformedToken, codeOf(t, v, token))
		assert.LessOrEqual(t, allocations(func() { _, _ = v.Verify(t.Context(), token) }), 1.0, "the error alone")
	}
}

func TestCVE202451744ABadSignatureIsNotHiddenByExpiry(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		assert.Equal(t, reachfive.CodeInvalidSignature, codeOf(t, tenant.Verifier(), tenant.Token(kit.Expired(), kit.WrongKey())))
		assert.Equal(t, reachfive.CodeExpired, codeOf(t, tenant.Verifier(), tenant.Token(kit.Expired())))
	})
}

func TestCVE202559420AnUnknownCritIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		token := tenant.Token(kit.Header("crit", []string{"cnf"}), kit.Header("cnf", "x"))
		assert.Equal(t, reachfive.CodeMalformedToken, codeOf(t, tenant.Verifier(), token))
	})
}

func TestCVE202522149ARemovedKeyIsNotKept(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]reachfive.Option{"plain": nil, "with a token cache": {reachfive.WithTokenCache(10)}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				tenant := memoryTenant(t)
				v := tenant.Verifier(opts...)
				kid := tenant.Rotate()
				token := tenant.Token()
				require.Empty(t, codeOf(t, v, token))
				require.Empty(t, codeOf(t, v, token))
				tenant.Rotate()
				tenant.RemoveKey(kid)
				require.NoError(t, v.Refresh(t.Context()))
				assert.Equal(t, reachfive.CodeUnknownKey, codeOf(t, v, token))
			})
		})
	}
}

// Two issuers may use the same kid for different keys.
func TestCVE202649998AKeyIsNotCachedByItsKIDAlone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		ours, theirs := memoryTenant(t), memoryTenant(t, kit.WithName("other.localhost"))
		theirs.ReplaceKey(theirs.KID()) // not the key that ours has
		require.Equal(t, ours.KID(), theirs.KID())
		v, w := ours.Verifier(reachfive.WithTokenCache(10)), theirs.Verifier(reachfive.WithTokenCache(10))
		require.Empty(t, codeOf(t, w, theirs.Token()))
		require.Empty(t, codeOf(t, v, ours.Token()))
		forged := theirs.Token(kit.Claim("iss", ours.Issuer()), kit.Claim("aud", ours.ClientID))
		assert.Equal(t, reachfive.CodeInvalidSignature, codeOf(t, v, forged))
	})
}

func TestCVE202649478NoRedirectLeadsToOtherKeys(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant, attacker := memoryTenant(t), memoryTenant(t, kit.WithName("attacker.localhost"))
		attacker.ReplaceKey(attacker.KID())
		tenant.OnJWKS(func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "https://"+attacker.Domain+"/jwks.json", http.StatusFound)
			return true
		})
		token := attacker.Token(kit.Claim("iss", tenant.Issuer()), kit.Claim("aud", tenant.ClientID))
		assert.Equal(t, reachfive.CodeKeysUnavailable, codeOf(t, tenant.Verifier(), token))
		assert.Zero(t, attacker.JWKSRequests())
	})
}

func TestCVE202229217And202633322And202648523ThePublicKeyIsNoSecret(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		v := tenant.Verifier()
		require.Empty(t, codeOf(t, v, tenant.Token()))
		public := tenant.JWK(tenant.KID())
		for _, secret := range []string{public, `{"keys":[` + public + `]}`} {
			assert.Equal(t, reachfive.CodeUnsupportedAlgorithm, codeOf(t, v, tenant.Token(kit.HS256With(secret))))
			assert.Equal(t, reachfive.CodeInvalidSignature, codeOf(t, v, tenant.Token(kit.HS256With(secret), kit.Header("alg", "RS256"), kit.KID("key-1"))))
		}
	})
}

func TestCVE202642576NoJWKMakesItPanic(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		v := tenant.Verifier()
		for _, jwk := range []string{
			`{"kty":"EC","kid":"odd","crv":"P-256","x":"AA","y":"AA"}`, `{"kty":"OKP","kid":"odd","crv":"Ed25519","x":"AA"}`, `{"kty":"oct","kid":"odd","k":"AA"}`,
			`{"kty":"RSA","kid":"odd"}`, `{"kty":"RSA","kid":"odd","n":null,"e":null}`, `{"kty":["RSA"],"kid":"odd"}`, `null`, `[]`, `{}`,
		} {
			tenant.PublishRaw(jwk)
			require.NoError(t, v.Refresh(t.Context()))
			assert.Equal(t, reachfive.CodeUnknownKey, codeOf(t, v, tenant.Token(kit.KID("odd"))), jwk)
		}
	})
}

func TestCVE202655076EmailVerifiedIsNotCoerced(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		for _, value := range []any{"true", "false", 1, 0, "1", []bool{true}, map[string]any{}} {
			assert.Equal(t, reachfive.CodeInvalidClaim, codeOf(t, tenant.Verifier(), tenant.Token(kit.Claim("email_verified", value))), "%v", value)
		}
	})
}

func TestCVE20169122OneGoodSignatureOfSeveralIsNotEnough(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		h, p, s := segmentsOf(tenant.Token())
		for _, token := range []string{
			fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, p, h, s),
			fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":"AA"},{"protected":%q,"signature":%q}]}`, p, h, h, s),
		} {
			assert.Equal(t, reachfive.CodeMalformedToken, codeOf(t, tenant.Verifier(), token))
		}
	})
}

func TestCVE202428180NothingIsDecryptedOrInflated(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"dir","enc":"A128GCM","zip":"DEF"}`))
		assert.Equal(t, reachfive.CodeMalformedToken, codeOf(t, tenant.Verifier(), header+"..AAAA."+strings.Repeat("A", 4000)+".AAAA"))
		assert.Equal(t, reachfive.CodeMalformedToken, codeOf(t, tenant.Verifier(), tenant.Token(kit.Header("zip", "DEF"))))
	})
}
