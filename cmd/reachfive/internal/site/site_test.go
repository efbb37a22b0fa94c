package site_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/reachfive-community/reachfive/cmd/reachfive/internal/site"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // as the command does
	// The session store of examples/spa cleans up for as long as the process
	// lives; it cannot be stopped earlier without a data race.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

const port = "8080"

// visitor is a browser that shows the page and runs no scripts.
type visitor struct {
	*testing.T
	handler http.Handler
	tenant  *reachfivetest.Tenant
	jar     http.CookieJar
}

func newVisitor(t *testing.T, sdk string) *visitor {
	t.Helper()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
	tenant.AddUser("a password", map[string]any{"email": "john.doe@example.com", "name": "John Doe"})
	handler, err := site.New(site.Config{
		Tenant: tenant, Verifier: tenant.Verifier(), ForgeryVerifier: tenant.Verifier(),
		Port: port, Email: "john.doe@example.com", Password: "a password", SDK: sdk,
	})
	require.NoError(t, err)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &visitor{t, handler, tenant, jar}
}

func (v *visitor) ask(method, target, body string) *http.Response {
	v.Helper()
	r := httptest.NewRequestWithContext(v.Context(), method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	// Browsers make an exception for localhost; package cookiejar does not.
	at := &url.URL{Scheme: "https", Host: r.Host, Path: "/"}
	for _, cookie := range v.jar.Cookies(at) {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	v.handler.ServeHTTP(w, r)
	v.jar.SetCookies(at, w.Result().Cookies())
	return w.Result()
}

func (v *visitor) app(method, path, body string) *http.Response {
	v.Helper()
	return v.ask(method, "http://"+net.JoinHostPort("app.localhost", port)+path, body)
}

func text(t *testing.T, res *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(body)
}

func decode[T any](t *testing.T, res *http.Response) T {
	t.Helper()
	var v T
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.NoError(t, json.NewDecoder(res.Body).Decode(&v))
	return v
}

func (v *visitor) forge(kind string) string {
	v.Helper()
	return decode[struct{ Token string }](v.T, v.app("POST", "/demo/token/"+kind, "")).Token
}

func (v *visitor) check(token string) (status int, code, challenge string) {
	v.Helper()
	return v.checkAt("/check", token)
}

func (v *visitor) checkAt(path, token string) (status int, code, challenge string) {
	v.Helper()
	res := v.app("POST", path, url.Values{"idtoken": {token}}.Encode())
	var body struct {
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal([]byte(text(v.T, res)), &body)
	code, _, _ = strings.Cut(body.Description, ":")
	return res.StatusCode, code, res.Header.Get("WWW-Authenticate")
}

func TestThePageUsesTheBackendOfTheExamples(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, "")
	nonce := text(t, v.app("POST", "/session/nonce", ""))
	token := v.tenant.Token(reachfivetest.Claim("nonce", nonce))
	res := v.app("POST", "/session", url.Values{"idtoken": {token}}.Encode())
	assert.Equal(t, "John Doe", text(t, res))
	assert.Equal(t, http.StatusOK, v.app("GET", "/me", "").StatusCode)
	assert.Equal(t, http.StatusNoContent, v.app("DELETE", "/session", "").StatusCode)
	assert.Equal(t, http.StatusUnauthorized, v.app("GET", "/me", "").StatusCode)
}

func TestThePolicyIsStrictAndTheSDKsPageAddsOneStyle(t *testing.T) {
	t.Parallel()
	bundle := filepath.Join(t.TempDir(), "identity-core.min.js")
	require.NoError(t, os.WriteFile(bundle, []byte("// the SDK"), 0o600))
	v := newVisitor(t, bundle)
	own, sdk := v.app("GET", "/", ""), v.app("GET", "/sdk", "")
	strict, wider := own.Header.Get("Content-Security-Policy"), sdk.Header.Get("Content-Security-Policy")
	assert.NotContains(t, strict, "unsafe")
	assert.NotContains(t, wider, "unsafe-inline")
	assert.NotContains(t, wider, "unsafe-eval")
	tenant := func(policy string) string {
		return strings.NewReplacer("http://tenant.localhost:"+port, "TENANT", v.tenant.Issuer(), "TENANT").Replace(policy)
	}
	added, ok := strings.CutPrefix(tenant(wider), tenant(strict))
	require.True(t, ok, wider)
	assert.Equal(t, "; style-src-attr 'unsafe-hashes' 'sha256-0EZqoz+oBhx7gF4nvY2bSqoGyy4zLjNF+SDQXGp/ZrY='", added)
	assert.NotContains(t, text(t, own), "/vendor/")
	assert.Contains(t, text(t, sdk), "/vendor/identity-core.js")
	assert.Equal(t, "// the SDK", text(t, v.app("GET", "/vendor/identity-core.js", "")))
	for _, path := range []string{"/", "/sdk", "/web/page.js", "/web/own.js", "/web/sdk.js", "/web/page.css", "/web/icon.svg"} {
		res := v.app("GET", path, "")
		assert.Equal(t, http.StatusOK, res.StatusCode, path)
		assert.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"), path)
	}
}

func TestWithoutTheSDKItsPageLoadsNoVendorScript(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, "")
	assert.NotContains(t, text(t, v.app("GET", "/sdk", "")), "/vendor/")
	assert.Equal(t, http.StatusNotFound, v.app("GET", "/vendor/identity-core.js", "").StatusCode)
	_, err := site.New(site.Config{
		Tenant: v.tenant, Verifier: v.tenant.Verifier(), ForgeryVerifier: v.tenant.Verifier(), Port: port, SDK: filepath.Join(t.TempDir(), "none.js"),
	})
	assert.Error(t, err)
}

func TestOnlyThePagesOwnNamesAreServed(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, "")
	for host, want := range map[string]int{
		"app.localhost:8080": http.StatusOK, "127.0.0.1:8080": http.StatusFound, "localhost:8080": http.StatusFound,
		"tenant.localhost:8080": http.StatusNotFound, "app.localhost": http.StatusMisdirectedRequest,
		"rebound.example:8080": http.StatusMisdirectedRequest,
	} {
		assert.Equal(t, want, v.ask("GET", "http://"+host+"/", "").StatusCode, host)
	}
	assert.Equal(t, http.StatusOK, v.ask("GET", "http://tenant.localhost:8080/identity/v1/config?client_id="+v.tenant.ClientID, "").StatusCode)
}

func TestAnotherSiteCannotUseTheSwitches(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, "")
	r := httptest.NewRequestWithContext(t.Context(), "POST", "http://app.localhost:8080/demo/provider/down", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	v.handler.ServeHTTP(w, r)
	assert.Equal(t, http.StatusForbidden, w.Code)
	assert.True(t, decode[state](t, v.app("GET", "/demo/provider", "")).Up)
}

func TestPasteNeedsNothingInline(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	site.Paste().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	assert.Equal(t, http.StatusOK, w.Code)
	assert.NotContains(t, w.Header().Get("Content-Security-Policy"), "unsafe")
	assert.Contains(t, w.Body.String(), `name="idtoken"`)
}
