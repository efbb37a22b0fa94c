package config_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
)

// minimal is the shortest configuration.
const minimal = `version: 1
decision: {address: "127.0.0.1:9400"}
tenants:
  main: {domain: acme.reach5.net, client_ids: [web]}
policies:
  api: {tenants: [main]}
`

// complete has every key.
const complete = `version: 1
decision:
  address: 0.0.0.0:9400
  tls: {certificate: cert.pem, key: key.pem, client_ca: ca.pem}
grpc:
  address: 10.0.0.1:9401
  insecure_plaintext: true
health:
  address: :9402
tenants:
  main:
    domain: acme.reach5.net
    client_ids: [web, ios]
    issuer: https://login.example.com
    jwks_url: https://acme.reach5.net/keys.json
    ca_file: ca.pem
    key_store_file: /var/lib/reachfive-gateway/main.json
    max_stale: 12h
    leeway: 10s
  other: {domain: b.reach5.net, client_ids: [b], discovery: true}
  legacy: {domain: acme.reach5.net, client_ids: [old], algorithm: HS256, client_secret_file: secret}
  legacy2: {domain: acme.reach5.net, client_ids: [older], algorithm: HS256, client_secret_env: SECRET}
policies:
  api:
    tenants: [main, legacy]
    checks: {max_age: 5m, max_token_age: 1h, acr: [a], amr: [pwd, otp], auth_type: [password], email_verified: true}
    headers:
      - {name: X-Reachfive-Email, claim: email}
  site: {tenants: [main], optional: true}
default_policy: api
token_cache: 0
redis:
  addresses: [redis.internal:6379]
  master_name: main
  username: gateway
  password_file: redis-password
  database: 2
  tls: true
  ca_file: ca.pem
  prefix: shop
  shared_keys: {enabled: true, record_key_files: [record-key]}
  sign_outs:
    {retention: 24h, max_silence: 1m, max_entries: 1000, replicas: 1, sign_in_from_iat: true, insecure_fail_open: true}
limits: {connections: 100, header_bytes: 16384}
drain: {delay: 1s, timeout: 2s}
log: {level: debug}
`

func TestDefaultsOfTheShortestConfiguration(t *testing.T) {
	t.Parallel()
	cfg, problems := config.Parse([]byte(minimal))
	require.NoError(t, problems.Err())
	assert.Equal(t, "127.0.0.1:9402", cfg.Health.Address)
	assert.Equal(t, 10_000, cfg.TokenCache)
	assert.Equal(t, config.Limits{Connections: 4096, HeaderBytes: 32 << 10}, cfg.Limits)
	assert.Equal(t, config.Drain{Delay: 5 * time.Second, Timeout: 20 * time.Second}, cfg.Drain)
	assert.Equal(t, "info", cfg.Log.Level)
	assert.Nil(t, cfg.GRPC)
	assert.Nil(t, cfg.Decision.TLS)
	assert.Equal(t, config.Tenant{Domain: "acme.reach5.net", ClientIDs: []string{"web"}, Algorithm: "RS256", MaxStale: 24 * time.Hour}, cfg.Tenants["main"])
	assert.Equal(t, config.Policy{Tenants: []string{"main"}}, cfg.Policies["api"])
}

func TestEveryKeyIsRead(t *testing.T) {
	t.Parallel()
	cfg, problems := config.Parse([]byte(complete))
	require.NoError(t, problems.Err())
	assert.Equal(t, &config.Listener{Address: "0.0.0.0:9400", TLS: &config.TLS{Certificate: "cert.pem", Key: "key.pem", ClientCA: "ca.pem"}}, cfg.Decision)
	assert.Equal(t, &config.Listener{Address: "10.0.0.1:9401", InsecurePlaintext: true}, cfg.GRPC)
	assert.Equal(t, ":9402", cfg.Health.Address)
	assert.Equal(t, config.Tenant{
		Domain: "acme.reach5.net", ClientIDs: []string{"web", "ios"}, Algorithm: "RS256", Issuer: "https://login.example.com",
		JWKSURL: "https://acme.reach5.net/keys.json", CAFile: "ca.pem", KeyStoreFile: "/var/lib/reachfive-gateway/main.json",
		MaxStale: 12 * time.Hour, Leeway: 10 * time.Second,
	}, cfg.Tenants["main"])
	assert.True(t, cfg.Tenants["other"].Discovery)
	assert.Equal(t, "secret", cfg.Tenants["legacy"].ClientSecretFile)
	assert.Equal(t, "SECRET", cfg.Tenants["legacy2"].ClientSecretEnv)
	assert.Equal(t, config.Policy{
		Tenants: []string{"main", "legacy"},
		Checks: config.Checks{
			MaxAge: 5 * time.Minute, MaxTokenAge: time.Hour, ACR: []string{"a"}, AMR: []string{"pwd", "otp"},
			AuthType: []string{"password"}, EmailVerified: true,
		},
		Headers: []config.Header{{Name: "X-Reachfive-Email", Claim: "email"}},
	}, cfg.Policies["api"])
	assert.True(t, cfg.Policies["site"].Optional)
	assert.Equal(t, "api", cfg.DefaultPolicy)
	assert.Zero(t, cfg.TokenCache)
	assert.Equal(t, &config.Redis{
		Addresses: []string{"redis.internal:6379"}, MasterName: "main", Username: "gateway", PasswordFile: "redis-password", Database: 2,
		TLS: true, CAFile: "ca.pem", Prefix: "shop", SharedKeys: config.SharedKeys{Enabled: true, RecordKeyFiles: []string{"record-key"}}, SignOuts: config.SignOuts{
			Retention: 24 * time.Hour, MaxSilence: time.Minute, MaxEntries: 1000, Replicas: 1, SignInFromIAT: true, InsecureFailOpen: true,
		},
	}, cfg.Redis)
	assert.Equal(t, config.Limits{Connections: 100, HeaderBytes: 16384}, cfg.Limits)
	assert.Equal(t, config.Drain{Delay: time.Second, Timeout: 2 * time.Second}, cfg.Drain)
	assert.Equal(t, "debug", cfg.Log.Level)
}

// TestTheCompleteConfigurationHasEveryKey keeps complete complete: a key of the
// table that it lacks would be read by no test.
func TestTheCompleteConfigurationHasEveryKey(t *testing.T) {
	t.Parallel()
	for _, key := range config.Keys() {
		name := key.Path[strings.LastIndexByte(key.Path, '.')+1:]
		if name != "password_env" { // of two that exclude each other, one is there
			assert.Contains(t, complete, name+":", key.Path)
		}
		assert.NotEmpty(t, key.Type, key.Path)
		assert.NotEmpty(t, key.Help, key.Path)
	}
}

// FuzzParse looks for a text that the parser crashes or hangs on, or reports a
// problem of without a position.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		minimal, complete, "", "\x00", "a: &a [*a]", "[", "version: 1\n---\nversion: 1", "? {a: b}\n: c", "version: !!binary AAAA",
		"<<: {version: 1}", "tenants: {? [a] : b}", "version: 0x1", "version: 1_0", "policies: {a: {checks: {max_age: 9999999999h}}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, problems := config.Parse(text)
		if cfg == nil {
			t.Fatal("no configuration")
		}
		for _, problem := range problems.List() {
			if problem.Line < 1 || problem.Column < 1 || problem.Text == "" {
				t.Errorf("%+v", problem)
			}
			if strings.ContainsAny(problem.Path+problem.Text, "\n\r\x00\x1b") {
				t.Errorf("a control character in %q", problem.Path+problem.Text)
			}
		}
	})
}

// TestTheTableOfKeysIsTheCodes compares docs/gateway.md with the tags of Config.
func TestTheTableOfKeysIsTheCodes(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- keys: begin -->\n", "<!-- keys: end -->"
	text, err := os.ReadFile("../../../../docs/gateway.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), begin)
	require.True(t, found)
	table, _, found := strings.Cut(rest, end)
	require.True(t, found)
	assert.Equal(t, config.Table(), table, "write between the marks:\n%s", config.Table())
}

// TestTheDocumentedConfigurationIsOne parses the example of docs/gateway.md.
func TestTheDocumentedConfigurationIsOne(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../../docs/gateway.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "```yaml\n")
	require.True(t, found)
	example, _, _ := strings.Cut(rest, "```")
	_, problems := config.Parse([]byte(example))
	require.NoError(t, problems.Err())
}
