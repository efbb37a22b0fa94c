package fleet_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/fleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMistakesAboutRedisStandAtTheirKey(t *testing.T) {
	t.Parallel()
	exposed := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(exposed, []byte("s3cret"), 0o604))
	short := filepath.Join(t.TempDir(), "record-key")
	require.NoError(t, os.WriteFile(short, []byte("s3cret"), 0o600))
	for redis, want := range map[string]string{
		"password_env: NONE":                                                  "redis.password_env: the environment variable NONE is not set",
		"password_file: /nowhere":                                             "redis.password_file: there is no such file",
		"password_file: " + exposed:                                           "redis.password_file: others have access to the file (mode 0604); run chmod o-rwx on it",
		"tls: true, ca_file: " + exposed:                                      "redis.ca_file: the file has no certificate in PEM form",
		"shared_keys: {enabled: true, record_key_files: [/nowhere]}":          "redis.shared_keys.record_key_files[0]: there is no such file",
		"shared_keys: {enabled: true, record_key_files: [\"" + short + "\"]}": "redis: a record key has at least 32 bytes",
		"shared_keys: {record_key_files: [\"" + short + "\"]}":                "redis.shared_keys.record_key_files: has no effect without enabled: true",
		"prefix: \"a{b\"":                                                     "redis",
		"database: 3, addresses: [\"127.0.0.1:1\"]":                           "the key stands twice",
	} {
		_, problems := config.Parse([]byte("version: 1\ndecision: {address: \"127.0.0.1:0\"}\ntenants: {m: {domain: a.b, client_ids: [c]}}\npolicies: {p: {tenants: [m]}}\nredis: {addresses: [\"127.0.0.1:1\"], " + redis + "}\n"))
		cfg, _ := config.Parse([]byte("version: 1\nredis: {addresses: [\"127.0.0.1:1\"], " + redis + "}\n"))
		f := fleet.New(cfg.Redis, problems, func(string) (string, bool) { return "", false }, slog.New(slog.DiscardHandler))
		if f != nil {
			f.Follow([]string{"https://a.b"}, problems)
			require.NoError(t, f.Close())
		}
		require.Error(t, problems.Err(), redis)
		assert.Contains(t, problems.Error(), want, redis)
		assert.NotContains(t, problems.Error(), "s3cret")
	}
}

// TestTheBoundsOfSignOutsAreTheLibrarys: what the configuration lets pass, the
// library accepts, and what it refuses, the library would refuse too.
func TestTheBoundsOfSignOutsAreTheLibrarys(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		settings string
		right    bool
	}{
		{"retention: 1h", true},
		{"retention: 3599s", false},
		{"retention: 8784h", true},
		{"retention: 8784h1s", false},
		{"retention: 90m1s", true},
		{"retention: 3600.5s", false},
		{"max_silence: 10s", true},
		{"max_silence: 9.999s", false},
		{"max_entries: 1", true},
		{"max_entries: 0", false},
	} {
		cfg, problems := config.Parse([]byte("version: 1\nredis: {addresses: [\"127.0.0.1:1\"], sign_outs: {" + tt.settings + "}}\n"))
		assert.Equal(t, tt.right, !strings.Contains(problems.Error(), "redis.sign_outs."), tt.settings)
		_, problems = config.Parse([]byte("version: 1\n"))
		f := fleet.New(cfg.Redis, problems, nil, slog.New(slog.DiscardHandler))
		require.NotNil(t, f)
		assert.Equal(t, tt.right, f.Follow([]string{"https://a.b"}, problems), tt.settings)
		require.NoError(t, f.Close())
	}
}

func TestACheckThatIsNotSetDecidesNothing(t *testing.T) {
	t.Parallel()
	late := new(fleet.LateCheck)
	require.ErrorIs(t, late.Check(t.Context(), &reachfive.User{}), reachfive.CodeRevocationsUnavailable)
	late.Set(func(context.Context, *reachfive.User) error { return nil })
	require.NoError(t, late.Check(t.Context(), &reachfive.User{}))
}
