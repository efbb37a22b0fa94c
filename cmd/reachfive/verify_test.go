package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/cmd/reachfive/internal/explain"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// inFile writes text to a file and returns its path.
func inFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// verifyAgainst runs `reachfive verify` for a tenant, with its keys from a file.
func verifyAgainst(t *testing.T, tenant *reachfivetest.Tenant, stdin string, args ...string) (code int, out string) {
	t.Helper()
	keys := inFile(t, `{"keys":[`+tenant.JWK(tenant.KID())+`]}`)
	code, out, errs := commandWithInput(t, stdin, nil,
		append([]string{"verify", "--domain", tenant.Domain, "--client-id", tenant.ClientID, "--jwks-file", keys}, args...)...)
	assert.Empty(t, errs)
	return code, out
}

func TestVerifyExplainsEachStep(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	for _, tt := range []struct {
		name, token string
		code        int
		says        []string
	}{
		{"good", tenant.Token(), exitYes, []string{"ok          times", "accepted, expires in 2", "The token's claims:\n  {\n    \"aud\""}},
		{"expired", tenant.Token(reachfivetest.Expired()), exitNo, []string{"refused     times", "\nrefused: expired: the token has expired (exp)\n"}},
		{"for another client", tenant.Token(reachfivetest.OtherAudience()), exitNo, []string{"refused     audience", "not reached times"}},
		{"HS256", tenant.Token(reachfivetest.HS256()), exitNo, []string{"refused     algorithm", "expected  RS256", "actual    HS256"}},
		{"garbage", "garbage", exitNo, []string{"refused     text", "not reached header"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, out := verifyAgainst(t, tenant, "", tt.token)
			assert.Equal(t, tt.code, code)
			for _, text := range tt.says {
				assert.Contains(t, out, text)
			}
			assert.NotContains(t, out, "\x1b", "colours are for terminals")
			assert.NotContains(t, out, " \n", "no line ends in spaces")
		})
	}
}

func TestVerifyReadsTheTokenFromStandardInputAFileOrAnArgument(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	line := "Authorization: Bearer " + tenant.Token() + "\r\n"
	for _, tt := range []struct {
		stdin string
		args  []string
	}{
		{line, nil},
		{line, []string{"-"}},
		{"", []string{"--token-file", inFile(t, line)}},
		{"", []string{line}},
		{"", []string{tenant.Token()}},
	} {
		code, out := verifyAgainst(t, tenant, tt.stdin, tt.args...)
		assert.Equal(t, exitYes, code, out)
	}
}

func TestVerifyPrintsJSONWithLowerCaseNames(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	code, out := verifyAgainst(t, tenant, tenant.Token(reachfivetest.OtherIssuer()), "--json")
	assert.Equal(t, exitNo, code)
	assert.Regexp(t, `"step": "issuer",\n +"outcome": "refused",\n +"expected": "https://tenant.localhost:\d+",\n +"actual": "https://other.example"`, out)
	assert.NotRegexp(t, `"[A-Z]\w*":`, out)
	var report explain.Report
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	assert.Equal(t, "wrong_issuer", string(report.Code))
	assert.NotEmpty(t, report.Claims)
}

func TestVerifyAcceptsAnIssuerAndSeveralClients(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	token := tenant.Token(reachfivetest.Claim("iss", "https://acme.reach5.net"), reachfivetest.Claim("aud", "ios"))
	keys := inFile(t, `{"keys":[`+tenant.JWK(tenant.KID())+`]}`)
	args := []string{"verify", "--domain", "login.example.com", "--jwks-file", keys, token}
	issuer := []string{"--issuer", "https://acme.reach5.net"}
	for _, tt := range []struct {
		args []string
		env  map[string]string
		code int
		says string
	}{
		{args: append(issuer, "--client-id", "web", "--client-id", "ios"), code: exitYes},
		{args: issuer, env: map[string]string{clientIDVariable: "web ios"}, code: exitYes},
		{args: append(issuer, "--client-id", "web"), code: exitNo, says: "expected  web, and no other audience"},
		{args: []string{"--client-id", "ios"}, code: exitNo, says: "expected  https://login.example.com"},
	} {
		code, out, errs := command(t, tt.env, append(args, tt.args...)...)
		assert.Equal(t, tt.code, code, out+errs)
		assert.Contains(t, out, tt.says)
	}
}

func TestVerifyUsesTheTimeThatIsGiven(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	for at, want := range map[string]int{
		time.Now().Add(23 * time.Hour).Format(time.RFC3339): exitYes,
		time.Now().Add(25 * time.Hour).Format(time.RFC3339): exitNo,
		"4000000000": exitNo,
	} {
		code, _ := verifyAgainst(t, tenant, tenant.Token(), "--at", at)
		assert.Equal(t, want, code, at)
	}
	for _, at := range []string{"soon", "1579510945x"} {
		code, _, errs := command(t, nil, "verify", "--at", at)
		assert.Equal(t, exitUnknown, code, at)
		assert.Contains(t, errs, "2026-01-31T12:00:00Z")
	}
}

func TestVerifyReadsTheClientSecretFromAFileOrTheEnvironment(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.WithHS256())
	args := []string{"verify", "--domain", tenant.Domain, "--client-id", tenant.ClientID, tenant.Token()}
	for _, tt := range []struct {
		env  map[string]string
		args []string
	}{
		{map[string]string{clientSecretVariable: tenant.ClientSecret}, nil},
		{map[string]string{clientSecretVariable: tenant.ClientSecret + "\n"}, nil},
		{nil, []string{"--client-secret-file", inFile(t, tenant.ClientSecret+"\n")}},
	} {
		code, out, errs := command(t, tt.env, append(args, tt.args...)...)
		assert.Equal(t, exitYes, code, out+errs)
		assert.NotContains(t, out+errs, tenant.ClientSecret)
	}
}

func TestVerifyWithoutKeysIsNotDecided(t *testing.T) {
	t.Parallel()
	// Nothing listens on port 1 of the loopback interface.
	code, out, errs := command(t, nil, "verify", "--domain", "127.0.0.1:1", "--client-id", "c", "eyJhbGciOiJSUzI1NiJ9.e30.AA")
	assert.Equal(t, exitUnknown, code)
	assert.Contains(t, out, "undecided   key")
	assert.Contains(t, out, "not decided: ")
	assert.Empty(t, errs)
}

func TestVerifyDecidesNothingWithoutItsFiles(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"--jwks-file", "/nonexistent"}, "no such file"},
		{[]string{"--jwks-file", t.TempDir()}, "is a directory"},
		{[]string{"--jwks-file", inFile(t, "")}, "--jwks-file"},
		{[]string{"--jwks-file", inFile(t, `{"keys":[]}`)}, "--jwks-file"},
		{[]string{"--client-secret-file", "/nonexistent"}, "no such file"},
		{[]string{"--client-secret-file", inFile(t, "\n")}, "is empty"},
		{[]string{"--token-file", "/nonexistent"}, "no such file"},
		{[]string{"--token-file", inFile(t, "Bearer \n"), "--jwks-file", inFile(t, `{"keys":[`+tenant.JWK(tenant.KID())+`]}`)}, "there is no token"},
		{[]string{"--jwks-file", inFile(t, `{"keys":[`+tenant.JWK(tenant.KID())+`]}`)}, "there is no token on standard input"},
	} {
		code, out, errs := command(t, nil, append([]string{"verify", "--domain", tenant.Domain, "--client-id", tenant.ClientID}, tt.args...)...)
		assert.Equal(t, exitUnknown, code, "%v: %s%s", tt.args, out, errs)
		assert.Contains(t, errs, tt.says)
	}
}

func TestVerifyTakesKeysOrASecret(t *testing.T) {
	t.Parallel()
	secret := map[string]string{clientSecretVariable: "a secret of the client, long enough"}
	for says, flags := range map[string][]string{
		"give one of them": {"--jwks-file", inFile(t, `{"keys":[]}`)},
		"--jwks-url":       {"--jwks-url", "https://acme.reach5.net/keys"},
		"--client-id":      {"--client-id", "another"},
	} {
		code, _, errs := command(t, secret, append([]string{"verify", "--domain", "acme.reach5.net", "--client-id", "c", "token"}, flags...)...)
		assert.Equal(t, exitUnknown, code)
		assert.Contains(t, errs, says)
	}
}
