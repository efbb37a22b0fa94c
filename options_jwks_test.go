package reachfive_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// fixedKeys makes a Verifier with the tenant's keys of this moment.
func fixedKeys(t *testing.T, tenant *reachfivetest.Tenant, kids ...string) *reachfive.Verifier {
	t.Helper()
	jwks := make([]string, len(kids))
	for i, kid := range kids {
		jwks[i] = tenant.JWK(kid)
	}
	return verifierOf(t, tenant, reachfive.WithJWKS([]byte(`{"keys":[`+strings.Join(jwks, ",")+`]}`)))
}

func TestWithJWKSVerifiesWithoutANetwork(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()...))
	v := fixedKeys(t, tenant, tenant.KID())
	for _, mods := range [][]reachfivetest.Mod{nil, {reachfivetest.NoKID()}} {
		user, err := v.Verify(t.Context(), tenant.Token(mods...))
		require.NoError(t, err)
		assert.NotEmpty(t, user.Subject)
	}
	assert.Zero(t, tenant.JWKSRequests())
}

func TestWithJWKSRefusesWhatItsKeysDoNotVerify(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()...))
	v := fixedKeys(t, tenant, tenant.KID())
	old := tenant.Token()
	tenant.Rotate()
	for range 10 { // no budget is involved: the verdict is always the same
		for token, want := range map[string]reachfive.Code{
			old:                                 "",
			tenant.Token():                      reachfive.CodeUnknownKey,
			tenant.Token(reachfivetest.NoKID()): reachfive.CodeInvalidSignature,
			tenant.Token(reachfivetest.SignedBy("key-1"), reachfivetest.KID("key-2")):    reachfive.CodeUnknownKey,
			tenant.Token(reachfivetest.WrongKey(), reachfivetest.KID("key-1")):           reachfive.CodeInvalidSignature,
			tenant.Token(reachfivetest.SignedBy("key-1"), reachfivetest.OtherAudience()): reachfive.CodeWrongAudience,
		} {
			_, err := v.Verify(t.Context(), token)
			assert.Equal(t, want, reachfive.CodeOf(err))
		}
	}
}

func TestWithJWKSServesTheTokenCache(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()...))
	v := verifierOf(t, tenant, reachfive.WithTokenCache(10),
		reachfive.WithJWKS([]byte(`{"keys":[`+tenant.JWK(tenant.KID())+`]}`)))
	token := tenant.Token()
	for range 3 {
		_, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
	}
}

func TestWithJWKSNeedsNoRefreshAndNoClose(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()...))
	v, err := reachfive.New(tenant.Domain, tenant.ClientID,
		reachfive.WithJWKS([]byte(`{"keys":[{"kty":"EC"},`+tenant.JWK(tenant.KID())+`]}`)))
	require.NoError(t, err)
	require.NoError(t, v.Refresh(t.Context()))
	require.NoError(t, v.HealthCheck(t.Context()))
	s := v.Status()
	require.Len(t, s.Keys, 1)
	assert.Len(t, s.Keys[0].Thumbprint, 43)
	assert.Equal(t, reachfive.Status{
		Issuer: tenant.Issuer(), Algorithm: "RS256", SkippedKeys: 1,
		Keys: []reachfive.KeyStatus{{ID: "key-1", Bits: 2048, Thumbprint: s.Keys[0].Thumbprint}},
	}, s)
	require.NoError(t, v.Close())
	require.NoError(t, v.Close())
	_, err = v.Verify(t.Context(), tenant.Token())
	require.NoError(t, err)
}

func TestWithJWKSKeepsNoPartOfTheDocument(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()...))
	document := []byte(`{"keys":[` + tenant.JWK(tenant.KID()) + `]}`)
	v := verifierOf(t, tenant, reachfive.WithJWKS(document))
	clear(document)
	_, err := v.Verify(t.Context(), tenant.Token())
	require.NoError(t, err)
}

func TestWithJWKSIsRefusedByNew(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()...))
	good := []byte(`{"keys":[` + tenant.JWK(tenant.KID()) + `]}`)
	for _, tt := range []struct {
		name     string
		document []byte
		other    reachfive.Option
		want     string
	}{
		{name: "nil", want: "WithJWKS: no JWK Set"},
		{name: "no JSON", document: []byte("-----BEGIN PUBLIC KEY-----"), want: "WithJWKS: no JWK Set"},
		{name: "a single JWK", document: []byte(tenant.JWK(tenant.KID())), want: "WithJWKS: no JWK Set"},
		{name: "no usable key", document: []byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`), want: "WithJWKS: no usable key"},
		{name: "WithJWKSURL", document: good, other: reachfive.WithJWKSURL("https://keys.example/"), want: "WithJWKS: cannot be combined with WithJWKSURL"},
		{name: "WithDiscovery", document: good, other: reachfive.WithDiscovery(), want: "WithJWKS: cannot be combined with WithDiscovery"},
		{name: "WithHTTPClient", document: good, other: reachfive.WithHTTPClient(http.DefaultClient), want: "WithJWKS: cannot be combined with WithHTTPClient"},
		{name: "WithKeyStore", document: good, other: reachfive.WithKeyStore(new(memoryStore)), want: "WithJWKS: cannot be combined with WithKeyStore"},
		{name: "WithSharedKeyStore", document: good, other: reachfive.WithSharedKeyStore(newMemoryKeys()), want: "WithJWKS: cannot be combined with WithSharedKeyStore"},
		{name: "WithMaxStale", document: good, other: reachfive.WithMaxStale(0), want: "WithJWKS: cannot be combined with WithMaxStale"},
		{name: "WithMaxStale of the default", document: good, other: reachfive.WithMaxStale(24 * time.Hour), want: "WithJWKS: cannot be combined with WithMaxStale"},
		{name: "WithClientSecret", document: good, other: reachfive.WithClientSecret(goldenSecret), want: "WithJWKS: cannot be combined with WithClientSecret"},
		{name: "another option beside a broken document", document: []byte("{"), other: reachfive.WithDiscovery(), want: "WithJWKS: cannot be combined with WithDiscovery"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			opts := []reachfive.Option{reachfive.WithJWKS(tt.document)}
			if tt.other != nil {
				opts = append(opts, tt.other)
			}
			v, err := reachfive.New(tenant.Domain, tenant.ClientID, opts...)
			require.ErrorContains(t, err, "reachfive: "+tt.want)
			assert.Nil(t, v)
		})
	}
}
