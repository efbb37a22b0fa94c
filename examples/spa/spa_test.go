package spa_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/examples/spa"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

const page = "https://app.example.com"

// visitor is a browser with cookies, on a page of its own origin.
type visitor struct {
	*testing.T
	tenant *reachfivetest.Tenant
	base   string
	client *http.Client
	origin string
}

func newVisitor(t *testing.T, origins ...string) *visitor {
	t.Helper()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
	server := httptest.NewTLSServer(spa.Handler(tenant.Verifier(), spa.NewSessions(), origins...))
	t.Cleanup(server.Close)
	v := &visitor{t, tenant, server.URL, server.Client(), server.URL}
	v.forgetCookies()
	return v
}

// forgetCookies makes the visitor another browser.
func (v *visitor) forgetCookies() {
	v.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(v, err)
	v.client.Jar = jar
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) reason() string {
	var body struct {
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal([]byte(a.body), &body)
	code, _, _ := strings.Cut(body.Description, ":")
	return code
}

func (v *visitor) send(method, path, contentType, body string) answer {
	v.Helper()
	req, err := http.NewRequestWithContext(v.Context(), method, v.base+path, strings.NewReader(body))
	require.NoError(v, err)
	if v.origin != "" {
		req.Header.Set("Origin", v.origin)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := v.client.Do(req)
	require.NoError(v, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(v, err)
	return answer{res.StatusCode, res.Header, string(text)}
}

func (v *visitor) nonce() string {
	v.Helper()
	res := v.send(http.MethodPost, "/session/nonce", "", "")
	require.Equal(v, http.StatusOK, res.status)
	return res.body
}

func (v *visitor) post(token string) answer {
	v.Helper()
	return v.send(http.MethodPost, "/session", "application/x-www-form-urlencoded", url.Values{"idtoken": {token}}.Encode())
}

func (v *visitor) token(nonce string) string {
	v.Helper()
	return v.tenant.Token(reachfivetest.Claim("nonce", nonce))
}

func TestASignInLastsUntilTheSignOut(t *testing.T) {
	v := newVisitor(t)
	assert.Equal(t, http.StatusUnauthorized, v.send("GET", "/me", "", "").status)

	res := v.post(v.token(v.nonce()))
	require.Equal(t, http.StatusOK, res.status, res.body)
	assert.Equal(t, "John Doe", res.body)
	assert.Equal(t, "no-store", res.header.Get("Cache-Control"))

	me := v.send("GET", "/me", "", "")
	assert.Equal(t, http.StatusOK, me.status)
	var user struct{ Sub, Email string }
	require.NoError(t, json.Unmarshal([]byte(me.body), &user))
	assert.Equal(t, "AVqvOB58Fg6nZfQ0ZqXt", user.Sub)
	assert.Equal(t, "john.doe@example.com", user.Email)

	kept := v.client.Jar
	assert.Equal(t, http.StatusNoContent, v.send("DELETE", "/session", "", "").status)
	assert.Equal(t, http.StatusUnauthorized, v.send("GET", "/me", "", "").status)
	v.client.Jar = kept
	assert.Equal(t, http.StatusUnauthorized, v.send("GET", "/me", "", "").status, "the old cookie opens nothing")
}

func TestTheCookiesAreForNoScriptAndNoOtherSite(t *testing.T) {
	v := newVisitor(t)
	started := v.send("POST", "/session/nonce", "", "")
	signedIn := v.post(v.token(started.body))
	cookies := append(started.header.Values("Set-Cookie"), signedIn.header.Values("Set-Cookie")...)
	require.Len(t, cookies, 3, "sign-in set, sign-in taken away, session set")
	for _, text := range cookies {
		cookie, err := http.ParseSetCookie(text)
		require.NoError(t, err)
		assert.True(t, cookie.HttpOnly, cookie.Name)
		assert.True(t, cookie.Secure, cookie.Name)
		assert.Equal(t, http.SameSiteStrictMode, cookie.SameSite, cookie.Name)
		assert.Empty(t, cookie.Domain, cookie.Name)
		assert.NotContains(t, cookie.Value, started.body, "the cookie does not hold the nonce itself")
	}
}

func TestATokenSignsInOnceAndOnlyTheBrowserThatStarted(t *testing.T) {
	v := newVisitor(t)
	token := v.token(v.nonce())
	for name, forged := range map[string]string{
		"another sign-in's nonce": v.token("another"),
		"no nonce":                v.tenant.Token(),
	} {
		res := v.post(forged)
		assert.Equal(t, http.StatusUnauthorized, res.status, name)
	}
	require.Equal(t, http.StatusOK, v.post(token).status)
	again := v.post(token)
	assert.Equal(t, http.StatusUnauthorized, again.status)
	assert.Equal(t, string(reachfive.CodeWrongNonce), again.reason(), "the nonce is spent")

	stolen := v.token(v.nonce())
	v.forgetCookies()
	assert.Equal(t, string(reachfive.CodeWrongNonce), v.post(stolen).reason(), "another browser, without a nonce")
	v.nonce()
	assert.Equal(t, string(reachfive.CodeWrongNonce), v.post(stolen).reason(), "another browser, with its own nonce")
	assert.Equal(t, http.StatusUnauthorized, v.send("GET", "/me", "", "").status)
}

func TestASignInGivesTheSessionANewID(t *testing.T) {
	v := newVisitor(t)
	require.Equal(t, http.StatusOK, v.post(v.token(v.nonce())).status)
	planted := sessionCookie(t, v)
	require.Equal(t, http.StatusOK, v.post(v.token(v.nonce())).status)
	assert.NotEqual(t, planted, sessionCookie(t, v))
}

func sessionCookie(t *testing.T, v *visitor) string {
	t.Helper()
	base, err := url.Parse(v.base)
	require.NoError(t, err)
	for _, cookie := range v.client.Jar.Cookies(base) {
		if cookie.Name == "session" {
			return cookie.Value
		}
	}
	require.Fail(t, "there is no session cookie")
	return ""
}

func TestBadFormsAreRefused(t *testing.T) {
	v := newVisitor(t)
	nonce := v.nonce()
	token := v.token(nonce)
	form := "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name, method, path, contentType, body string
		status                                int
		want                                  reachfive.Code
	}{
		{"no token", "POST", "/session", form, "", 401, reachfive.CodeMissingToken},
		{"token in the query", "POST", "/session?idtoken=" + token, form, "a=b", 401, reachfive.CodeMissingToken},
		{"over 64 KiB", "POST", "/session", form, "idtoken=" + strings.Repeat("a", 64<<10), 413, reachfive.CodeBodyTooLarge},
		{"JSON", "POST", "/session", "application/json", `{"idtoken":"x"}`, 415, reachfive.CodeWrongContentType},
		{"multipart", "POST", "/session", "multipart/form-data; boundary=b", "--b--", 415, reachfive.CodeWrongContentType},
		{"two fields", "POST", "/session", form, "idtoken=" + token + "&idtoken=" + token, 400, reachfive.CodeInvalidRequest},
		{"GET", "GET", "/session", "", "", 405, ""},
		{"expired", "POST", "/session", form, "idtoken=" + v.tenant.Token(reachfivetest.Expired()), 401, reachfive.CodeExpired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := v.send(tt.method, tt.path, tt.contentType, tt.body)
			assert.Equal(t, tt.status, res.status, res.body)
			assert.Equal(t, string(tt.want), res.reason())
		})
	}
	assert.Equal(t, http.StatusOK, v.post(token).status, "none of it spent the nonce")
}

func TestOnlyTrustedPagesSignInReadAnswersAndSignOut(t *testing.T) {
	v := newVisitor(t, page)
	v.origin = page
	nonce := v.send("POST", "/session/nonce", "", "")
	assert.Equal(t, page, nonce.header.Get("Access-Control-Allow-Origin"))
	assert.Equal(t, "true", nonce.header.Get("Access-Control-Allow-Credentials"))
	token := v.token(nonce.body)

	v.origin = "https://other.example"
	res := v.post(token)
	assert.Equal(t, http.StatusForbidden, res.status)
	assert.Equal(t, string(reachfive.CodeUntrustedOrigin), res.reason())
	assert.Empty(t, res.header.Get("Access-Control-Allow-Origin"))
	assert.Equal(t, http.StatusForbidden, v.send("POST", "/session/nonce", "", "").status)

	v.origin = page
	refused := v.post("not.a.token")
	assert.Equal(t, http.StatusUnauthorized, refused.status)
	assert.Equal(t, page, refused.header.Get("Access-Control-Allow-Origin"), "the page can read why")
	assert.Contains(t, strings.ToLower(refused.header.Get("Access-Control-Expose-Headers")), "www-authenticate")
	require.Equal(t, http.StatusOK, v.post(token).status)

	v.origin = "https://other.example"
	assert.Equal(t, http.StatusForbidden, v.send("DELETE", "/session", "", "").status)
	v.origin = page
	assert.Equal(t, http.StatusNoContent, v.send("DELETE", "/session", "", "").status)
}

func TestPreflightsEndAtCORS(t *testing.T) {
	v := newVisitor(t, page)
	for origin, want := range map[string]string{page: page, "https://other.example": ""} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, v.base+"/session", nil)
		require.NoError(t, err)
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", "DELETE")
		res, err := v.client.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, http.StatusNoContent, res.StatusCode)
		assert.Equal(t, want, res.Header.Get("Access-Control-Allow-Origin"), origin)
	}
	alone := newVisitor(t)
	alone.origin = "https://other.example"
	assert.Empty(t, alone.send("GET", "/me", "", "").header.Get("Access-Control-Allow-Origin"), "no origins, no CORS")
}

func TestAnOutageSignsNobodyOut(t *testing.T) {
	v := newVisitor(t)
	require.Equal(t, http.StatusOK, v.post(v.token(v.nonce())).status)
	v.tenant.Rotate()
	token := v.token(v.nonce())
	v.tenant.SetDown(true)
	res := v.post(token)
	assert.Equal(t, http.StatusServiceUnavailable, res.status)
	assert.Equal(t, string(reachfive.CodeKeysUnavailable), res.reason())
	assert.NotEmpty(t, res.header.Get("Retry-After"))
	assert.Equal(t, http.StatusOK, v.send("GET", "/me", "", "").status)
	v.tenant.SetDown(false)
}

func TestAnImpossibleOriginPanicsWhileWiring(t *testing.T) {
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
	assert.Panics(t, func() { spa.Handler(tenant.Verifier(), spa.NewSessions(), "app.example.com") })
}

func TestGuideShowsThisCode(t *testing.T) {
	source, err := os.ReadFile("spa.go")
	require.NoError(t, err)
	guide, err := os.ReadFile("../../docs/spa.md")
	require.NoError(t, err)
	for from, to := range map[string]string{"\tsignIn := ": "\n\n", "func nonceOfThisBrowser": "\n}\n"} {
		_, code, found := strings.Cut(string(source), from)
		require.True(t, found)
		code, _, _ = strings.Cut(from+code, to)
		if strings.HasPrefix(code, "\t") {
			code = strings.ReplaceAll("\n"+code, "\n\t", "\n")
		}
		assert.Contains(t, string(guide), strings.TrimSpace(code))
	}
}
