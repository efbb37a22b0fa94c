package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // as main does
	// The session store of examples/spa cleans up for as long as the process
	// lives; it cannot be stopped earlier without a data race.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

// command runs the program with these arguments and this environment.
func command(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return commandWithInput(t, "", env, args...)
}

// commandWithInput also gives the program a standard input.
func commandWithInput(t *testing.T, stdin string, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, lookupIn(env), strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

func TestWrongUsageIsExitCodeTwo(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"no command":                 {},
		"unknown command":            {"dmeo"},
		"unknown flag":               {"demo", "--sevre"},
		"secret as argument":         {"demo", "--client-secret", "s"},
		"port without a page":        {"demo", "--port", "8080"},
		"fault of one's own tenant":  {"doctor", "--domain", "acme.reach5.net", "--fault", "down"},
		"token as argument and file": {"verify", "--token-file", "token.txt", "token"},
		"impossible issuer":          {"keys", "--domain", "acme.reach5.net", "--issuer", "http://acme.reach5.net"},
		"impossible JWKS URL":        {"doctor", "--domain", "acme.reach5.net", "--jwks-url", "ftp://acme.reach5.net"},
		"client ID of keys":          {"keys", "--domain", "acme.reach5.net", "--client-id", "c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := command(t, nil, args...)
			assert.Equal(t, exitUnknown, code)
			assert.Empty(t, out)
			assert.Contains(t, errs, "--help")
		})
	}
}

func TestHelpHasTheExitCodesAndExamplesOfEveryCommand(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"demo", "verify", "doctor", "keys"} {
		code, out, _ := command(t, nil, name, "--help")
		assert.Equal(t, exitYes, code)
		assert.Contains(t, out, "reachfive "+name+" --domain acme.reach5.net")
		assert.Regexp(t, `Exit codes:\n\s+0  .+\n +1  .+\n +2  `, out)
		assert.Contains(t, out, domainVariable)
	}
	_, out, _ := command(t, nil, "verify", "--help")
	assert.Contains(t, out, "< token.txt")
	assert.NotContains(t, out, "$TOKEN", "an argument is visible to other users")
}

func TestVersionNamesTheModuleAndGo(t *testing.T) {
	t.Parallel()
	code, out, _ := command(t, nil, "version")
	assert.Equal(t, exitYes, code)
	assert.Regexp(t, `^reachfive \S.*, go1\.\d+.* \w+/\w+\n$`, out)
}
