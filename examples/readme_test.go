//go:build unix

package examples_test

import (
	"context"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

// readmeRuns are the lines of the README's code blocks that start an example.
func readmeRuns(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return regexp.MustCompile(`(?m)^(?:[A-Z_0-9]+=\S+ )*go run \./.*$`).FindAllString(string(readme), -1)
}

func TestExamples(t *testing.T) {
	t.Parallel()
	programs := build(t)
	runs := readmeRuns(t)
	built, err := os.ReadDir(programs)
	require.NoError(t, err)
	for _, program := range built {
		assert.Contains(t, strings.Join(runs, "\n"), program.Name(), "the README starts every example")
	}
	for name, test := range map[string]func(t *testing.T, programs string, runs []string){
		"do what their README says":                     doWhatTheirREADMESays,
		"take the tenant of the environment":            takeTheTenantOfTheEnvironment,
		"take a client that signs with its secret":      takeAClientThatSignsWithItsSecret,
		"tell a mistake before they serve anything":     tellAMistakeFirst,
		"tell in the terminal that a bundle is missing": tellThatABundleIsMissing,
		"sign out without a redis-server":               signOutWithoutARedisServer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, programs, runs)
		})
	}
}

func doWhatTheirREADMESays(t *testing.T, programs string, runs []string) {
	t.Helper()
	for _, line := range runs {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			p := start(t, programs, line)
			if strings.HasPrefix(line, "REACHFIVE_DOMAIN=acme.reach5.net") {
				assert.Contains(t, p.printed[0], "the client AtnY5xDg4fbanentihip of acme.reach5.net")
				assert.NotContains(t, strings.Join(p.setup, "\n"), "eyJ", "no token is ours to print")
				return
			}
			assert.Contains(t, p.printed[0], "a ReachFive tenant inside this process")
			assert.Contains(t, p.printed[0], " 127.0.0.1:", "the example listens on loopback only")
			assert.True(t, p.wants("200") || p.wants("username"), "a token is accepted")
			assert.True(t, p.wants("expired"), "a token is refused")
			p.paste(t)
		})
	}
}

func takeTheTenantOfTheEnvironment(t *testing.T, programs string, runs []string) {
	t.Helper()
	tenant := reachfivetest.NewTenant(t, reachfivetest.WithName("localhost"))
	roots := filepath.Join(t.TempDir(), "roots.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tenant.Certificate().Raw})
	require.NoError(t, os.WriteFile(roots, certificate, 0o600))
	for _, line := range runs {
		if strings.HasPrefix(line, "REACHFIVE_DOMAIN=") {
			continue
		}
		t.Run(line, func(t *testing.T) {
			p := start(t, programs, line, "SSL_CERT_FILE="+roots, "REACH_SHARED_JWT_SECRET="+strings.Repeat("s", 32),
				"REACHFIVE_DOMAIN="+tenant.Domain, "REACHFIVE_CLIENT_ID="+tenant.ClientID)
			assert.Contains(t, p.printed[0], tenant.Domain)
			if strings.Contains(line, "embedded") {
				return // no user is in the table yet: 403
			}
			p.paste(t, "ID_TOKEN="+tenant.Token())
		})
	}
}

func takeAClientThatSignsWithItsSecret(t *testing.T, programs string, _ []string) {
	t.Helper()
	tenant := reachfivetest.NewTenant(t, reachfivetest.WithHS256())
	p := start(t, programs, "go run ./chi", "REACHFIVE_DOMAIN="+tenant.Domain,
		"REACHFIVE_CLIENT_ID="+tenant.ClientID, "REACHFIVE_CLIENT_SECRET="+tenant.ClientSecret)
	p.paste(t, "ID_TOKEN="+tenant.Token())
}

func tellAMistakeFirst(t *testing.T, programs string, _ []string) {
	t.Helper()
	taken := start(t, programs, "go run ./chi")
	host := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(taken.printed[0])
	for _, tt := range []struct {
		name, program string
		args, env     []string
		want          string
	}{
		{"a domain alone", "chi", nil, []string{"REACHFIVE_DOMAIN=acme.reach5.net"}, "REACHFIVE_CLIENT_ID is not"},
		{"a client ID alone", "chi", nil, []string{"REACHFIVE_CLIENT_ID=c"}, "REACHFIVE_DOMAIN is not"},
		{"a port that is taken", "chi", []string{"--addr", host}, nil, "choose another address with --addr"},
		{"no shared secret", "embedded", []string{"--addr", "127.0.0.1:0"}, []string{"REACHFIVE_DOMAIN=acme.reach5.net", "REACHFIVE_CLIENT_ID=c"}, "REACH_SHARED_JWT_SECRET is not set"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			cmd := exec.CommandContext(ctx, filepath.Join(programs, tt.program), tt.args...)
			cmd.Env = append(environment(), tt.env...)
			printed, err := cmd.CombinedOutput()
			require.Error(t, err)
			assert.Contains(t, string(printed), tt.want)
			assert.NotContains(t, string(printed), "listens")
		})
	}
}

func signOutWithoutARedisServer(t *testing.T, programs string, _ []string) {
	t.Helper()
	p := start(t, programs, "go run ./signout", "REDIS_SERVER=there-is-none")
	assert.Contains(t, strings.Join(p.printed, "\n"), "There is no there-is-none: miniredis, a stand-in inside this process")
	p.paste(t)
}

func tellThatABundleIsMissing(t *testing.T, programs string, _ []string) {
	t.Helper()
	p := start(t, programs, "go run ./embedded --bundle "+t.TempDir())
	assert.Contains(t, p.errors(t), "has no page.js. Run `make demo-embedded`")
	full := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "page.js"), nil, 0o600))
	p = start(t, programs, "go run ./embedded --bundle "+full)
	assert.Empty(t, p.errors(t))
}
