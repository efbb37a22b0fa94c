package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// socketServer says the user's subject on a WebSocket. The token is in a cookie
// that browsers send with every request. The library's own check of the origin
// is off: only the middleware stands before it.
type socketServer struct {
	*httptest.Server
	token string

	mu         sync.Mutex
	handshakes map[string]handshake // by the Origin header
}

// handshake is what a browser sent, and what it was told.
type handshake struct {
	cookie bool
	code   reachfive.Code
}

func newSocketServer(t *testing.T, trusted string) *socketServer {
	t.Helper()
	tenant := reachfivetest.NewTenant(t)
	s := &socketServer{token: tenant.Token(reachfivetest.Claim("sub", "ann")), handshakes: map[string]handshake{}}
	seen := func(r *http.Request, code reachfive.Code) {
		_, err := r.Cookie("idtoken")
		s.mu.Lock()
		defer s.mu.Unlock()
		s.handshakes[r.Header.Get("Origin")] = handshake{cookie: err == nil, code: code}
	}
	protect := reachfive.Middleware(tenant.Verifier(),
		reachfive.TokenFrom(reachfive.FromBearer(), reachfive.FromCookie("idtoken")),
		reachfive.TrustedOrigins(trusted),
		reachfive.OnRefusal(func(r *http.Request, err error) { seen(r, reachfive.CodeOf(err)) }))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sign-in", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "idtoken", Value: s.token, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode})
		_, _ = io.WriteString(w, "signed in")
	})
	mux.Handle("GET /socket", protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen(r, "")
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return // Accept has answered
		}
		user, _ := reachfive.UserFromContext(r.Context())
		if conn.Write(r.Context(), websocket.MessageText, []byte(user.Subject)) == nil {
			_ = conn.Close(websocket.StatusNormalClosure, "")
		}
	})))
	s.Server = httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	return s
}

// page is a server of one page, under the name localhost: for a browser another
// site than 127.0.0.1.
func page(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<!doctype html><title>page</title>")
	}))
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

func TestABrowserOpensWebSocketsWithACookieOnlyFromTrustedPages(t *testing.T) {
	trusted, evil := page(t), page(t)
	sameSite := strings.Replace(page(t), "localhost", "127.0.0.1", 1) // another port of the same site
	server := newSocketServer(t, trusted)
	pages, err := json.Marshal(map[string]string{
		"own": server.URL + "/sign-in", "trusted": trusted, "evil": evil, "same site": sameSite,
	})
	require.NoError(t, err)
	cmd := nodeCommand(t, "websocket.mjs")
	cmd.Env = append(cmd.Environ(), "PAGES="+string(pages), "SIGN_IN="+server.URL+"/sign-in",
		"SOCKET="+strings.Replace(server.URL, "https://", "wss://", 1)+"/socket")
	cmd.Stderr = t.Output()
	output, err := cmd.Output()
	require.NoError(t, err)
	var outcomes map[string]string
	require.NoError(t, json.Unmarshal(output, &outcomes), "%s", output)

	assert.Equal(t, map[string]string{"own": "ann", "trusted": "ann", "evil": "refused", "same site": "refused"}, outcomes)
	// The browser sent the cookie along every time: nothing else protected it.
	assert.Equal(t, map[string]handshake{
		server.URL: {true, ""}, trusted: {true, ""},
		evil:     {true, reachfive.CodeUntrustedOrigin},
		sameSite: {true, reachfive.CodeUntrustedOrigin},
	}, server.handshakes)
}

func TestAWebSocketClientThatIsNoBrowserSendsABearerOrAnOrigin(t *testing.T) {
	server := newSocketServer(t, "https://app.example.com")
	tests := []struct {
		name   string
		header http.Header
		status int
	}{
		{"a Bearer", http.Header{"Authorization": {"Bearer " + server.token}}, http.StatusSwitchingProtocols},
		{"a Bearer and any Origin", http.Header{"Authorization": {"Bearer " + server.token}, "Origin": {"https://evil.example"}}, http.StatusSwitchingProtocols},
		{"a cookie", http.Header{"Cookie": {"idtoken=" + server.token}}, http.StatusForbidden},
		{"a cookie and our Origin", http.Header{"Cookie": {"idtoken=" + server.token}, "Origin": {server.URL}}, http.StatusSwitchingProtocols},
		{"a cookie and a trusted Origin", http.Header{"Cookie": {"idtoken=" + server.token}, "Origin": {"https://app.example.com"}}, http.StatusSwitchingProtocols},
		{"a cookie and another Origin", http.Header{"Cookie": {"idtoken=" + server.token}, "Origin": {"https://evil.example"}}, http.StatusForbidden},
		{"nothing", http.Header{"Origin": {server.URL}}, http.StatusUnauthorized},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, response, err := websocket.Dial(t.Context(), server.URL+"/socket",
				&websocket.DialOptions{HTTPClient: server.Client(), HTTPHeader: tt.header})
			if response == nil {
				require.NoError(t, err)
			}
			require.Equal(t, tt.status, response.StatusCode)
			if err != nil {
				return
			}
			_, message, err := conn.Read(context.WithoutCancel(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, "ann", string(message))
			_ = conn.CloseNow()
		})
	}
}
