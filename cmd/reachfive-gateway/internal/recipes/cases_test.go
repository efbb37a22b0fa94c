package recipes_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/gatewaytest"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// test runs every case through the proxy.
func (r recipe) test(t *testing.T) {
	t.Helper()
	t.Run("transport suite", func(t *testing.T) {
		t.Parallel()
		r.testSuite(t)
	})
	for name, failing := range map[string]func(*testing.T){
		"no gateway": r.testNoGateway, "a gateway that hangs": r.testHangingGateway, "a gateway that is another server": r.testNoMark,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failing(t)
		})
	}
	t.Run("cases", func(t *testing.T) {
		t.Parallel()
		tenant := reachfivetest.NewTenant(t)
		gateway, behind := gatewaytest.Start(t, tenant.Verifier()), startBackend(t)
		s := &scene{recipe: r, tenant: tenant, backend: behind, proxy: r.run(t, strings.TrimPrefix(gateway.URL, "http://"), behind.address)}
		// One after the other: they look at what the backend got.
		for _, c := range []struct {
			name string
			test func(*testing.T)
		}{
			{"identity reaches the backend", s.testIdentity},
			{"spoofed headers", s.testSpoofedHeaders},
			{"spoofed by Connection", s.testSpoofedConnection},
			{"spoofed by trailers", s.testSpoofedTrailers},
			{"large tokens", s.testLargeTokens},
			{"HEAD", s.testHead},
			{"refusals", s.testRefusals},
			{"preflight", s.testPreflight},
			{"calls from pages in a browser", s.testBrowser},
			{"WebSocket", s.testWebSocket},
			{"HTTP/2", s.testHTTP2},
			{"keep-alive", s.testKeepAlive},
			{"two Authorization headers", s.testTwoTokens},
			{"paths", s.testPaths},
			{"bodies", s.testBodies},
		} {
			t.Run(c.name, func(t *testing.T) {
				behind.take()
				c.test(t)
			})
		}
	})
}

// scene is a proxy between a gateway and a backend.
type scene struct {
	recipe
	*proxy

	tenant  *reachfivetest.Tenant
	backend *backend
}

// request makes one through the proxy, with a good token.
func (s *scene) request(t *testing.T, method, path string, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url(path), strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+s.tenant.Token(reachfivetest.Claim("sub", "real")))
	return r
}

// do makes the request and returns what the backend got, which must be one.
func (s *scene) do(t *testing.T, r *http.Request, status int) (arrived, *http.Response) {
	t.Helper()
	response, body, err := gatewaytest.Do(s.client, r)
	require.NoError(t, err)
	require.Equal(t, status, response.StatusCode, body)
	got := s.backend.take()
	if status != http.StatusOK {
		require.Empty(t, got, "a refused request reached the backend")
		return arrived{}, response
	}
	require.Len(t, got, 1)
	return got[0], response
}

func (s *scene) testIdentity(t *testing.T) {
	r := s.request(t, "GET", "/api/x?a=b%20c", "")
	r.Header.Set("Authorization", "Bearer "+s.tenant.Token(
		reachfivetest.Claim("sub", "AVqvOB58"), reachfivetest.Claim("exp", 4102444800), reachfivetest.Claim("name", "Zoë 日本 100%"),
		reachfivetest.Claim("email", "zoe@example.com"), reachfivetest.Claim("email_verified", true)))
	got, response := s.do(t, r, http.StatusOK)
	assert.Equal(t, map[string][]string{
		"X-Reachfive-Decision": {"allow"}, "X-Reachfive-Subject": {"AVqvOB58"}, "X-Reachfive-Issuer": {s.tenant.Issuer()},
		"X-Reachfive-Audience": {s.tenant.ClientID}, "X-Reachfive-Expires": {"4102444800"}, "X-Reachfive-Email": {"zoe@example.com"},
		"X-Reachfive-Name": {"Zo%C3%AB %E6%97%A5%E6%9C%AC 100%25"},
	}, got.identity())
	assert.Equal(t, "/api/x?a=b%20c", got.Target)
	assert.Equal(t, "backend", response.Header.Get("X-From"))
	for name := range response.Header {
		assert.NotContains(t, name, "Reachfive", "an identity header reached the client")
	}

	visitor := s.request(t, "GET", "/x", "")
	visitor.Header.Del("Authorization")
	got, _ = s.do(t, visitor, http.StatusOK)
	assert.Equal(t, "anonymous", got.Header.Get("X-Reachfive-Decision"))
	assert.Empty(t, got.Header.Get("X-Reachfive-Subject"))
}

func (s *scene) testHead(t *testing.T) {
	got, _ := s.do(t, s.request(t, "HEAD", "/api/x", ""), http.StatusOK)
	assert.Equal(t, "HEAD", got.Method)
	r := s.request(t, "HEAD", "/api/x", "")
	r.Header.Set("Authorization", "Bearer "+s.tenant.Token(reachfivetest.Expired()))
	_, response := s.do(t, r, http.StatusUnauthorized)
	assert.Contains(t, response.Header.Get("WWW-Authenticate"), "expired")
}

func (s *scene) testRefusals(t *testing.T) {
	for token, want := range map[string]struct {
		status    int
		challenge string
		body      string
	}{
		"":                                      {http.StatusUnauthorized, `Bearer realm="reachfive"`, "login_required"},
		s.tenant.Token(reachfivetest.Expired()): {http.StatusUnauthorized, `error="invalid_token", error_description="expired: the token has expired"`, "invalid_token"},
	} {
		r := s.request(t, "GET", "/api/x", "")
		r.Header.Set("Authorization", "Bearer "+token)
		if token == "" {
			r.Header.Del("Authorization")
		}
		response, body, err := gatewaytest.Do(s.client, r)
		require.NoError(t, err)
		assert.Equal(t, want.status, response.StatusCode)
		assert.Contains(t, response.Header.Get("WWW-Authenticate"), want.challenge)
		assert.Equal(t, !s.limits.ownBody, strings.Contains(body, `"error":"`+want.body+`"`), body)
		assert.Empty(t, s.backend.take())
	}
	r := s.request(t, "GET", "/payout/x", "")
	r.Header.Set("Authorization", "Bearer "+s.tenant.Token(reachfivetest.Claim("auth_time", 1_700_000_000)))
	_, response := s.do(t, r, http.StatusUnauthorized)
	assert.Contains(t, response.Header.Get("WWW-Authenticate"), `error="insufficient_user_authentication"`)
	assert.Contains(t, response.Header.Get("WWW-Authenticate"), `max_age="300"`)
}

// testTwoTokens sends two Authorization headers, and one that a proxy before
// this one has joined.
func (s *scene) testTwoTokens(t *testing.T) {
	token := "Bearer " + s.tenant.Token()
	for _, values := range [][]string{{token, token}, {"Basic dTpw", token}, {token + ", " + token}, {"Basic dTpw, " + token}} {
		for _, path := range []string{"/api/x", "/x", "/payout/x"} {
			r := s.request(t, "GET", path, "")
			r.Header["Authorization"] = values
			s.do(t, r, s.limits.twoTokens)
		}
	}
}

func (s *scene) testKeepAlive(t *testing.T) {
	// Requests of different users on one connection: no identity stays behind.
	for i, subject := range []string{"one", "two", "", "one"} {
		r := s.request(t, "GET", "/x", "")
		r.Header.Set("Authorization", "Bearer "+s.tenant.Token(reachfivetest.Claim("sub", subject)))
		if subject == "" {
			r.Header.Del("Authorization")
		}
		got, _ := s.do(t, r, http.StatusOK)
		assert.Equal(t, subject, got.Header.Get("X-Reachfive-Subject"), i)
	}
}

// testBodies: the backend gets the body of a request that the gateway allowed.
func (s *scene) testBodies(t *testing.T) {
	for name, body := range map[string]string{"small": "a=b", "large": strings.Repeat("x", 300_000)} {
		for _, chunked := range []bool{false, true} {
			r := s.request(t, "POST", "/api/x", body)
			if chunked {
				r.ContentLength = -1
			}
			got, _ := s.do(t, r, http.StatusOK)
			assert.Equal(t, "POST", got.Method, name)
			assert.Len(t, body, got.Body, name)
			refused := s.request(t, "POST", "/api/x", body)
			// A proxy may answer before the body has come, and then close the
			// connection, so the client must not send it unasked.
			refused.Header.Set("Expect", "100-continue")
			refused.Header.Set("Authorization", "Bearer "+s.tenant.Token(reachfivetest.Expired()))
			s.do(t, refused, http.StatusUnauthorized)
		}
	}
}

func (r recipe) testNoGateway(t *testing.T) {
	behind := startBackend(t)
	p := r.run(t, freeAddress(t), behind.address)
	for _, path := range []string{"/api/x", "/x", "/payout/x"} {
		response, _, err := gatewaytest.Get(t.Context(), p.client, p.url(path), "x")
		require.NoError(t, err)
		assert.Equal(t, r.limits.noGateway, response.StatusCode, path)
		assert.Equal(t, r.limits.noGateway == http.StatusServiceUnavailable, response.Header.Get("Retry-After") != "", path)
	}
	assert.Empty(t, behind.take())
	response, _, err := gatewaytest.Get(t.Context(), p.client, p.url("/public/x"), "")
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, response.StatusCode)
}

// testHangingGateway: what accepts connections and never answers must not hang
// the client for longer than the recipe's timeouts.
func (r recipe) testHangingGateway(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	behind := startBackend(t)
	p := r.run(t, listener.Addr().String(), behind.address)
	response, _, err := gatewaytest.Get(t.Context(), p.client, p.url("/api/x"), "x")
	require.NoError(t, err, "the client's own limit ended the request")
	assert.Equal(t, r.limits.lateGateway, response.StatusCode)
	assert.Empty(t, behind.take())
}

// testNoMark puts a server in the gateway's place that answers 200 to all, as
// the default backend of a load balancer may.
func (r recipe) testNoMark(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	t.Cleanup(other.Close)
	behind := startBackend(t)
	p := r.run(t, strings.TrimPrefix(other.URL, "http://"), behind.address)
	for _, path := range []string{"/api/x", "/x", "/payout/x"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url(path), http.NoBody)
		require.NoError(t, err)
		request.Header.Set("X-Reachfive-Decision", "allow")
		request.Header.Set("X-Reachfive-Subject", "admin")
		response, _, err := gatewaytest.Do(p.client, request)
		require.NoError(t, err)
		assert.Equal(t, http.StatusForbidden, response.StatusCode, path)
		assert.Empty(t, behind.take(), path)
	}
}
