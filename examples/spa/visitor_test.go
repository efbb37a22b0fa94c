package spa_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/examples/spa"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

const (
	page     = "https://app.example.com"
	other    = "https://other.example"
	base     = "https://backend.example"
	formType = "application/x-www-form-urlencoded"
)

// visitor is a browser with cookies. It reaches the backend in memory, so that
// a test can run in a synctest bubble.
type visitor struct {
	*testing.T
	tenant   *reachfivetest.Tenant
	sessions *scs.SessionManager
	client   *http.Client
	origin   string // of the page that the browser shows
}

func newVisitor(t *testing.T, origins ...string) *visitor {
	t.Helper()
	return newVisitorWith(t, spa.NewNonces(), origins...)
}

func newVisitorWith(t *testing.T, nonces spa.Nonces, origins ...string) *visitor {
	t.Helper()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
	sessions := spa.NewSessions()
	handler := spa.Handler(tenant.Verifier(), sessions, nonces, origins...)
	v := &visitor{t, tenant, sessions, &http.Client{Transport: inMemory{handler}}, base}
	v.forgetCookies()
	return v
}

// inBubble runs the test of a visitor in a synctest bubble.
func inBubble(t *testing.T, run func(v *visitor)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := newVisitor(t)
		store := v.memory()
		t.Cleanup(func() {
			synctest.Wait() // until the store's goroutine can be told to end
			store.StopCleanup()
		})
		run(v)
	})
}

// memory is the store behind the sessions.
func (v *visitor) memory() *memstore.MemStore {
	return v.sessions.Store.(*spa.SessionStore).Store.(*memstore.MemStore)
}

type inMemory struct{ handler http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	request := r.Clone(r.Context())
	request.Host = r.URL.Host
	if request.Body == nil {
		request.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	m.handler.ServeHTTP(w, request)
	return w.Result(), nil
}

// forgetCookies makes the visitor another browser.
func (v *visitor) forgetCookies() {
	v.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(v, err)
	v.client.Jar = jar
}

// cookie returns the value of a cookie that the browser would send.
func (v *visitor) cookie(name string) string {
	v.Helper()
	for _, cookie := range v.client.Jar.Cookies(backendURL(v.T)) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	require.Fail(v, "the browser has no such cookie", name)
	return ""
}

// setCookie is a cookie that somebody else made the browser keep.
func (v *visitor) setCookie(name, value string) {
	v.Helper()
	v.client.Jar.SetCookies(backendURL(v.T), []*http.Cookie{{Name: name, Value: value, Secure: true}})
}

func backendURL(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse(base)
	require.NoError(t, err)
	return u
}

type answer struct {
	status int
	header http.Header
	body   string
}

// reason is the Code of a refusal.
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
	req, err := http.NewRequestWithContext(v.Context(), method, base+path, strings.NewReader(body))
	require.NoError(v, err)
	req.Header.Set("Origin", v.origin)
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

func (v *visitor) me() answer {
	v.Helper()
	return v.send(http.MethodGet, "/me", "", "")
}

func (v *visitor) signOut() answer {
	v.Helper()
	return v.send(http.MethodDelete, "/session", "", "")
}

func (v *visitor) nonce() string {
	v.Helper()
	res := v.send(http.MethodPost, "/session/nonce", "", "")
	require.Equal(v, http.StatusOK, res.status, res.body)
	return res.body
}

func (v *visitor) post(token string) answer {
	v.Helper()
	return v.send(http.MethodPost, "/session", formType, url.Values{"idtoken": {token}}.Encode())
}

func (v *visitor) token(nonce string, mods ...reachfivetest.Mod) string {
	v.Helper()
	return v.tenant.Token(append(mods, reachfivetest.Claim("nonce", nonce))...)
}

func (v *visitor) signIn(mods ...reachfivetest.Mod) answer {
	v.Helper()
	res := v.post(v.token(v.nonce(), mods...))
	require.Equal(v, http.StatusOK, res.status, res.body)
	return res
}
