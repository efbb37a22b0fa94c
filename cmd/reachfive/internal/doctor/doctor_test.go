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

// examine returns the findings of an examination, by the name of the check.
func examine(t *testing.T, p doctor.Patient) (map[string]doctor.Finding, doctor.Report) {
	t.Helper()
	report, err := doctor.Examine(t.Context(), p)
	require.NoError(t, err)
	byCheck := make(map[string]doctor.Finding)
	for _, f := range report.Findings {
		byCheck[f.Check] = f
	}
	return byCheck, report
}

func patient(tenant *reachfivetest.Tenant) doctor.Patient {
	return doctor.Patient{Domain: tenant.Domain, Client: tenant.Client()}
}

func TestAHealthyTenantIsOKInEveryCheck(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.WithCacheControl("max-age=300"))
	p := patient(tenant)
	p.Token = tenant.Token()
	found, report := examine(t, p)
	assert.Equal(t, doctor.OK, report.Worst)
	assert.True(t, report.Fetched)
	for _, check := range []string{"discovery", "issuer", "key set", `key 1 "key-1"`, "library", "certificate", "clock", "token"} {
		require.Contains(t, found, check)
		assert.Equal(t, doctor.OK, found[check].Level, check)
	}
	assert.Contains(t, found["library"].Text, "5m0s")
	assert.Contains(t, found["certificate"].Text, "89 days")
	assert.Contains(t, found["token"].Text, "RS256")
}

func TestEachFaultIsFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		opts  []reachfivetest.Option
		fault func(*reachfivetest.Tenant)
		check string
		level doctor.Level
		text  string

		unfetched bool
	}{
		{name: "down", fault: func(t *reachfivetest.Tenant) { t.SetDown(true) }, check: "key set", level: doctor.Failure, text: "status 503", unfetched: true},
		{name: "weak key", opts: []reachfivetest.Option{reachfivetest.WithKeyBits(1024)}, check: "library", level: doctor.Failure, text: "no usable key"},
		{
			name: "another kind of key", fault: func(t *reachfivetest.Tenant) { t.PublishRaw(`{"kty":"EC","kid":"ec-1"}`) },
			check: `key 2 "ec-1"`, level: doctor.Warning, text: "kty is EC, want RSA",
		},
		{
			name: "a secret key", fault: func(t *reachfivetest.Tenant) { t.PublishRaw(`{"kty":"oct","kid":"oct-1","k":"AA"}`) },
			check: `key 2 "oct-1"`, level: doctor.Warning, text: "it is a private key: rotate it now",
		},
		{
			name: "a key for signing only", fault: func(t *reachfivetest.Tenant) {
				t.PublishRaw(strings.Replace(t.JWK(t.KID()), "{", `{"key_ops":["sign"],`, 1))
			},
			check: `key 2 "key-1"`, level: doctor.Warning, text: "key_ops does not contain verify",
		},
		{
			name: "an exponent of 3", fault: func(t *reachfivetest.Tenant) {
				t.PublishRaw(strings.Replace(t.JWK(t.KID()), `"AQAB"`, `"Aw"`, 1))
			},
			check: `key 2 "key-1"`, level: doctor.Warning, text: `e is Aw, want AQAB`,
		},
		{
			name: "a redirect, which the library does not follow", fault: func(t *reachfivetest.Tenant) {
				t.OnJWKS(func(w http.ResponseWriter, r *http.Request) bool {
					http.Redirect(w, r, "/elsewhere", http.StatusFound)
					return true
				})
			},
			check: "library", level: doctor.Failure, text: "redirect", unfetched: true,
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
			check: "certificate", level: doctor.Failure, text: "expired on", unfetched: true,
		},
		{
			name: "certificate about to expire", opts: []reachfivetest.Option{reachfivetest.WithCertificateUntil(time.Now().Add(50 * time.Hour))},
			check: "certificate", level: doctor.Warning, text: "expires in 2 days",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tenant := reachfivetest.NewTenant(t, tt.opts...)
			if tt.fault != nil {
				tt.fault(tenant)
			}
			found, report := examine(t, patient(tenant))
			require.Contains(t, found, tt.check)
			assert.Equal(t, tt.level, found[tt.check].Level)
			assert.Contains(t, found[tt.check].Text, tt.text)
			assert.GreaterOrEqual(t, report.Worst, tt.level)
			assert.Equal(t, tt.unfetched, !report.Fetched)
		})
	}
}

func TestATokenTellsItsAlgorithm(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	for token, want := range map[string]doctor.Level{
		tenant.Token(reachfivetest.HS256()):                doctor.OK,
		tenant.Token(reachfivetest.Header("alg", "PS256")): doctor.Failure,
		"junk": doctor.Failure,
	} {
		p := patient(tenant)
		p.Token = token
		found, _ := examine(t, p)
		assert.Equal(t, want, found["token"].Level)
	}
}

// A tenant with a custom domain: the keys are there, the tokens and the discovery
// document name another issuer.
func TestATenantWithACustomDomainIsInOrderOnceItsIssuerIsGiven(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	custom := doctor.Patient{Domain: strings.Replace(tenant.Domain, "tenant.localhost", "localhost", 1), Client: tenant.Client()}

	found, report := examine(t, custom)
	assert.Equal(t, doctor.Failure, report.Worst)
	assert.Equal(t, doctor.Failure, found["issuer"].Level)
	assert.Contains(t, found["issuer"].Text, "use --issuer here and WithIssuer in your code")

	custom.Issuer = tenant.Issuer()
	found, _ = examine(t, custom)
	assert.Equal(t, doctor.Finding{Check: "issuer", Level: doctor.OK, Text: tenant.Issuer()}, found["issuer"])
	assert.Equal(t, doctor.OK, found["library"].Level)

	custom.JWKSURL = tenant.Issuer() + "/jwks.json"
	_, report = examine(t, custom)
	assert.Equal(t, doctor.OK, report.Worst, "%v", report.Findings)
}

func TestKeysAtAnotherURLThanDiscoveryNamesAreAWarning(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	p := patient(tenant)
	p.JWKSURL = tenant.Issuer() + "/elsewhere"
	report, err := doctor.Examine(t.Context(), p)
	require.NoError(t, err)
	assert.False(t, report.Fetched)
	assert.Contains(t, report.Findings, doctor.Finding{Check: "key set", Level: doctor.Failure, Text: "not fetched from " + p.JWKSURL + ": status 404"})
	var texts []string
	for _, f := range report.Findings {
		texts = append(texts, f.Text)
	}
	assert.Contains(t, strings.Join(texts, "\n"), "discovery names "+tenant.Issuer()+"/jwks.json, but "+p.JWKSURL+" is used: use --jwks-url here")
}

func TestImpossibleAddressesAreErrors(t *testing.T) {
	t.Parallel()
	for _, p := range []doctor.Patient{
		{Domain: "http://acme"}, {Domain: "acme.reach5.net", Issuer: "acme"}, {Domain: "acme.reach5.net", JWKSURL: "ftp://acme"},
	} {
		p.Client = http.DefaultClient
		_, err := doctor.Examine(t.Context(), p)
		assert.Error(t, err)
	}
}
