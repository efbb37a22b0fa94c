package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

// hostile retitles a terminal, clears it, starts a C1 control sequence, and
// reverses the text after it.
const hostile = "a\x1b]0;pwned\a\x1b[2J\u009b31m\u202eb\u2066\x7f\r"

// assertPlain fails if text has a character that a terminal acts on.
func assertPlain(t *testing.T, text string) {
	t.Helper()
	assert.True(t, utf8.ValidString(text), "%q", text)
	for i, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%U at byte %d of %q", r, i, text)
			return
		}
	}
}

func TestATokensTextReachesTheTerminalEscaped(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	// A JSON string holds C1 and bidirectional controls unescaped, and bytes
	// that are not UTF-8.
	raw := `{"alg":"RS256","kid":"` + "k\u009b31m\u202e\x9b" + `"}`
	for _, token := range []string{
		tenant.Token(reachfivetest.Claim("iss", hostile), reachfivetest.Claim("name", hostile)),
		tenant.Token(reachfivetest.KID(hostile)),
		tenant.Token(reachfivetest.Header("alg", hostile)),
		tenant.Token(reachfivetest.Header("typ", hostile)),
		base64.RawURLEncoding.EncodeToString([]byte(raw)) + ".e30.AA",
		hostile,
	} {
		for _, args := range [][]string{{token}, {"--json", token}} {
			code, out := verifyAgainst(t, tenant, "", args...)
			assert.Equal(t, exitNo, code)
			assertPlain(t, out)
		}
		_, out, errs := commandWithInput(t, token, nil, "doctor", "--demo", "--token-file", "-")
		assertPlain(t, out+errs)
	}
	_, out := verifyAgainst(t, tenant, "", tenant.Token(reachfivetest.KID("a\x1b]0;pwned")))
	assert.Contains(t, out, `actual    kid a\u001b]0;pwned`)
}

func TestATenantsTextReachesTheTerminalEscaped(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	jwk := strings.Replace(tenant.JWK("key-1"), `"key-1"`, quoted(t, hostile), 1)
	tenant.PublishRaw(jwk, strings.Replace(jwk, `"AQAB"`, quoted(t, hostile), 1), strings.Replace(jwk, `"RSA"`, quoted(t, hostile), 1))
	for _, asJSON := range []bool{false, true} {
		_, out, errs := runKeys(t, tenant, keysCommand{JSON: asJSON})
		assertPlain(t, out+errs)
		assert.Contains(t, out, "pwned")

		code, out, errs := runDoctor(t, tenant, doctorCommand{JSON: asJSON})
		assert.Equal(t, exitNo, code)
		assertPlain(t, out+errs)
		assert.Contains(t, out, "pwned")
	}
	client := &http.Client{Transport: answering(`{"issuer":` + quoted(t, hostile) + `,"jwks_uri":` + quoted(t, hostile) + `}`)}
	_, out, errs := runDoctor(t, tenant, doctorCommand{tenantFlags: tenantFlags{client: client}})
	assertPlain(t, out+errs)
	assert.Contains(t, out, "pwned")
}

func TestArgumentsReachTheTerminalEscaped(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{hostile}, {"verify", "--" + hostile}, {"keys", "--domain", hostile}, {"verify", "--jwks-file", "/" + hostile, "--domain", "a.b", "--client-id", "c"}} {
		_, out, errs := command(t, nil, args...)
		assertPlain(t, out+errs)
	}
}

func TestColoursAroundEscapedText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	env := terminal{w: &out, colours: true}
	env.printf("%s %s %d %v\n", env.good("o\x1bk"), "\x1b[2J", 7, errors.New("\x1b"))
	assert.Equal(t, "\x1b[32mo\\x1bk\x1b[0m \\x1b[2J 7 \\x1b\n", out.String())
}

func TestEscapedJSONIsTheSameValue(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	want := map[string]string{"é": hostile + "\U000e0001" + "<&>"}
	require.NoError(t, terminal{w: &out}.printJSON("", want))
	assertPlain(t, out.String())
	assert.Contains(t, out.String(), "é")
	assert.Contains(t, out.String(), "<&>")
	var got map[string]string
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	assert.Equal(t, want, got)
}

func quoted(t *testing.T, text string) string {
	t.Helper()
	encoded, err := json.Marshal(text)
	require.NoError(t, err)
	return string(encoded)
}

// runDoctor runs `reachfive doctor` with a client that trusts the tenant.
func runDoctor(t *testing.T, tenant *reachfivetest.Tenant, c doctorCommand) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := environment{terminal: terminal{w: &out}, errs: terminal{w: &errs}, lookup: lookupIn(nil)}
	c.Domain, c.Fault = tenant.Domain, "none"
	if c.client == nil {
		c.client = tenant.Client()
	}
	code = env.report(c.Run(t.Context(), env))
	return code, out.String(), errs.String()
}

// answering is a transport that answers every request with this text.
type answering string

// RoundTrip implements http.RoundTripper.
func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(a)))}, nil
}
