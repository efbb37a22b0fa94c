package reachfivetest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestEachModMakesTheTokenThatItNames(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
	v := tenant.Verifier()
	for _, tt := range []struct {
		name string
		mods []reachfivetest.Mod
		want reachfive.Code
	}{
		{"none", nil, ""},
		{"a nil one", []reachfivetest.Mod{nil}, ""},
		{"Expired", []reachfivetest.Mod{reachfivetest.Expired()}, reachfive.CodeExpired},
		{"IssuedAt ahead", []reachfivetest.Mod{reachfivetest.IssuedAt(time.Now().Add(time.Hour))}, reachfive.CodeNotYetValid},
		{"OtherAudience", []reachfivetest.Mod{reachfivetest.OtherAudience()}, reachfive.CodeWrongAudience},
		{"OtherIssuer", []reachfivetest.Mod{reachfivetest.OtherIssuer()}, reachfive.CodeWrongIssuer},
		{"WrongKey", []reachfivetest.Mod{reachfivetest.WrongKey()}, reachfive.CodeInvalidSignature},
		{"NoKID", []reachfivetest.Mod{reachfivetest.NoKID()}, ""},
		{"KID", []reachfivetest.Mod{reachfivetest.KID("key-9")}, reachfive.CodeUnknownKey},
		{"HS256", []reachfivetest.Mod{reachfivetest.HS256()}, reachfive.CodeUnsupportedAlgorithm},
		{"HS256 and back", []reachfivetest.Mod{reachfivetest.HS256(), reachfivetest.RS256()}, ""},
		{"Unsigned", []reachfivetest.Mod{reachfivetest.Unsigned()}, reachfive.CodeMalformedToken},
		{"Tampered", []reachfivetest.Mod{reachfivetest.Tampered()}, reachfive.CodeInvalidSignature},
		{"Header", []reachfivetest.Mod{reachfivetest.Header("typ", "at+jwt")}, reachfive.CodeMalformedToken},
		{"WithoutHeader", []reachfivetest.Mod{reachfivetest.WithoutHeader("typ")}, ""},
		{"Claim", []reachfivetest.Mod{reachfivetest.Claim("sub", nil)}, reachfive.CodeInvalidClaim},
		{"WithoutClaim", []reachfivetest.Mod{reachfivetest.WithoutClaim("exp")}, reachfive.CodeMissingClaim},
		{"RawHeader", []reachfivetest.Mod{reachfivetest.RawHeader(`{"alg":"RS256","alg":"RS256"}`)}, reachfive.CodeMalformedToken},
		{"RawPayload", []reachfivetest.Mod{reachfivetest.RawPayload(`{"sub":"a","sub":"a"}`)}, reachfive.CodeMalformedToken},
		{"the later one wins", []reachfivetest.Mod{reachfivetest.Expired(), reachfivetest.IssuedAt(time.Now())}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := v.Verify(t.Context(), tenant.Token(tt.mods...))
			assert.Equal(t, tt.want, reachfive.CodeOf(err), "%v", err)
		})
	}
}

func TestHS256TenantsRefuseWhatTheirSecretDidNotSign(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithHS256())
	v := tenant.Verifier()
	for name, tt := range map[string]struct {
		mod  reachfivetest.Mod
		want reachfive.Code
	}{
		"its own secret":     {reachfivetest.HS256(), ""},
		"another":            {reachfivetest.HS256With("another secret, of another client"), reachfive.CodeInvalidSignature},
		"one nobody has":     {reachfivetest.WrongKey(), reachfive.CodeInvalidSignature},
		"an RSA key instead": {reachfivetest.RS256(), reachfive.CodeUnsupportedAlgorithm},
	} {
		_, err := v.Verify(t.Context(), tenant.Token(tt.mod))
		assert.Equal(t, tt.want, reachfive.CodeOf(err), name)
	}
	assert.Zero(t, tenant.JWKSRequests())
}

func TestSignSignsExactlyTheClaimsAndLeavesThemAlone(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
	claims := map[string]any{"sub": "a"}
	token := tenant.Sign(claims, reachfivetest.Claim("acr", "1"))
	assert.JSONEq(t, `{"sub":"a","acr":"1"}`, segment(t, token, 1))
	assert.Equal(t, map[string]any{"sub": "a"}, claims)
	assert.JSONEq(t, `{}`, segment(t, tenant.Sign(nil), 1))
}

// The signature is checked with crypto/rsa over the published JWK, without
// the verifier.
func TestTokensAreSignedByThePublishedKey(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
	token := tenant.Token()
	var jwk struct{ N, E, KID, Alg, Use, Kty string }
	require.NoError(t, json.Unmarshal([]byte(tenant.JWK(tenant.KID())), &jwk))
	assert.Equal(t, []string{"RS256", "sig", "RSA"}, []string{jwk.Alg, jwk.Use, jwk.Kty})
	n, err := base64.RawURLEncoding.DecodeString(jwk.N)
	require.NoError(t, err)
	e, err := base64.RawURLEncoding.DecodeString(jwk.E)
	require.NoError(t, err)
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	assert.Equal(t, 2048, key.N.BitLen())
	at := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[at+1:])
	require.NoError(t, err)
	digest := sha256.Sum256([]byte(token[:at]))
	require.NoError(t, rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature))
	assert.JSONEq(t, `{"alg":"RS256","kid":"key-1","typ":"JWT"}`, segment(t, token, 0))
}

func TestRotateReplaceAndRemoveChangeWhatIsPublished(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
	first := tenant.JWK("key-1")
	assert.Equal(t, []string{"key-1"}, published(t, tenant))
	assert.Equal(t, "key-2", tenant.Rotate())
	assert.Equal(t, []string{"key-1", "key-2"}, published(t, tenant))
	assert.Contains(t, segment(t, tenant.Token(), 0), "key-2")
	assert.Contains(t, segment(t, tenant.Token(reachfivetest.SignedBy("key-1")), 0), "key-1")
	tenant.RemoveKey("key-1")
	assert.Equal(t, []string{"key-2"}, published(t, tenant))
	tenant.PublishRaw(first, `{"kty":"AKP","kid":"odd"}`)
	assert.Equal(t, []string{"key-2", "key-1", "odd"}, published(t, tenant))
	tenant.PublishRaw()
	second := tenant.JWK("key-2")
	tenant.ReplaceKey("key-2")
	assert.Equal(t, []string{"key-2"}, published(t, tenant))
	assert.NotEqual(t, second, tenant.JWK("key-2"))
	assert.Empty(t, tenant.JWK("key-9"))
}

func TestKeysGivenAreUsedInTheirOrder(t *testing.T) {
	t.Parallel()
	var keys []*rsa.PrivateKey
	for range 2 {
		key, err := rsa.GenerateKey(rand.Reader, 1024)
		require.NoError(t, err)
		keys = append(keys, key)
	}
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(keys...))
	tenant.Rotate()
	for i, kid := range []string{"key-1", "key-2"} {
		assert.Contains(t, tenant.JWK(kid), base64.RawURLEncoding.EncodeToString(keys[i].N.Bytes()))
	}
	third := tenant.JWK(tenant.Rotate())
	assert.Greater(t, len(third), len(tenant.JWK("key-2")), "a made one has 2048 bits")
}

func TestWithoutKIDsNothingNamesAKey(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithoutKIDs())
	assert.NotContains(t, tenant.JWK(tenant.KID()), "kid")
	assert.NotContains(t, segment(t, tenant.Token(), 0), "kid")
}

func segment(t *testing.T, token string, i int) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
	require.NoError(t, err)
	return string(text)
}

func published(t *testing.T, tenant *reachfivetest.Tenant) (kids []string) {
	t.Helper()
	res, err := get(t, tenant.Client(), tenant.Issuer()+"/jwks.json")
	require.NoError(t, err)
	var set struct{ Keys []struct{ KID string } }
	require.NoError(t, json.Unmarshal([]byte(res.body), &set))
	for _, key := range set.Keys {
		kids = append(kids, key.KID)
	}
	return kids
}
