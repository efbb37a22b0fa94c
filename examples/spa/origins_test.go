package spa_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/examples/spa"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestOnlyTrustedPagesSignInReadAnswersAndSignOut(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, page)
	v.origin = page
	nonce := v.send("POST", "/session/nonce", "", "")
	assert.Equal(t, page, nonce.header.Get("Access-Control-Allow-Origin"))
	assert.Equal(t, "true", nonce.header.Get("Access-Control-Allow-Credentials"))
	token := v.token(nonce.body)

	v.origin = other
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

	v.origin = other
	assert.Equal(t, http.StatusForbidden, v.signOut().status)
	v.origin = page
	assert.Equal(t, http.StatusNoContent, v.signOut().status)
}

// The browser sends "https://app.example.com" whichever way it is configured.
func TestAnOriginIsReadAlikeByEveryRoute(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ configured, sent string }{
		{"https://App.Example.com", page},
		{"https://app.example.com:443", page},
		{"HTTPS://APP.EXAMPLE.COM:443", page},
		{"http://localhost:80", "http://localhost"},
		{"http://localhost:5173", "http://localhost:5173"},
		{"https://[2001:DB8::1]:443", "https://[2001:db8::1]"},
	} {
		t.Run(tt.configured, func(t *testing.T) {
			t.Parallel()
			v := newVisitor(t, tt.configured)
			v.origin = tt.sent
			readable := func(res answer) string { return res.header.Get("Access-Control-Allow-Origin") }

			nonce := v.send("POST", "/session/nonce", "", "")
			require.Equal(t, http.StatusOK, nonce.status, nonce.body)
			assert.Equal(t, tt.sent, readable(nonce))
			signedIn := v.post(v.token(nonce.body))
			require.Equal(t, http.StatusOK, signedIn.status, signedIn.body)
			assert.Equal(t, tt.sent, readable(signedIn))
			assert.Equal(t, tt.sent, readable(v.me()))
			signedOut := v.signOut()
			assert.Equal(t, http.StatusNoContent, signedOut.status)
			assert.Equal(t, tt.sent, readable(signedOut))
			assert.Equal(t, tt.sent, v.preflight(tt.sent))
		})
	}
}

// preflight returns the origin that may go on.
func (v *visitor) preflight(origin string) string {
	v.Helper()
	req, err := http.NewRequestWithContext(v.Context(), http.MethodOptions, base+"/session", nil)
	require.NoError(v, err)
	req.Header.Set("Origin", origin)
	req.Header.Set("Access-Control-Request-Method", "DELETE")
	res, err := v.client.Do(req)
	require.NoError(v, err)
	require.NoError(v, res.Body.Close())
	assert.Equal(v, http.StatusNoContent, res.StatusCode)
	return res.Header.Get("Access-Control-Allow-Origin")
}

func TestPreflightsEndAtCORS(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, page)
	assert.Equal(t, page, v.preflight(page))
	assert.Empty(t, v.preflight(other))

	alone := newVisitor(t)
	alone.origin = other
	assert.Empty(t, alone.me().header.Get("Access-Control-Allow-Origin"), "no origins, no CORS")
}

func TestAnImpossibleOriginPanicsWhileWiring(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
	for _, origin := range []string{"app.example.com", "*", "https://*.example.com", "https://app.example.com/", "https://a b", "https://app.example.com:443:443"} {
		assert.Panics(t, func() { spa.Handler(tenant.Verifier(), spa.NewSessions(), spa.NewNonces(), origin) }, origin)
	}
}
