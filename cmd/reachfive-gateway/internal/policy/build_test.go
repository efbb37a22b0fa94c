package policy_test

import (
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/policy"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

const secret = "a secret of more than thirty-two bytes"

// build makes policies of a configuration without its first lines.
func build(t *testing.T, tenantsAndPolicies string) (*policy.Policies, *config.Problems) {
	t.Helper()
	cfg, problems := config.Parse([]byte("version: 1\ndecision: {address: \"127.0.0.1:0\"}\n" + tenantsAndPolicies))
	require.NoError(t, problems.Err())
	policies := policy.Build(cfg, problems, func(name string) (string, bool) {
		value, ok := map[string]string{"SECRET": secret, "SHORT": "short", "EMPTY": ""}[name]
		return value, ok
	})
	t.Cleanup(func() { assert.NoError(t, policies.Close()) })
	return policies, problems
}

// certificateOf writes a tenant's certificate to a file.
func certificateOf(t *testing.T, tenant *reachfivetest.Tenant) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tenant.Certificate().Raw})
	require.NoError(t, os.WriteFile(path, block, 0o600))
	return path
}

// keysURL is where a tenant's keys are, by a name that needs no resolver.
func keysURL(tenant *reachfivetest.Tenant) string {
	return "https://127.0.0.1" + tenant.Domain[strings.LastIndexByte(tenant.Domain, ':'):] + "/jwks.json"
}

func TestOnePolicyTakesTokensOfSeveralTenantsAndClients(t *testing.T) {
	t.Parallel()
	first, second := reachfivetest.NewTenant(t), reachfivetest.NewTenant(t, reachfivetest.WithName("b.localhost"))
	hs := reachfivetest.NewTenant(t, reachfivetest.WithHS256(), reachfivetest.WithClientSecret(secret), reachfivetest.WithClientID("legacy"))
	policies, problems := build(t, `
tenants:
  first: {domain: "`+first.Domain+`", client_ids: [`+first.ClientID+`, ios], jwks_url: "`+keysURL(first)+`", ca_file: `+certificateOf(t, first)+`}
  second: {domain: "`+second.Domain+`", client_ids: [`+second.ClientID+`], jwks_url: "`+keysURL(second)+`", ca_file: `+certificateOf(t, second)+`}
  legacy: {domain: "`+hs.Domain+`", client_ids: [legacy], algorithm: HS256, client_secret_env: SECRET}
policies:
  all: {tenants: [first, second, legacy]}
  one: {tenants: [first]}
`)
	require.NoError(t, problems.Err())
	assert.Equal(t, []string{"all", "one"}, policies.Names())
	tests := []struct {
		name, token string
		all, one    reachfive.Code
	}{
		{"first", first.Token(), policy.Accepted, policy.Accepted},
		{"first, another client", first.Token(reachfivetest.Claim("aud", "ios")), policy.Accepted, policy.Accepted},
		{"second", second.Token(), policy.Accepted, reachfive.CodeInvalidSignature},
		{"legacy", hs.Token(), policy.Accepted, reachfive.CodeUnsupportedAlgorithm},
		{"another client", first.Token(reachfivetest.OtherAudience()), reachfive.CodeWrongAudience, reachfive.CodeWrongAudience},
	}
	for _, tt := range tests {
		for name, want := range map[string]reachfive.Code{"all": tt.all, "one": tt.one} {
			p, ok := policies.Find(name)
			require.True(t, ok)
			_, outcome := answer(t, p, "Bearer "+tt.token)
			assert.Equal(t, want, outcome.Reason, "%s by %s", tt.name, name)
		}
	}
	for tenant, err := range policies.Health(t.Context()) {
		assert.NoError(t, err, tenant)
	}
}

func TestHealthTellsTheTenantsApart(t *testing.T) {
	t.Parallel()
	up, down := reachfivetest.NewTenant(t), reachfivetest.NewTenant(t)
	down.SetDown(true)
	policies, problems := build(t, `
tenants:
  up: {domain: "`+up.Domain+`", client_ids: [a], jwks_url: "`+keysURL(up)+`", ca_file: `+certificateOf(t, up)+`}
  down: {domain: "`+down.Domain+`", client_ids: [a], jwks_url: "`+keysURL(down)+`", ca_file: `+certificateOf(t, down)+`}
policies:
  api: {tenants: [up]}
`)
	require.NoError(t, problems.Err())
	health := policies.Health(t.Context())
	require.NoError(t, health["up"])
	assert.ErrorIs(t, health["down"], reachfive.CodeKeysUnavailable)
}

func TestEveryCheckIsAskedFor(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	head := `
tenants:
  main: {domain: "` + tenant.Domain + `", client_ids: [` + tenant.ClientID + `], jwks_url: "` + keysURL(tenant) + `", ca_file: ` + certificateOf(t, tenant) + `}
policies:
`
	bare := []reachfivetest.Mod{reachfivetest.WithoutClaim("auth_time"), reachfivetest.WithoutClaim("email"), reachfivetest.WithoutClaim("auth_type"), reachfivetest.WithoutClaim("amr"), reachfivetest.WithoutClaim("acr")}
	for check, tt := range map[string]struct {
		want reachfive.Code
		mods []reachfivetest.Mod
	}{
		"max_age: 5m":           {reachfive.CodeReauthenticationRequired, bare},
		"max_token_age: 1ns":    {reachfive.CodeExpired, bare},
		"acr: [high]":           {reachfive.CodeInsufficientAuthentication, bare},
		"amr: [otp]":            {reachfive.CodeInsufficientAuthentication, bare},
		"auth_type: [webauthn]": {reachfive.CodeInsufficientAuthentication, bare},
		"email_verified: true":  {reachfive.CodeForbidden, bare},
	} {
		t.Run(check, func(t *testing.T) {
			t.Parallel()
			policies, problems := build(t, head+"  api: {tenants: [main], checks: {"+check+"}}\n  bare: {tenants: [main]}\n")
			require.NoError(t, problems.Err())
			token := "Bearer " + tenant.Token(tt.mods...)
			p, _ := policies.Find("api")
			_, outcome := answer(t, p, token)
			assert.Equal(t, tt.want, outcome.Reason)
			p, _ = policies.Find("bare")
			response, _ := answer(t, p, token)
			assert.Equal(t, http.StatusOK, response.StatusCode)
		})
	}
}

func TestMistakesThatOnlyTheLibraryKnowsStandAtTheirKey(t *testing.T) {
	t.Parallel()
	exposed := filepath.Join(t.TempDir(), "exposed")
	require.NoError(t, os.WriteFile(exposed, []byte(secret), 0o644))
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	const good = "  good: {domain: acme.reach5.net, client_ids: [web]}\n"
	tests := []struct {
		name, tenant, policy, want string
	}{
		{"a URL for a domain", "domain: https://acme.reach5.net/login, client_ids: [web]", "", "5:10: tenants.main.domain: want host or host:port, without user information, path, query and fragment"},
		{"a client ID with a space", "domain: acme.reach5.net, client_ids: [a b]", "", "5:35: tenants.main.client_ids: the client ID has white space or characters beyond ASCII"},
		{"an issuer over http", "domain: acme.reach5.net, client_ids: [web], issuer: http://acme.reach5.net", "", "5:54: tenants.main.issuer: want an https URL without user information"},
		{"keys over http", "domain: acme.reach5.net, client_ids: [web], jwks_url: http://acme.reach5.net/k", "", "5:54: tenants.main.jwks_url: http is "},
		{"a JWKS URL and discovery", "domain: acme.reach5.net, client_ids: [web], jwks_url: https://a.b/k, discovery: true", "", "5:79: tenants.main.discovery: cannot be combined with jwks_url; remove one"},
		{"too much leeway", "domain: acme.reach5.net, client_ids: [web], leeway: 1h", "", "5:54: tenants.main.leeway: want 0 to 5m0s, got 1h0m0s"},
		{"a short secret", "domain: acme.reach5.net, client_ids: [web], algorithm: HS256, client_secret_env: SHORT", "", "5:72: tenants.main.client_secret_env: the secret has 5 bytes, want at least 32 (RFC 7518 section 3.2)"},
		{"a variable that is not set", "domain: acme.reach5.net, client_ids: [web], algorithm: HS256, client_secret_env: NONE", "", "5:72: tenants.main.client_secret_env: the environment variable NONE is not set"},
		{"an empty variable", "domain: acme.reach5.net, client_ids: [web], algorithm: HS256, client_secret_env: EMPTY", "", "5:72: tenants.main.client_secret_env: the environment variable EMPTY is not set"},
		{"two clients of one secret", "domain: acme.reach5.net, client_ids: [web, ios], algorithm: HS256, client_secret_env: SECRET", "", "5:35: tenants.main.client_ids: want exactly one with HS256: a secret belongs to one client"},
		{"a secret that others can read", "domain: acme.reach5.net, client_ids: [web], algorithm: HS256, client_secret_file: " + exposed, "", "5:72: tenants.main.client_secret_file: others have access to the file (mode 0644); run chmod o-rwx on it"},
		{"a secret that is not there", "domain: acme.reach5.net, client_ids: [web], algorithm: HS256, client_secret_file: /nowhere", "", "5:72: tenants.main.client_secret_file: there is no such file"},
		{"an empty secret", "domain: acme.reach5.net, client_ids: [web], algorithm: HS256, client_secret_file: " + empty, "", "5:72: tenants.main.client_secret_file: the file is empty"},
		{"a directory for a secret", "domain: acme.reach5.net, client_ids: [web], algorithm: HS256, client_secret_file: /", "", "5:72: tenants.main.client_secret_file: not a regular file"},
		{"authorities that are none", "domain: acme.reach5.net, client_ids: [web], ca_file: " + empty, "", "5:54: tenants.main.ca_file: the file has no certificate in PEM form"},
		{"two tenants for one token", "domain: acme.reach5.net, client_ids: [ios, web]", "tenants: [good, main]", "7:9: policies.api.tenants: two of them take the same tokens: the same domain, algorithm and client ID; remove one"},
		{"a header of another family", "domain: acme.reach5.net, client_ids: [ios]", "tenants: [good], headers: [{name: X-User, claim: name}]", "7:37: policies.api.headers[0].name: want a name that begins with X-Reachfive-: proxies protect no other"},
		{"an unknown claim", "domain: acme.reach5.net, client_ids: [ios]", "tenants: [good], headers: [{name: X-Reachfive-Mail, claim: mail}]", "7:61: policies.api.headers[0].claim: want one of acr, "},
		{"audiences that fit no header", "domain: acme.reach5.net, client_ids: [" + strings.Repeat("x", 2500) + "]", "tenants: [main]", "7:9: policies.api.tenants: the identity headers that are always sent may take "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			settings := tt.policy
			if settings == "" {
				settings = "tenants: [good]"
			}
			_, problems := build(t, "tenants:\n"+good+"  main: {"+tt.tenant+"}\npolicies:\n  api: {"+settings+"}\n")
			require.Len(t, problems.List(), 1, "%s", problems)
			assert.True(t, strings.HasPrefix(problems.Error(), tt.want), "want %s\ngot  %s", tt.want, problems)
		})
	}
}
