package reachfivetest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

const pageOrigin = "https://app.example.com"

// fetch makes one request with these headers, as a page would.
func (v *visit) fetch(method, path string, header map[string]string) reply {
	v.Helper()
	req, err := http.NewRequestWithContext(v.Context(), method, v.tenant.Issuer()+path, nil)
	require.NoError(v, err)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	client := v.tenant.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	require.NoError(v, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(v, err)
	return reply{res.StatusCode, res.Header, string(body)}
}

func (v *visit) tokens() reply {
	v.Helper()
	res := v.exchange(v.code(nil), nil)
	require.Equal(v, http.StatusOK, res.status, res.body)
	return res
}

func TestConfigMakesTheBrowserSDKUsePKCE(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	res := v.fetch("GET", "/identity/v1/config?client_id="+v.tenant.ClientID, nil)
	require.Equal(t, http.StatusOK, res.status)
	var config map[string]any
	require.NoError(t, json.Unmarshal([]byte(res.body), &config))
	for name, want := range map[string]any{"is_public": true, "pkce_enforced": true, "sso": false, "language": "en", "rba_enabled": false} {
		assert.Equal(t, want, config[name], name)
	}
	for _, name := range []string{
		"sms", "web_authn", "is_implicit_flow_forbidden", "social_providers", "password_policy", "consents",
		"custom_fields", "resource_base_url", "mfa_sms_enabled", "mfa_email_enabled", "login_type_allowed",
	} {
		assert.Contains(t, config, name)
	}
	assert.Equal(t, "invalid_client", member(t, v.fetch("GET", "/identity/v1/config?client_id=another", nil), "error"))
}

func TestAPreflightAllowsWhatTheBrowserSDKSends(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	res := v.fetch("OPTIONS", "/oauth/token", map[string]string{
		"Origin": pageOrigin, "Access-Control-Request-Method": "POST",
		"Access-Control-Request-Headers": "content-type,x-r5-correlation-id",
	})
	assert.Equal(t, http.StatusNoContent, res.status)
	assert.Equal(t, pageOrigin, res.header.Get("Access-Control-Allow-Origin"))
	assert.Equal(t, "true", res.header.Get("Access-Control-Allow-Credentials"))
	assert.Contains(t, res.header.Get("Access-Control-Allow-Methods"), "POST")
	for _, name := range []string{"content-type", "x-r5-correlation-id", "authorization", "custom-locale", "accept-language"} {
		assert.Contains(t, res.header.Get("Access-Control-Allow-Headers"), name)
	}
}

func TestAnErrorIsReadableByThePageAndJSON(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.tenant.SetDown(true)
	for name, path := range map[string]string{"down": "/identity/v1/userinfo", "unknown": "/nowhere"} {
		res := v.fetch("GET", path, map[string]string{"Origin": pageOrigin})
		assert.Equal(t, pageOrigin, res.header.Get("Access-Control-Allow-Origin"), name)
		assert.Contains(t, res.header.Values("Vary"), "Origin", name)
		assert.NotEmpty(t, member(t, res, "error"), name)
	}
}

func TestOnlyThePagesOfTheClientMayReadAnswers(t *testing.T) {
	t.Parallel()
	v := newVisit(t, reachfivetest.WithRedirectURIs(callback))
	for origin, want := range map[string]string{
		pageOrigin: pageOrigin, "https://other.example": "", "null": "", "https://app.example.com:8443": "", "": "",
	} {
		res := v.fetch("OPTIONS", "/oauth/token", map[string]string{"Origin": origin})
		assert.Equal(t, want, res.header.Get("Access-Control-Allow-Origin"), origin)
		assert.Equal(t, want != "", res.header.Get("Access-Control-Allow-Credentials") != "", origin)
		assert.Equal(t, want != "", res.header.Get("Access-Control-Allow-Headers") != "", origin)
	}
}

// posted returns what the page of a web message posts, and the target origin.
func posted(t *testing.T, res reply) (response map[string]string, target string) {
	t.Helper()
	found := regexp.MustCompile(`<script nonce="([^"]+)">parent\.postMessage\((.+), ("[^"]*")\)</script>`).FindStringSubmatch(res.body)
	require.Len(t, found, 4, res.body)
	assert.Contains(t, res.header.Get("Content-Security-Policy"), "script-src 'nonce-"+found[1]+"';")
	var message struct {
		Type     string
		Response map[string]string
	}
	require.NoError(t, json.Unmarshal([]byte(found[2]), &message))
	require.NoError(t, json.Unmarshal([]byte(found[3]), &target))
	assert.Equal(t, "authorization_response", message.Type)
	return message.Response, target
}

func TestAWebMessagePostsTheCodeToTheOpenersOriginAlone(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	res, _ := v.authorize(map[string]string{"response_mode": "web_message", "prompt": "none"})
	require.Equal(t, http.StatusOK, res.status, res.body)
	assert.Equal(t, "text/html; charset=utf-8", res.header.Get("Content-Type"))
	assert.Equal(t, "no-store", res.header.Get("Cache-Control"))
	assert.Empty(t, res.header.Get("X-Frame-Options"), "it is made to be framed")
	policy := res.header.Get("Content-Security-Policy")
	assert.Contains(t, policy, "default-src 'none';")
	assert.True(t, strings.HasSuffix(policy, "; frame-ancestors "+pageOrigin), policy)
	assert.NotContains(t, policy, "unsafe-inline")
	response, target := posted(t, res)
	assert.Equal(t, pageOrigin, target)
	assert.Equal(t, "s-1", response["state"])
	assert.Equal(t, http.StatusOK, v.exchange(response["code"], nil).status)
}

func TestAWebMessagePostsErrorsToo(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	res, _ := v.authorize(map[string]string{"response_mode": "web_message", "tkn": "x", "state": "</script><script>alert(1)</script>"})
	assert.NotContains(t, res.body, "alert(1)</script>", "no text of the request ends the script")
	response, _ := posted(t, res)
	assert.Equal(t, "login_required", response["error"])
	assert.Equal(t, "</script><script>alert(1)</script>", response["state"])
}

func TestAWebMessageIsPostedOnlyToPages(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	for _, uri := range []string{"myapp://callback", "https://a;b.example/", "https://*/"} {
		res, _ := v.authorize(map[string]string{"response_mode": "web_message", "redirect_uri": uri})
		assert.Equal(t, http.StatusBadRequest, res.status, uri)
	}
}

func TestUserinfoAnswersTheAccessTokenUntilItIsRevokedOrExpired(t *testing.T) {
	t.Parallel()
	now := time.Now()
	v := newVisit(t, reachfivetest.WithClock(func() time.Time { return now }))
	userinfo := func(access, query string) reply {
		return v.fetch("GET", "/identity/v1/userinfo"+query, map[string]string{"Authorization": "Bearer " + access})
	}
	res := v.tokens()
	access := member(t, res, "access_token")
	profile := userinfo(access, "")
	assert.Equal(t, http.StatusOK, profile.status)
	assert.Equal(t, v.sub, member(t, profile, "sub"))
	assert.Equal(t, userAddress, member(t, profile, "email"))
	assert.Equal(t, `{"email":"`+userAddress+`"}`, userinfo(access, "?fields=email").body)
	for name, wrong := range map[string]string{"none": "", "an ID token": member(t, res, "id_token")} {
		refused := userinfo(wrong, "")
		assert.Equal(t, http.StatusUnauthorized, refused.status, name)
		assert.Contains(t, refused.header.Get("WWW-Authenticate"), "invalid_token", name)
	}

	other := member(t, v.tokens(), "access_token")
	revoke := func(token string) reply {
		return v.post("/oauth/revoke", jsonType, asJSON(t, map[string]string{"client_id": v.tenant.ClientID, "token": token}))
	}
	assert.Equal(t, http.StatusNoContent, revoke(access).status)
	assert.Equal(t, http.StatusUnauthorized, userinfo(access, "").status)
	assert.Equal(t, http.StatusNoContent, revoke("unknown").status)
	assert.Equal(t, http.StatusOK, userinfo(other, "").status, "another sign-in goes on")

	refresh := member(t, res, "refresh_token")
	assert.Equal(t, http.StatusNoContent, revoke(refresh).status)
	assert.Equal(t, http.StatusBadRequest, v.exchange("", map[string]string{"grant_type": "refresh_token", "refresh_token": refresh}).status)
	assert.Equal(t, http.StatusBadRequest, v.post("/oauth/revoke", jsonType, "{").status)
	assert.Equal(t, http.StatusUnauthorized, v.post("/oauth/revoke", jsonType, "{}").status)

	now = now.Add(24 * time.Hour)
	assert.Equal(t, http.StatusUnauthorized, userinfo(other, "").status)
}

func TestLogoutRedirectsOnlyToAPageOfTheClient(t *testing.T) {
	t.Parallel()
	v := newVisit(t, reachfivetest.WithRedirectURIs(callback))
	logout := func(to string) reply {
		return v.fetch("GET", "/identity/v1/logout?redirect_to="+url.QueryEscape(to), nil)
	}
	res := logout(pageOrigin + "/bye")
	assert.Equal(t, http.StatusFound, res.status)
	assert.Equal(t, pageOrigin+"/bye", res.header.Get("Location"))
	assert.Equal(t, http.StatusBadRequest, logout("https://other.example/").status)
	assert.Equal(t, http.StatusBadRequest, logout("/bye").status)
	assert.Equal(t, http.StatusNoContent, v.fetch("GET", "/identity/v1/logout", nil).status)
}

func TestSignupSignsTheNewUserIn(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	signup := func(data map[string]any) reply {
		return v.post("/identity/v1/signup", jsonType, asJSON(t, map[string]any{
			"client_id": v.tenant.ClientID, "scope": "openid profile email", "data": data,
		}))
	}
	res := signup(map[string]any{"email": "jane.doe@example.com", "password": secretWord, "given_name": "Jane", "email_verified": true})
	require.Equal(t, http.StatusOK, res.status, res.body)
	tokens := v.exchange(v.code(map[string]string{"tkn": member(t, res, "tkn")}), nil)
	user, err := v.tenant.Verifier().Verify(t.Context(), member(t, tokens, "id_token"), reachfive.Nonce("n-1"))
	require.NoError(t, err)
	assert.Equal(t, member(t, res, "id"), user.Subject)
	assert.Equal(t, "Jane", user.GivenName)
	assert.True(t, user.NewUser)
	assert.False(t, user.EmailVerified, "nobody says that of oneself")

	assert.Equal(t, 200, v.login(map[string]string{"email": "jane.doe@example.com"}).status)
	assert.Equal(t, 409, signup(map[string]any{"email": userAddress, "password": secretWord}).status)
	assert.Equal(t, 400, signup(map[string]any{"email": "a@example.com"}).status)
	assert.Equal(t, 400, v.post("/identity/v1/signup", jsonType, "{").status)
	assert.Equal(t, 401, v.post("/identity/v1/signup", jsonType, "{}").status)
}

func TestSignInHandlerSignsInOverHTTPWhileTheKeysStayBehindTLS(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
	handler := tenant.SignInHandler()
	ask := func(path string) int {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "http://tenant.localhost"+path, nil))
		return w.Code
	}
	assert.Equal(t, http.StatusOK, ask("/identity/v1/config?client_id="+tenant.ClientID))
	assert.Equal(t, http.StatusNotFound, ask("/jwks.json"))
	assert.Equal(t, http.StatusNotFound, ask("/.well-known/openid-configuration"))
	tenant.SetDown(true)
	assert.Equal(t, http.StatusServiceUnavailable, ask("/identity/v1/config?client_id="+tenant.ClientID))
}

func TestCertificateIsTheOneThatIsShown(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	res, err := tenant.Client().Get(tenant.Issuer() + "/jwks.json")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.True(t, tenant.Certificate().Equal(res.TLS.PeerCertificates[0]))
	assert.Nil(t, reachfivetest.NewTenant(t, reachfivetest.InMemory()).Certificate())
}
