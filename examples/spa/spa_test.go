package spa_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestASignInLastsUntilTheSignOut(t *testing.T) {
	t.Parallel()
	v := newVisitor(t)
	assert.Equal(t, http.StatusUnauthorized, v.me().status)

	res := v.signIn()
	assert.Equal(t, "John Doe", res.body)
	assert.Equal(t, "no-store", res.header.Get("Cache-Control"))

	me := v.me()
	assert.Equal(t, http.StatusOK, me.status)
	var user struct{ Sub, Email string }
	require.NoError(t, json.Unmarshal([]byte(me.body), &user))
	assert.Equal(t, "AVqvOB58Fg6nZfQ0ZqXt", user.Sub)
	assert.Equal(t, "john.doe@example.com", user.Email)

	kept := v.client.Jar
	assert.Equal(t, http.StatusNoContent, v.signOut().status)
	assert.Equal(t, http.StatusUnauthorized, v.me().status)
	v.client.Jar = kept
	assert.Equal(t, http.StatusUnauthorized, v.me().status, "the old cookie opens nothing")
}

func TestTheCookiesAreHiddenFromScriptsAndOtherSites(t *testing.T) {
	t.Parallel()
	v := newVisitor(t)
	started := v.send("POST", "/session/nonce", "", "")
	signedIn := v.post(v.token(started.body))
	cookies := append(started.header.Values("Set-Cookie"), signedIn.header.Values("Set-Cookie")...)
	require.Len(t, cookies, 3, "sign-in set, sign-in deleted, session set")
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

func TestNoCacheKeepsWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	v := newVisitor(t)
	assert.Equal(t, "no-store", v.me().header.Get("Cache-Control"))
	v.signIn()
	assert.Equal(t, "no-store", v.me().header.Get("Cache-Control"))
	assert.Equal(t, "no-store", v.send("POST", "/session/nonce", "", "").header.Get("Cache-Control"))
}

func TestBadFormsAreRefused(t *testing.T) {
	t.Parallel()
	v := newVisitor(t)
	nonce := v.nonce()
	token := v.token(nonce)
	for _, tt := range []struct {
		name, method, path, contentType, body string
		status                                int
		want                                  reachfive.Code
	}{
		{"no token", "POST", "/session", formType, "", 401, reachfive.CodeMissingToken},
		{"token in the query", "POST", "/session?idtoken=" + token, formType, "a=b", 401, reachfive.CodeMissingToken},
		{"over 64 KiB", "POST", "/session", formType, "idtoken=" + strings.Repeat("a", 64<<10), 413, reachfive.CodeBodyTooLarge},
		{"JSON", "POST", "/session", "application/json", `{"idtoken":"x"}`, 415, reachfive.CodeWrongContentType},
		{"multipart", "POST", "/session", "multipart/form-data; boundary=b", "--b--", 415, reachfive.CodeWrongContentType},
		{"two fields", "POST", "/session", formType, "idtoken=" + token + "&idtoken=" + token, 400, reachfive.CodeInvalidRequest},
		{"GET", "GET", "/session", "", "", 405, ""},
		{"expired", "POST", "/session", formType, "idtoken=" + v.token(nonce, reachfivetest.Expired()), 401, reachfive.CodeExpired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := v.send(tt.method, tt.path, tt.contentType, tt.body)
			assert.Equal(t, tt.status, res.status, res.body)
			assert.Equal(t, string(tt.want), res.reason())
		})
	}
	assert.Equal(t, http.StatusOK, v.post(token).status, "none of these has used up the nonce")
}

func TestAnOutageSignsNobodyOut(t *testing.T) {
	t.Parallel()
	v := newVisitor(t)
	v.signIn()
	v.tenant.Rotate()
	token := v.token(v.nonce())
	v.tenant.SetDown(true)
	res := v.post(token)
	assert.Equal(t, http.StatusServiceUnavailable, res.status)
	assert.Equal(t, string(reachfive.CodeKeysUnavailable), res.reason())
	assert.NotEmpty(t, res.header.Get("Retry-After"))
	assert.Equal(t, http.StatusOK, v.me().status)
}

func TestGuideShowsThisCode(t *testing.T) {
	t.Parallel()
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
