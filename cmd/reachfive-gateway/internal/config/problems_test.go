package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
)

// with is the shortest configuration with a piece of it replaced.
func with(old, replacement string) string {
	if !strings.Contains(minimal, old) {
		panic(old)
	}
	return strings.Replace(minimal, old, replacement, 1)
}

// add is the shortest configuration with more at its end, in line 7.
func add(more string) string { return minimal + more }

func TestEveryMistakeIsReportedWithItsPlaceAndWhatToWrite(t *testing.T) {
	t.Parallel()
	const (
		decision = `decision: {address: "127.0.0.1:9400"}`
		tenant   = "{domain: acme.reach5.net, client_ids: [web]}"
		policy   = "{tenants: [main]}"
	)
	tests := []struct {
		name, text, want string
	}{
		{"empty file", "", "1:1: the file is empty"},
		{"only a comment", "# nothing\n", "1:1: the file is empty"},
		{"not YAML", "version: [1\n", "1:1: not valid YAML: did not find expected ',' or ']'"},
		{"a tab for indentation", "version: 1\ndecision:\n\taddress: x\n", "3:1: not valid YAML: found character that cannot start any token; is it a tab? Indent with spaces"},
		{"not UTF-8", "version: \xff", "1:1: the file is not valid UTF-8"},
		{"a list", "- version: 1\n", "1:1: want keys with values (key: value), not a list"},
		{"two documents", add("---\nversion: 1\n"), "7:1: a second YAML document; remove it"},
		{"a key twice", add("version: 1\n"), "7:1: version: the key stands twice; remove one"},
		{"an anchor", with(policy, "&a "+policy), "6:8: policies.api: anchors and aliases are not supported; write the value itself"},
		{"a merge key", add("<<: {}\n"), "7:1: a key must be plain text"},
		{"a key that is a list", add("? [a]\n: b\n"), "7:3: a key must be plain text"},
		{"an unknown key", add("polices: {}\n"), "7:1: polices: unknown key; did you mean policies?"},
		{"an unknown key, unlike any", add("drain: {seconds: 1}\n"), "7:9: drain.seconds: unknown key; known here: delay, timeout"},
		{"a key in capitals", add("Log: {level: info}\n"), "7:1: Log: unknown key; did you mean log?"},
		{"a key with a control character", add("\"a\\x1bb\": 1\n"), `7:1: "a\x1bb": unknown key; known here: `},
		{"no version", with("version: 1\n", ""), "1:1: the key version is missing: format of this file; always 1"},
		{"another version", with("version: 1", "version: 2"), "1:1: version: want 1, the only version there is, not 2"},
		{"a version in quotes", with("version: 1", `version: "1"`), `1:10: version: want a whole number such as 100, not "1"`},
		{"no value", with("version: 1", "version:"), "1:9: version: has no value; write one, or remove the key"},
		{"no listener", with(decision+"\n", ""), "1:1: no listener for decisions: write decision"},
		{"no tenants", "version: 1\n" + decision + "\npolicies: {}\n", "1:1: the key tenants is missing: ReachFive tenants, by a name of your choice"},
		{"empty policies", with("\n  api: "+policy, " {}"), "5:11: policies: is empty; at least one entry is needed"},
		{"a name with a slash", with("api:", "a/b:"), "6:3: policies.a/b: a name has 1 to 64 of a-z, 0-9, - and _, and begins with a letter"},
		{"a name in capitals", with("main: {", "Main: {"), "4:3: tenants.Main: a name has 1 to 64"},
		{"no address", with(`{address: "127.0.0.1:9400"}`, "{}"), "2:11: decision: the key address is missing: host:port"},
		{"an address without a port", with("127.0.0.1:9400", "127.0.0.1"), "2:12: decision.address: want host:port such as 127.0.0.1:9400 or [::1]:9400"},
		{"a port that is none", with("127.0.0.1:9400", "127.0.0.1:http"), "2:12: decision.address: want a port number of 0 to 65535 after the last colon"},
		{"a host name", with("127.0.0.1:9400", "gateway:9400"), "2:12: decision.address: want an IP address or localhost before the port"},
		{"plain text beyond loopback", with("127.0.0.1:9400", "10.0.0.1:9400"), "2:12: decision.address: listens beyond loopback without TLS"},
		{"plain text on all interfaces", with("127.0.0.1:9400", ":9400"), "2:12: decision.address: listens beyond loopback without TLS"},
		{"plain text on an IPv4-mapped address", with("127.0.0.1:9400", "[::ffff:10.0.0.1]:9400"), "2:12: decision.address: listens beyond loopback without TLS"},
		{"gRPC in plain text beyond loopback", add("grpc: {address: 192.168.0.1:9401}\n"), "7:8: grpc.address: listens beyond loopback without TLS"},
		{"plain text beside TLS", with(`9400"}`, `9400", insecure_plaintext: true, tls: {certificate: c, key: k}}`), "2:39: decision.insecure_plaintext: has no effect beside tls; remove it"},
		{"TLS without a key", with(`9400"}`, `9400", tls: {certificate: c}}`), "2:44: decision.tls: the key key is missing: PEM file with the private key"},
		{"one address twice", add("health: {address: 127.0.0.1:9400}\n"), "7:10: health.address: decision has this address too; each listener needs an address of its own"},
		{"one address by another name", add("health: {address: localhost:9400}\n"), "7:10: health.address: decision has this address too"},
		{"one port on all interfaces", add("health: {address: 0.0.0.0:9400}\n"), "7:10: health.address: decision has this address too"},
		{"no domain", with("domain: acme.reach5.net, ", ""), "4:9: tenants.main: the key domain is missing: the tenant's domain, such as acme.reach5.net"},
		{"a client ID for a list", with("[web]", "web"), `4:47: tenants.main.client_ids: want a list such as [web], not "web"`},
		{"a client ID that is a number", with("[web]", "[12345]"), `4:48: tenants.main.client_ids[0]: want text, not the number 12345; write it in quotes: "12345"`},
		{"no client IDs", with("[web]", "[]"), "4:47: tenants.main.client_ids: the list is empty; write an entry, or remove the key"},
		{"an empty client ID", with("[web]", `[""]`), "4:48: tenants.main.client_ids[0]: is empty; write a value, or remove the key"},
		{"a line end in a text", with("acme.reach5.net", `"acme\n"`), "4:18: tenants.main.domain: has a line end or another control character"},
		{"another algorithm", with("[web]", "[web], algorithm: ES256"), "4:54: tenants.main.algorithm: want RS256 or HS256"},
		{"HS256 without a secret", with("[web]", "[web], algorithm: HS256"), "4:54: tenants.main.algorithm: HS256 needs the client's secret: write client_secret_file or client_secret_env"},
		{"a secret in the file itself", with("[web]", "[web], algorithm: HS256, client_secret: x"), "4:72: tenants.main.client_secret: unknown key; did you mean client_secret_file?"},
		{"two secrets", with("[web]", "[web], algorithm: HS256, client_secret_file: f, client_secret_env: E"), "4:95: tenants.main.client_secret_env: cannot be combined with client_secret_file; remove one"},
		{"RS256 with a secret", with("[web]", "[web], client_secret_env: E"), "4:54: tenants.main.client_secret_env: is for HS256 alone; write algorithm: HS256, or remove the secret"},
		{"HS256 with a JWKS URL", with("[web]", "[web], algorithm: HS256, client_secret_env: E, jwks_url: u"), "4:94: tenants.main.jwks_url: is for RS256 alone, because HS256 fetches no keys; remove it"},
		{"a duration without a unit", with(policy, "{tenants: [main], checks: {max_age: 300}}"), "6:44: policies.api.checks.max_age: want a duration with its unit, such as 30s, 5m or 24h, not the number 300"},
		{"a negative duration", with(policy, "{tenants: [main], checks: {max_age: -5m}}"), `6:44: policies.api.checks.max_age: want a duration of 0s or more, not "-5m"`},
		{"a check of 0s", with(policy, "{tenants: [main], checks: {max_age: 0s}}"), "6:35: policies.api.checks.max_age: want more than 0s; remove the key for no check"},
		{"yes for true", with(policy, "{tenants: [main], optional: yes}"), `6:36: policies.api.optional: want true or false, not "yes"`},
		{"a tenant that there is not", with("[main]}\n", "[mian]}\n"), "6:19: policies.api.tenants[0]: there is no tenant of this name; the tenants are main"},
		{"a tenant twice", with("[main]}\n", "[main, main]}\n"), "6:25: policies.api.tenants[1]: stands twice; remove one"},
		{"a policy that is a list", with(policy, "[main]"), "6:8: policies.api: want keys with values (key: value), not a list"},
		{"a default policy that there is not", add("default_policy: site\ngrpc: {address: \"127.0.0.1:9401\"}\n"), "7:1: default_policy: there is no policy of this name; the policies are api"},
		{"a default policy without gRPC", add("default_policy: api\n"), "7:1: default_policy: is for gRPC requests alone, and there is no grpc listener; remove it"},
		{"too large a cache", add("token_cache: 100000000\n"), "7:1: token_cache: want 0 to 10000000, not 100000000"},
		{"no connections", add("limits: {connections: 0}\n"), "7:10: limits.connections: want 1 to 1000000, not 0"},
		{"headers too small", add("limits: {header_bytes: 100}\n"), "7:10: limits.header_bytes: want 4096 to 1048576, not 100"},
		{"no time to drain", add("drain: {timeout: 0s}\n"), "7:9: drain.timeout: want more than 0s, so that requests can finish"},
		{"Redis beyond loopback in plain text", add("redis: {addresses: [\"redis:6379\"], password_env: P}\n"), "7:9: redis.addresses: is beyond loopback without TLS and a password"},
		{"Redis beyond loopback without a password", add("redis: {addresses: [\"127.0.0.1:1\", \"10.0.0.1:1\"], tls: true}\n"), "7:9: redis.addresses: is beyond loopback without TLS and a password"},
		{"Redis without a port", add("redis: {addresses: [redis]}\n"), "7:21: redis.addresses[0]: want host:port such as redis.internal:6379"},
		{"Redis with two passwords", add("redis: {addresses: [\"127.0.0.1:1\"], password_env: P, password_file: f}\n"), "7:37: redis.password_env: cannot be combined with password_file; remove one"},
		{"authorities without TLS", add("redis: {addresses: [\"127.0.0.1:1\"], ca_file: f}\n"), "7:37: redis.ca_file: has no effect without tls: true"},
		{"a negative database", add("redis: {addresses: [\"127.0.0.1:1\"], database: -1}\n"), "7:37: redis.database: want 0 or more, not -1"},
		{"a short retention", add("redis: {addresses: [\"127.0.0.1:1\"], sign_outs: {retention: 1s}}\n"), "7:49: redis.sign_outs.retention: want 1h to 8784h, in whole seconds"},
		{"a long retention", add("redis: {addresses: [\"127.0.0.1:1\"], sign_outs: {retention: 8785h}}\n"), "7:49: redis.sign_outs.retention: want 1h to 8784h"},
		{"a short silence", add("redis: {addresses: [\"127.0.0.1:1\"], sign_outs: {max_silence: 5s}}\n"), "7:49: redis.sign_outs.max_silence: want 10s or more"},
		{"no entries", add("redis: {addresses: [\"127.0.0.1:1\"], sign_outs: {max_entries: 0}}\n"), "7:49: redis.sign_outs.max_entries: want 1 or more, not 0"},
		{"negative replicas", add("redis: {addresses: [\"127.0.0.1:1\"], sign_outs: {replicas: -1}}\n"), "7:49: redis.sign_outs.replicas: want 0 or more, not -1"},
		{"another level", add("log: {level: verbose}\n"), "7:7: log.level: want debug, info, warn or error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, problems := config.Parse([]byte(tt.text))
			require.Error(t, problems.Err())
			// What follows from the first mistake may be reported too.
			lines := strings.Split(problems.Error(), "\n")
			assert.Condition(t, func() bool {
				for _, line := range lines {
					if strings.HasPrefix(line, tt.want) {
						return true
					}
				}
				return false
			}, "want %s\ngot  %s", tt.want, problems)
		})
	}
}

func TestATextThatIsNoConfigurationIsOneMistake(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "version: [1\n", "- a\n", "version: \xff", "just text"} {
		_, problems := config.Parse([]byte(text))
		assert.Len(t, problems.List(), 1, "%q: %s", text, problems)
	}
}

func TestAllMistakesOfAFileAreReportedInItsOrder(t *testing.T) {
	t.Parallel()
	_, problems := config.Parse([]byte(`version: 3
decision: {address: 10.0.0.1:9400, tsl: {}}
tenants:
  main: {domain: acme.reach5.net, client_ids: [1]}
policies:
  api: {tenants: [mian], checks: {max_age: 5}}
logs: {}
`))
	assert.Equal(t, strings.TrimSpace(`
1:1: version: want 1, the only version there is, not 3
2:12: decision.address: listens beyond loopback without TLS, so that tokens cross the network in plain text; write tls with certificate and key, use an address such as 127.0.0.1:9400, or set insecure_plaintext if the network is trusted
2:36: decision.tsl: unknown key; did you mean tls?
4:48: tenants.main.client_ids[0]: want text, not the number 1; write it in quotes: "1"
6:19: policies.api.tenants[0]: there is no tenant of this name; the tenants are main
6:44: policies.api.checks.max_age: want a duration with its unit, such as 30s, 5m or 24h, not the number 5
7:1: logs: unknown key; did you mean log?`), problems.Error())
}
