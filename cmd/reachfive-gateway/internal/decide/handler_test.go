package decide_test

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/decide"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/gatewaytest"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/policy"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestEveryMethodIsAnsweredAndTheQueryIsNotRead(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	gateway := gatewaytest.Start(t, tenant.Verifier())
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		for token, status := range map[string]int{tenant.Token(): http.StatusOK, tenant.Token(reachfivetest.Expired()): http.StatusUnauthorized} {
			r, err := http.NewRequestWithContext(t.Context(), method, gateway.URL+"/auth/api?policy=site&Authorization=x", http.NoBody)
			require.NoError(t, err)
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("X-Forwarded-Uri", "/auth/site")
			r.Header.Set("X-Original-Url", "/auth/site")
			r.Header.Set("X-Reachfive-Subject", "admin")
			response, body, err := gatewaytest.Do(http.DefaultClient, r)
			require.NoError(t, err)
			assert.Equal(t, status, response.StatusCode, method)
			assert.NotEqual(t, "admin", response.Header.Get("X-Reachfive-Subject"))
			assert.Equal(t, method == "HEAD" || status == http.StatusOK, body == "", method)
		}
	}
}

func TestNoPathButAPolicysPassesOrRedirects(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	gateway := gatewaytest.Start(t, tenant.Verifier())
	token := tenant.Token()
	for _, target := range []string{
		"/", "/auth", "/auth/", "/auth/api/", "/auth//api", "//auth/api", "/auth/./api", "/auth/x/../api",
		"/auth/%61pi", "/auth/api%2f", "/auth/Api", "/auth/unknown", "/AUTH/api", "/auth/api;x", "*", "/auth/api/x",
		"/livez", "/metrics", "http://example.com/auth/unknown",
	} {
		for _, method := range []string{"GET", "OPTIONS", "HEAD"} {
			if target == "*" && method != "OPTIONS" {
				continue
			}
			response, body := exchange(t, gateway.URL, method+" "+target+" HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+token+"\r\nConnection: close\r\n\r\n")
			assert.Equal(t, http.StatusForbidden, response.StatusCode, "%s %s", method, target)
			assert.Empty(t, response.Header.Get("X-Reachfive-Decision"), target)
			assert.Equal(t, "no-store", response.Header.Get("Cache-Control"), target)
			if method != "HEAD" {
				assert.JSONEq(t, `{"error":"access_denied","error_description":"unknown_policy: the gateway has no such policy"}`, body, target)
			}
		}
	}
	assert.Equal(t, decide.UnknownPolicy, gateway.TakeReasons()[0])
}

// exchange sends raw bytes and reads one answer.
func exchange(t *testing.T, url, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(t, err, request)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(body)
}

func TestABodyIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	gateway := gatewaytest.Start(t, tenant.Verifier())
	for name, framing := range map[string]string{
		"announced": "Content-Length: 1000\r\n", "chunked": "Transfer-Encoding: chunked\r\n",
		"expected to be asked for": "Content-Length: 1000\r\nExpect: 100-continue\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The body never comes; exchange fails if the answer waits for it.
			response, _ := exchange(t, gateway.URL, "POST /auth/api HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+tenant.Token()+"\r\n"+framing+"\r\n")
			assert.Equal(t, http.StatusOK, response.StatusCode)
			assert.True(t, response.Close)
		})
	}
}

func TestUnknownPoliciesAreLoggedAtMostOncePerSecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		var reasons []reachfive.Code
		handler := decide.New(gatewaytest.Policies{}, func(name string, o policy.Outcome) {
			assert.Empty(t, name)
			reasons = append(reasons, o.Reason)
		}, slog.New(slog.NewTextHandler(&lines, nil)))
		ask := func() {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/auth/nope%0a"+strings.Repeat("x", 100), http.NoBody)
			handler.ServeHTTP(httptest.NewRecorder(), r)
		}
		for range 10 {
			ask()
		}
		assert.Equal(t, 1, strings.Count(lines.String(), "\n"))
		assert.Less(t, lines.Len(), 300)
		time.Sleep(time.Second)
		ask()
		assert.Equal(t, 2, strings.Count(lines.String(), "\n"))
		assert.Len(t, reasons, 11)
	})
}

func TestRefusalsAreLoggedAtDebugWithTheirCodeAndNothingOfTheToken(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	var lines bytes.Buffer
	level := new(slog.LevelVar)
	handler := decide.New(gatewaytest.For(t, tenant.Verifier()), func(string, policy.Outcome) {}, slog.New(slog.NewJSONHandler(&lines, &slog.HandlerOptions{Level: level})))
	ask := func(token string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/auth/api", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	ask(tenant.Token(reachfivetest.Expired()))
	assert.Empty(t, lines.String())
	level.Set(slog.LevelDebug)
	ask(tenant.Token())
	assert.Empty(t, lines.String())
	ask(tenant.Token(reachfivetest.Expired(), reachfivetest.Claim("sub", "somebody")))
	assert.Contains(t, lines.String(), `"msg":"refused","policy":"api","code":"expired"}`)
	assert.NotContains(t, lines.String(), "somebody")
	assert.NotContains(t, lines.String(), "eyJ")
}
