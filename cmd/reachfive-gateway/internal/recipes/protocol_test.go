package recipes_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/gatewaytest"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// testLargeTokens sends tokens of about 4 KiB and of almost 16 KiB, and one
// that is too large.
func (s *scene) testLargeTokens(t *testing.T) {
	for _, size := range []int{2_800, 11_500} {
		token := s.tenant.Token(reachfivetest.Claim("sub", "real"), reachfivetest.Claim("custom_fields", map[string]string{"x": strings.Repeat("x", size)}))
		require.Greater(t, len(token), size*4/3)
		require.LessOrEqual(t, len(token), 16<<10)
		r := s.request(t, "GET", "/api/x", "")
		r.Header.Set("Authorization", "Bearer "+token)
		got, _ := s.do(t, r, http.StatusOK)
		assert.Equal(t, "real", got.Header.Get("X-Reachfive-Subject"), len(token))
	}
	r := s.request(t, "GET", "/api/x", "")
	r.Header.Set("Authorization", "Bearer "+strings.Repeat("x", 17<<10))
	s.do(t, r, http.StatusUnauthorized)

	huge := s.request(t, "GET", "/api/x", "")
	huge.Header.Set("X-Huge", strings.Repeat("x", 1<<20))
	response, _, err := gatewaytest.Do(s.client, huge)
	if err == nil { // or the proxy has closed the connection
		assert.GreaterOrEqual(t, response.StatusCode, http.StatusBadRequest)
	}
	assert.Empty(t, s.backend.take())
}

// testPreflight asks as a browser does before it sends a token to another
// origin.
func (s *scene) testPreflight(t *testing.T) {
	preflight := func(origin string) *http.Response {
		r := s.request(t, "OPTIONS", "/api/x", "")
		r.Header.Del("Authorization")
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
		response, _, err := gatewaytest.Do(s.client, r)
		require.NoError(t, err)
		assert.Empty(t, s.backend.take())
		return response
	}
	response := preflight("https://app.example.com")
	assert.Equal(t, s.preflightStatus(), response.StatusCode)
	assert.Equal(t, []string{"https://app.example.com"}, response.Header["Access-Control-Allow-Origin"])
	assert.Contains(t, response.Header.Get("Access-Control-Allow-Headers"), "Authorization")
	assert.Contains(t, response.Header.Get("Access-Control-Allow-Methods"), "POST")
	response = preflight("https://evil.example.com")
	assert.Empty(t, response.Header.Get("Access-Control-Allow-Origin"))

	// The page may read why its request was refused.
	r := s.request(t, "GET", "/api/x", "")
	r.Header.Del("Authorization")
	r.Header.Set("Origin", "https://app.example.com")
	_, response = s.do(t, r, http.StatusUnauthorized)
	assert.Equal(t, []string{"https://app.example.com"}, response.Header["Access-Control-Allow-Origin"])

	// OPTIONS that is no preflight is a request like any other.
	plain := s.request(t, "OPTIONS", "/api/x", "")
	plain.Header.Del("Authorization")
	s.do(t, plain, http.StatusUnauthorized)
}

// testWebSocket upgrades, with a token and without.
func (s *scene) testWebSocket(t *testing.T) {
	open := func(token string) (net.Conn, *bufio.Reader, *http.Response) {
		conn, err := net.Dial("tcp", s.plain)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
		_, err = io.WriteString(conn, "GET /api/socket HTTP/1.1\r\nHost: "+host+"\r\nAuthorization: Bearer "+token+
			"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		require.NoError(t, err)
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		return conn, reader, response
	}
	conn, reader, response := open(s.tenant.Token(reachfivetest.Claim("sub", "real")))
	require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	_, err := io.WriteString(conn, "hello\n")
	require.NoError(t, err)
	line, err := reader.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "real hello\n", line)

	s.backend.take()
	_, _, response = open(s.tenant.Token(reachfivetest.Expired()))
	assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
	assert.Empty(t, s.backend.take())
}

func (s *scene) testHTTP2(t *testing.T) {
	for token, status := range map[string]int{
		s.tenant.Token(reachfivetest.Claim("sub", "real")): http.StatusOK,
		s.tenant.Token(reachfivetest.Expired()):            http.StatusUnauthorized,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+"/api/x", http.NoBody)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header["x-reachfive-subject"] = []string{"admin"}
		response, body, err := gatewaytest.Do(s.client, r)
		require.NoError(t, err)
		assert.Equal(t, 2, response.ProtoMajor)
		assert.Equal(t, status, response.StatusCode, body)
		for _, got := range s.backend.take() {
			assert.Equal(t, []string{"real"}, got.Header["X-Reachfive-Subject"])
		}
	}
}
