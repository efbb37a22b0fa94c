package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestMain(m *testing.M) {
	// The session store of examples/spa cleans up for as long as the process
	// lives, and has no way to be told earlier that is free of races.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

// command runs the program with these arguments and this environment.
func command(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, lookupIn(env), strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

func TestDemoEndsWellAndSaysWhatWasAnswered(t *testing.T) {
	code, out, errs := command(t, nil, "demo")
	require.Equal(t, exitOK, code, out+errs)
	assert.Empty(t, errs)
	for _, line := range []string{
		`ok  POST tenant/identity/v1/password/login +200  password accepted`,
		`ok  GET  tenant/oauth/authorize +302  `,
		`ok  POST tenant/oauth/token +200  ID token issued`,
		`ok  POST api/session  idtoken form +200  signed in as John Doe`,
		`ok  GET  api/me  Bearer token +200  called as John Doe`,
		`ok  GET  api/me  no token +401  missing_token: `,
		`ok  GET  api/me  expired token +401  expired: `,
		`ok  GET  api/me  another client's token +401  wrong_audience: `,
		`ok  GET  api/me  another tenant's token +401  invalid_signature: `,
		`ok  GET  api/me  tampered token +401  invalid_signature: `,
		`ok  GET  api/me  unsigned token +401  malformed_token: `,
		`ok  POST api/session  idtoken form, sent by another site +403  untrusted_origin: `,
		`ok  GET  api/me  token of the new key, at once +200  called as John Doe`,
		`ok  GET  api/me  token of the old key, tenant down +200  called as John Doe`,
		`All 14 answers were the expected ones\.`,
	} {
		assert.Regexp(t, line, out)
	}
	assert.NotContains(t, out, "!!")
	assert.NotContains(t, out, "eyJ", "no token is printed")
}

func TestDemoMarksAnswersOfAnAPIWithOtherKeys(t *testing.T) {
	tenant := reachfivetest.NewTenant(t)
	other := reachfivetest.NewTenant(t)
	// The API asks the right issuer and client, and has another tenant's keys.
	v := tenant.Verifier(reachfive.WithJWKSURL(other.Issuer()+"/jwks.json"), reachfive.WithHTTPClient(other.Client()))
	var out bytes.Buffer
	err := (&demoCommand{}).runDemo(t.Context(), environment{out: &out}, tenant, v)
	require.ErrorContains(t, err, "were not the expected ones")
	assert.Regexp(t, `!!  POST api/session  idtoken form +401  invalid_signature: `, out.String())
	assert.Regexp(t, `UNEXPECTED: this was to be +200  signed in as John Doe`, out.String())
	assert.NotContains(t, out.String(), "All 14")
}

func TestAnUnexpectedAnswerIsExitCodeOne(t *testing.T) {
	for name, got := range map[string]reply{
		"another status":                         {status: 500, reason: "expired: the token has expired"},
		"another reason":                         {status: 401, reason: "missing_token: an ID token is required"},
		"another reason that only contains ours": {status: 401, reason: "not expired"},
	} {
		t.Run(name, func(t *testing.T) {
			out := &transcript{out: io.Discard}
			out.answer("GET", got, refused(reachfive.CodeExpired))
			require.Error(t, out.verdict())
		})
	}
	out := &transcript{out: io.Discard}
	out.answer("GET", reply{status: 401, reason: "expired: the token has expired"}, refused(reachfive.CodeExpired))
	require.NoError(t, out.verdict())
}

func TestDemoFailsWithExitCodeOneWhenItCannotRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	assert.Equal(t, exitFailed, run(ctx, []string{"demo"}, lookupIn(nil), strings.NewReader(""), &out, &errs))
	assert.Contains(t, errs.String(), "canceled")
}

func TestServePrintsAPageThatAnyNameOfLoopbackLeadsTo(t *testing.T) {
	base, stop := serve(t, nil, "demo", "--serve")
	defer stop()
	page := read(t, http.MethodGet, base+"/", "", "")
	assert.Equal(t, http.StatusOK, page.status)
	assert.Contains(t, string(page.body), "Try to fool it")
	elsewhere := read(t, http.MethodGet, strings.Replace(base, "app.localhost", "127.0.0.1", 1)+"/", "", "")
	assert.Equal(t, http.StatusFound, elsewhere.status)
	assert.Equal(t, base+"/", elsewhere.header.Get("Location"))
}

func TestServeWithTheSDKPrintsTheKeyThatABrowserIsToTrust(t *testing.T) {
	bundle := filepath.Join(t.TempDir(), "identity-core.min.js")
	require.NoError(t, os.WriteFile(bundle, []byte("// the vendor's"), 0o600))
	base, stop := serve(t, nil, "demo", "--serve", "--sdk", bundle)
	assert.Equal(t, "// the vendor's", string(read(t, http.MethodGet, base+"/vendor/identity-core.js", "", "").body))
	assert.Regexp(t, `--ignore-certificate-errors-spki-list=[A-Za-z0-9+/]{43}=\n`, stop())
}

func TestAnOwnTenantOfHS256IsProtectedWithoutItsSecretBeingShown(t *testing.T) {
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithHS256(), reachfivetest.WithName("acme.reach5.net"))
	for name, args := range map[string][]string{
		"by flags":       {"demo", "--domain", tenant.Domain, "--client-id", tenant.ClientID},
		"by environment": {"demo"},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"REACHFIVE_CLIENT_SECRET": tenant.ClientSecret}
			if len(args) == 1 {
				env["REACHFIVE_DOMAIN"], env["REACHFIVE_CLIENT_ID"] = tenant.Domain, tenant.ClientID
			}
			base, stop := serve(t, env, args...)
			form := "application/x-www-form-urlencoded"
			assert.Equal(t, 200, read(t, http.MethodPost, base+"/session", form, "idtoken="+tenant.Token()).status)
			assert.Equal(t, 401, read(t, http.MethodPost, base+"/session", form, "idtoken="+tenant.Token(reachfivetest.WrongKey())).status)
			assert.Equal(t, 200, read(t, http.MethodGet, base+"/", "", "").status)
			out := stop()
			assert.Contains(t, out, "https://acme.reach5.net  HS256")
			assert.NotContains(t, out, tenant.ClientSecret)
		})
	}
}

func TestAnOwnTenantWithoutKeysIsExitCodeOne(t *testing.T) {
	// Nothing listens on port 1 of the loopback.
	code, out, errs := command(t, nil, "demo", "--domain", "127.0.0.1:1", "--client-id", "c")
	assert.Equal(t, exitFailed, code)
	assert.Empty(t, out)
	assert.Contains(t, errs, "keys_unavailable")
}

func TestWrongUsageIsExitCodeTwo(t *testing.T) {
	for name, args := range map[string][]string{
		"no command":         {},
		"unknown command":    {"dmeo"},
		"unknown flag":       {"demo", "--sevre"},
		"domain alone":       {"demo", "--domain", "acme.reach5.net"},
		"client ID alone":    {"demo", "--client-id", "c"},
		"secret as argument": {"demo", "--client-secret", "s"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := command(t, nil, args...)
			assert.Equal(t, exitUsage, code)
			assert.Empty(t, out)
			assert.Contains(t, errs, "--help")
		})
	}
}

func TestHelpIsExitCodeZero(t *testing.T) {
	code, out, _ := command(t, nil, "demo", "--help")
	assert.Equal(t, exitOK, code)
	assert.Contains(t, out, "REACHFIVE_DOMAIN")
}

// serve runs a command that stays up and returns the address of its page,
// and what ends it and returns its output.
func serve(t *testing.T, env map[string]string, args ...string) (base string, stop func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	code := make(chan int, 1)
	var errs bytes.Buffer
	go func() {
		code <- run(ctx, args, lookupIn(env), strings.NewReader(""), writer, &errs)
		_ = writer.Close()
	}()
	var out strings.Builder
	address := regexp.MustCompile(`Open (http://[\w.]+:\d+)/ in a browser`)
	for buf := make([]byte, 4096); !address.MatchString(out.String()); {
		n, err := reader.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			cancel()
			require.Fail(t, "it ended", "exit %d: %s%s", <-code, out.String(), errs.String())
		}
	}
	return address.FindStringSubmatch(out.String())[1], func() string {
		cancel()
		_, _ = io.Copy(&out, reader)
		assert.Equal(t, exitOK, <-code, errs.String())
		return out.String()
	}
}

func read(t *testing.T, method, target, contentType, body string) reply {
	t.Helper()
	// A browser takes every name under localhost for loopback; resolvers differ.
	client := noRedirects(&http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, _ := strings.Cut(address, ":")
			return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}})
	got, err := send(t.Context(), client, method, target, http.Header{"Content-Type": {contentType}}, []byte(body))
	require.NoError(t, err)
	return got
}
