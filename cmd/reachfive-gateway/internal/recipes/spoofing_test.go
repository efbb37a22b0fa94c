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

	"github.com/reachfive-community/reachfive/reachfivetest"
)

// raw sends bytes to the proxy and reads one answer.
func (s *scene) raw(t *testing.T, text string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", s.plain)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err, text)
	_, _ = io.Copy(io.Discard, response.Body)
	return response
}

// spellings are names that a backend may take for X-Reachfive-Subject or for
// its neighbours.
func spellings() []string {
	return []string{
		"X-Reachfive-Subject", "x-reachfive-subject", "X-REACHFIVE-SUBJECT", "X_Reachfive_Subject", "X-Reachfive_Subject",
		"x_reachfive-subject", "X.Reachfive.Subject", "X-ReachFive-Email", "X-Reachfive-Decision", "X-Reachfive-Expires",
		"X-Reachfive-Issuer", "X-Reachfive-Audience", "X-Reachfive-Name", "X_REACHFIVE_NAME",
	}
}

// testSpoofedHeaders: where a token stands, it alone says who the user is, and
// where none stands, nobody does.
func (s *scene) testSpoofedHeaders(t *testing.T) {
	token := s.tenant.Token(reachfivetest.Claim("sub", "real"), reachfivetest.WithoutClaim("email"), reachfivetest.WithoutClaim("name"))
	for _, name := range spellings() {
		for _, path := range []string{"/api/x", "/x", "/public/x"} {
			for _, signedIn := range []bool{true, false} {
				if path == "/api/x" && !signedIn {
					continue
				}
				request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + name + ": admin\r\n" + name + ": admin\r\n"
				if signedIn {
					request += "Authorization: Bearer " + token + "\r\n"
				}
				response := s.raw(t, request+"Connection: close\r\n\r\n")
				got := s.backend.take()
				if response.StatusCode == http.StatusBadRequest {
					require.Empty(t, got) // refused for the name itself
					continue
				}
				require.Equal(t, http.StatusOK, response.StatusCode, "%s %s", path, name)
				require.Len(t, got, 1)
				for field, values := range got[0].identity() {
					assert.NotContains(t, strings.Join(values, ","), "admin", "%s of %s on %s", field, name, path)
					assert.Len(t, values, 1, "%s of %s on %s", field, name, path)
				}
				subject := ""
				if signedIn && path != "/public/x" {
					subject = "real"
				}
				assert.Equal(t, subject, got[0].Header.Get("X-Reachfive-Subject"), "%s on %s", name, path)
			}
		}
	}
}

// testSpoofedConnection names identity headers as hop-by-hop ones.
func (s *scene) testSpoofedConnection(t *testing.T) {
	for _, connection := range []string{"close, X-Reachfive-Subject", "X-Reachfive-Subject, X-Reachfive-Decision, close", "close, Authorization"} {
		response := s.raw(t, "GET /api/x HTTP/1.1\r\nHost: "+host+"\r\nAuthorization: Bearer "+s.tenant.Token(reachfivetest.Claim("sub", "real"))+
			"\r\nX-Reachfive-Subject: admin\r\nConnection: "+connection+"\r\n\r\n")
		got := s.backend.take()
		if response.StatusCode != http.StatusOK {
			assert.Empty(t, got) // without its token the request is refused
			continue
		}
		require.Len(t, got, 1)
		want := []string{"real"}
		if s.limits.connectionCut && strings.Contains(connection, "Subject") {
			want = nil
		}
		assert.Equal(t, want, got[0].Header["X-Reachfive-Subject"], connection)
	}
}

// testSpoofedTrailers sends identity headers after the body.
func (s *scene) testSpoofedTrailers(t *testing.T) {
	response := s.raw(t, "POST /x HTTP/1.1\r\nHost: "+host+"\r\nTE: trailers\r\nTrailer: X-Reachfive-Subject\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"+
		"1\r\na\r\n0\r\nX-Reachfive-Subject: admin\r\nX-Reachfive-Decision: allow\r\n\r\n")
	require.Equal(t, http.StatusOK, response.StatusCode)
	got := s.backend.take()
	require.Len(t, got, 1)
	assert.Empty(t, got[0].Header.Get("X-Reachfive-Subject"))
	assert.Equal(t, "anonymous", got[0].Header.Get("X-Reachfive-Decision"))
}

// testPaths asks for protected paths in spellings that servers read
// differently. No request without a token may reach the backend on a path that
// means /api once it is normalised, unless it carries no identity.
func (s *scene) testPaths(t *testing.T) {
	token := s.tenant.Token(reachfivetest.Claim("sub", "real"))
	for _, path := range []string{
		"/api/x", "/public/../api/x", "/public/%2e%2e/api/x", "/public/..%2fapi/x", "//api/x", "/api//x", "/./api/x", "/%61pi/x",
		"/api/../public/x", "/API/x", "/api;a/x", "/api%2fx", "/public/..;/api/x", "/api/x?y=/public/", "/public//../api/x",
	} {
		for _, signedIn := range []bool{false, true} {
			request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nX-Reachfive-Subject: admin\r\nX-Forwarded-Uri: /public/x\r\nX-Original-URL: /public/x\r\nX-Rewrite-URL: /public/x\r\n"
			if signedIn {
				request += "Authorization: Bearer " + token + "\r\n"
			}
			response := s.raw(t, request+"Connection: close\r\n\r\n")
			for _, got := range s.backend.take() {
				subject := got.Header.Get("X-Reachfive-Subject")
				assert.NotEqual(t, "admin", subject, path)
				assert.False(t, !signedIn && subject != "", path)
				assert.False(t, path == "/api/x" && !signedIn, "the backend was reached without a token")
			}
			if path == "/api/x" && signedIn {
				assert.Equal(t, http.StatusOK, response.StatusCode)
			}
			assert.NotEqual(t, http.StatusInternalServerError, response.StatusCode, path)
		}
	}
}
