package doctor_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/cmd/reachfive/internal/doctor"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// levels are the findings of an examination, by what was looked at.
func levels(t *testing.T, tenant *reachfivetest.Tenant, token string) (map[string]doctor.Finding, doctor.Level) {
	t.Helper()
	findings, worst := doctor.Examine(t.Context(), doctor.Patient{
		Domain: tenant.Domain, ClientID: tenant.ClientID, Client: tenant.Client(), Token: token,
	})
	byCheck := make(map[string]doctor.Finding)
	for _, f := range findings {
		byCheck[f.Check] = f
	}
	return byCheck, worst
}

func TestAHealthyTenantHasNothingToComplainOf(t *testing.T) {
	tenant := reachfivetest.NewTenant(t, reachfivetest.WithCacheControl("max-age=300"))
	found, worst := levels(t, tenant, tenant.Token())
	assert.Equal(t, doctor.OK, worst)
	for _, check := range []string{"discovery", "issuer", "key set", `key 1 "key-1"`, "library", "certificate", "clock", "token"} {
		require.Contains(t, found, check)
		assert.Equal(t, doctor.OK, found[check].Level, check)
	}
	assert.Contains(t, found["library"].Text, "5m0s")
	assert.Contains(t, found["certificate"].Text, "89 days")
	assert.Contains(t, found["token"].Text, "RS256")
}

func TestEachFaultIsFound(t *testing.T) {
	for _, tt := range []struct {
		name  string
		opts  []reachfivetest.Option
		fault func(*reachfivetest.Tenant)
		check string
		level doctor.Level
		text  string
	}{
		{name: "down", fault: func(t *reachfivetest.Tenant) { t.SetDown(true) }, check: "key set", level: doctor.Failure, text: "status 503"},
		{name: "weak key", opts: []reachfivetest.Option{reachfivetest.WithKeyBits(1024)}, check: "library", level: doctor.Failure, text: "no usable key"},
		{
			name: "another kind of key", fault: func(t *reachfivetest.Tenant) { t.PublishRaw(`{"kty":"EC","kid":"ec-1"}`) },
			check: `key 2 "ec-1"`, level: doctor.Warning, text: "kty is EC, want RSA",
		},
		{
			name: "a secret key", fault: func(t *reachfivetest.Tenant) { t.PublishRaw(`{"kty":"oct","kid":"oct-1","k":"AA"}`) },
			check: `key 2 "oct-1"`, level: doctor.Warning, text: "rotate it now",
		},
		{
			name: "a key for signing only", fault: func(t *reachfivetest.Tenant) {
				t.PublishRaw(strings.Replace(t.JWK(t.KID()), "{", `{"key_ops":["sign"],`, 1))
			},
			check: `key 2 "key-1"`, level: doctor.Warning, text: "key_ops is without verify",
		},
		{
			name: "an exponent of 3", fault: func(t *reachfivetest.Tenant) {
				t.PublishRaw(strings.Replace(t.JWK(t.KID()), `"AQAB"`, `"Aw"`, 1))
			},
			check: `key 2 "key-1"`, level: doctor.Warning, text: `e is "Aw"`,
		},
		{
			name: "a redirect, which the library does not follow", fault: func(t *reachfivetest.Tenant) {
				t.OnJWKS(func(w http.ResponseWriter, r *http.Request) bool {
					http.Redirect(w, r, "/elsewhere", http.StatusFound)
					return true
				})
			},
			check: "library", level: doctor.Failure, text: "redirect",
		},
		{
			name: "the keys twice, which other parsers take", fault: func(t *reachfivetest.Tenant) {
				document := `{"keys":[` + t.JWK(t.KID()) + `],"keys":[` + t.JWK(t.KID()) + `]}`
				t.OnJWKS(func(w http.ResponseWriter, _ *http.Request) bool {
					_, _ = io.WriteString(w, document)
					return true
				})
			},
			check: "library", level: doctor.Failure, text: "no JWK Set",
		},
		{
			name: "our clock behind", opts: []reachfivetest.Option{reachfivetest.WithClock(func() time.Time { return time.Now().Add(2 * time.Minute) })},
			check: "clock", level: doctor.Failure, text: "behind the tenant",
		},
		{
			name: "our clock a little ahead", opts: []reachfivetest.Option{reachfivetest.WithClock(func() time.Time { return time.Now().Add(-30 * time.Second) })},
			check: "clock", level: doctor.Warning, text: "ahead of the tenant",
		},
		{
			name: "expired certificate", opts: []reachfivetest.Option{reachfivetest.WithCertificateUntil(time.Now().Add(-time.Hour))},
			check: "certificate", level: doctor.Failure, text: "expired on",
		},
		{
			name: "certificate about to expire", opts: []reachfivetest.Option{reachfivetest.WithCertificateUntil(time.Now().Add(50 * time.Hour))},
			check: "certificate", level: doctor.Warning, text: "expires in 2 days",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tenant := reachfivetest.NewTenant(t, tt.opts...)
			if tt.fault != nil {
				tt.fault(tenant)
			}
			found, worst := levels(t, tenant, "")
			require.Contains(t, found, tt.check)
			assert.Equal(t, tt.level, found[tt.check].Level)
			assert.Contains(t, found[tt.check].Text, tt.text)
			assert.GreaterOrEqual(t, worst, tt.level)
		})
	}
}

func TestATokenTellsItsAlgorithm(t *testing.T) {
	tenant := reachfivetest.NewTenant(t)
	for token, want := range map[string]doctor.Level{
		tenant.Token(reachfivetest.HS256()):                doctor.OK,
		tenant.Token(reachfivetest.Header("alg", "PS256")): doctor.Failure,
		"junk": doctor.Failure,
	} {
		found, _ := levels(t, tenant, token)
		assert.Equal(t, want, found["token"].Level)
	}
}

func TestAnImpossibleDomainIsTheOnlyFinding(t *testing.T) {
	findings, worst := doctor.Examine(t.Context(), doctor.Patient{Domain: "http://acme", ClientID: "c"})
	assert.Equal(t, doctor.Failure, worst)
	assert.Len(t, findings, 1)
}
