package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/cmd/reachfive/internal/explain"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// verifyAgainst runs `reachfive verify` for a tenant, with its keys from a file.
func verifyAgainst(t *testing.T, tenant *reachfivetest.Tenant, stdin string, args ...string) (code int, out string) {
	t.Helper()
	keys := filepath.Join(t.TempDir(), "jwks.json")
	require.NoError(t, os.WriteFile(keys, []byte(`{"keys":[`+tenant.JWK(tenant.KID())+`]}`), 0o600))
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), append([]string{
		"verify", "--domain", tenant.Domain, "--client-id", tenant.ClientID, "--jwks-file", keys,
	}, args...), lookupIn(nil), strings.NewReader(stdin), &stdout, &stderr)
	assert.Empty(t, stderr.String())
	return code, stdout.String()
}

func TestVerifyTellsWhyStepByStep(t *testing.T) {
	tenant := reachfivetest.NewTenant(t)
	for _, tt := range []struct {
		name, token string
		code        int
		says        []string
	}{
		{"good", tenant.Token(), exitAccepted, []string{"ok           times", "accepted, good for another 2", "claims, as the token says them"}},
		{"expired", tenant.Token(reachfivetest.Expired()), exitRefused, []string{"refused      times", "expired: the token has expired"}},
		{"for another client", tenant.Token(reachfivetest.OtherAudience()), exitRefused, []string{"refused      audience", "not reached  times"}},
		{"HS256", tenant.Token(reachfivetest.HS256()), exitRefused, []string{"refused      algorithm", "wanted RS256", "got    HS256"}},
		{"garbage", "garbage", exitRefused, []string{"refused      text", "not reached  header"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out := verifyAgainst(t, tenant, "", tt.token)
			assert.Equal(t, tt.code, code)
			for _, text := range tt.says {
				assert.Contains(t, out, text)
			}
			assert.NotContains(t, out, "\x1b", "colours are for terminals")
		})
	}
}

func TestVerifyReadsStandardInputAndPrintsJSON(t *testing.T) {
	tenant := reachfivetest.NewTenant(t)
	code, out := verifyAgainst(t, tenant, tenant.Token(reachfivetest.OtherIssuer())+"\n", "--json")
	assert.Equal(t, exitRefused, code)
	var report explain.Report
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	assert.Equal(t, "wrong_issuer", string(report.Code))
	assert.Equal(t, report.Steps[7].Want, tenant.Issuer())
	assert.NotEmpty(t, report.Claims)
}

func TestVerifyGoesByTheTimeThatItIsGiven(t *testing.T) {
	tenant := reachfivetest.NewTenant(t)
	for at, want := range map[string]int{
		time.Now().Add(23 * time.Hour).Format(time.RFC3339): exitAccepted,
		time.Now().Add(25 * time.Hour).Format(time.RFC3339): exitRefused,
		"4000000000":  exitRefused,
		"soon":        exitUsage,
		"1579510945x": exitUsage,
	} {
		var out, errs bytes.Buffer
		keys := filepath.Join(t.TempDir(), "jwks.json")
		require.NoError(t, os.WriteFile(keys, []byte(`{"keys":[`+tenant.JWK(tenant.KID())+`]}`), 0o600))
		code := run(t.Context(), []string{
			"verify", "--domain", tenant.Domain, "--client-id", tenant.ClientID,
			"--jwks-file", keys, "--at", at, tenant.Token(),
		}, lookupIn(nil), strings.NewReader(""), &out, &errs)
		assert.Equal(t, want, code, at)
	}
}

func TestVerifyTakesTheClientSecretFromAFileOrTheEnvironment(t *testing.T) {
	tenant := reachfivetest.NewTenant(t, reachfivetest.WithHS256())
	secret := filepath.Join(t.TempDir(), "secret.txt")
	require.NoError(t, os.WriteFile(secret, []byte(tenant.ClientSecret+"\n"), 0o600))
	args := []string{"verify", "--domain", tenant.Domain, "--client-id", tenant.ClientID, tenant.Token()}
	for _, tt := range []struct {
		env  map[string]string
		args []string
	}{
		{map[string]string{"REACHFIVE_CLIENT_SECRET": tenant.ClientSecret}, nil},
		{map[string]string{"REACHFIVE_CLIENT_SECRET": tenant.ClientSecret + "\n"}, nil},
		{nil, []string{"--client-secret-file", secret}},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), append(args, tt.args...), lookupIn(tt.env), strings.NewReader(""), &out, &errs)
		assert.Equal(t, exitAccepted, code, out.String()+errs.String())
		assert.NotContains(t, out.String()+errs.String(), tenant.ClientSecret)
	}
}

func TestVerifyThatCannotDecideSaysSo(t *testing.T) {
	code, out, _ := command(t, nil, "verify", "--domain", "127.0.0.1:1", "--client-id", "c", "eyJhbGciOiJSUzI1NiJ9.e30.AA")
	assert.Equal(t, exitUndecided, code)
	assert.Contains(t, out, "could not be decided")
}

func TestVerifyGivesNoVerdictOnWhatItCannotRead(t *testing.T) {
	tenant := reachfivetest.NewTenant(t)
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"--jwks-file", "/nonexistent"}, "no such file"},
		{[]string{"--jwks-file", t.TempDir()}, "is a directory"},
		{[]string{"--jwks-file", empty}, ""},
		{[]string{"--client-secret-file", "/nonexistent"}, "no such file"},
		{[]string{"--client-secret-file", empty}, "is empty"},
	} {
		code, out, errs := command(t, nil, append([]string{
			"verify", "--domain", tenant.Domain, "--client-id", tenant.ClientID, tenant.Token(),
		}, tt.args...)...)
		assert.Equal(t, exitUndecided, code, "%v: %s%s", tt.args, out, errs)
		assert.Contains(t, errs, tt.says)
	}
}

func TestVerifyTakesKeysOrASecret(t *testing.T) {
	code, _, errs := command(t, map[string]string{"REACHFIVE_CLIENT_SECRET": "a secret of the client, long enough"},
		"verify", "--domain", "acme.reach5.net", "--client-id", "c", "--jwks-file", os.Args[0], "token")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, errs, "give one of them")
}

func TestVerifyNeedsATenant(t *testing.T) {
	code, _, errs := command(t, nil, "verify", "token")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, errs, "--domain and --client-id are needed")
	code, _, errs = command(t, nil, "verify", "--domain", "http://x", "--client-id", "c", "token")
	assert.Equal(t, exitUsage, code)
	assert.True(t, strings.HasPrefix(errs, "reachfive: domain: "), errs)
}

func TestDoctorExaminesAnEmbeddedTenant(t *testing.T) {
	for fault, want := range map[string]int{"none": 0, "down": 2, "weak-key": 2, "clock": 2, "certificate": 2} {
		code, out, errs := command(t, nil, "doctor", "--demo", "--fault", fault)
		assert.Equal(t, want, code, fault+out+errs)
		assert.Contains(t, out, "certificate")
	}
	code, out, _ := command(t, nil, "doctor", "--demo", "--json")
	assert.Zero(t, code)
	var findings []map[string]string
	require.NoError(t, json.Unmarshal([]byte(out), &findings))
	assert.NotEmpty(t, findings)
}

func TestKeysListsWhatIsUsable(t *testing.T) {
	tenant := reachfivetest.NewTenant(t)
	tenant.PublishRaw(`{"kty":"oct","k":"AA"}`)
	var out bytes.Buffer
	c := keysCommand{tenantFlags: tenantFlags{Domain: tenant.Domain, ClientID: tenant.ClientID, client: tenant.Client()}}
	require.NoError(t, c.Run(t.Context(), environment{lookup: lookupIn(nil), out: &out}))
	assert.Contains(t, out.String(), tenant.KID())
	assert.Contains(t, out.String(), "1 more are not usable")
	tenant.SetDown(true)
	require.Error(t, c.Run(t.Context(), environment{lookup: lookupIn(nil), out: &out}))
}

func TestHelpHasExamples(t *testing.T) {
	for _, name := range []string{"verify", "doctor", "keys"} {
		code, out, _ := command(t, nil, name, "--help")
		assert.Zero(t, code)
		assert.Contains(t, out, "reachfive "+name+" --domain acme.reach5.net")
	}
}
