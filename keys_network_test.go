package reachfive_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// provider is a key endpoint on loopback for tokens of a tenant in memory.
type provider struct {
	*httptest.Server
	tenant   *reachfivetest.Tenant
	requests atomic.Int64
	closed   chan struct{} // receives for each connection that ends
}

// newProvider serves keys with handler; the keys as they should be if it is nil.
func newProvider(t *testing.T, handler http.HandlerFunc) *provider {
	t.Helper()
	p := &provider{
		tenant: reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()...)),
		closed: make(chan struct{}, 1000),
	}
	if handler == nil {
		handler = p.serveKeys
	}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		handler(w, r)
	}))
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed || state == http.StateHijacked {
			p.closed <- struct{}{}
		}
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func (p *provider) keys() string { return `{"keys":[` + p.tenant.JWK(p.tenant.KID()) + `]}` }

func (p *provider) serveKeys(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, p.keys())
}

// verifier fetches from the provider, with the client of httptest unless opts
// say otherwise.
func (p *provider) verifier(t *testing.T, opts ...reachfive.Option) *reachfive.Verifier {
	t.Helper()
	client := p.Client()
	client.Transport = &http.Transport{
		TLSClientConfig: client.Transport.(*http.Transport).TLSClientConfig, DisableKeepAlives: true,
	}
	return verifierOf(t, p.tenant, append([]reachfive.Option{
		reachfive.WithJWKSURL(p.URL + "/jwks.json"), reachfive.WithHTTPClient(client),
	}, opts...)...)
}

func verifierOf(t *testing.T, tenant *reachfivetest.Tenant, opts ...reachfive.Option) *reachfive.Verifier {
	t.Helper()
	v, err := reachfive.New(tenant.Domain, tenant.ClientID, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, v.Close()) })
	return v
}

// failsWith fails the test unless a token cannot be decided for that reason.
func (p *provider) failsWith(t *testing.T, v *reachfive.Verifier, class string) {
	t.Helper()
	_, err := v.Verify(t.Context(), p.tenant.Token())
	unavailable(t, err)
	assert.Equal(t, class, v.Status().LastError)
}

func TestKeyFetchOverTLSKeepsNoConnection(t *testing.T) {
	t.Parallel()
	p := newProvider(t, nil)
	p.Start() // plain, for our own transport: an explicit loopback URL may be http
	v := verifierOf(t, p.tenant, reachfive.WithJWKSURL(p.URL+"/jwks.json"))
	for range 5 {
		require.NoError(t, v.Refresh(t.Context()))
		<-p.closed
	}
	_, err := v.Verify(t.Context(), p.tenant.Token())
	require.NoError(t, err)
}

func TestKeyFetchOverIPv6(t *testing.T) {
	t.Parallel()
	p := newProvider(t, nil)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "[::1]:0")
	require.NoError(t, err)
	require.NoError(t, p.Listener.Close())
	p.Listener = listener
	p.Start()
	v := verifierOf(t, p.tenant, reachfive.WithJWKSURL(p.URL+"/jwks.json"))
	require.NoError(t, v.Refresh(t.Context()))
}

func TestKeyFetchSurvivesAConnectionThatTheServerHasClosed(t *testing.T) {
	t.Parallel()
	p := newProvider(t, nil)
	p.StartTLS()
	v := p.verifier(t, reachfive.WithHTTPClient(p.Client())) // one that keeps connections
	require.NoError(t, v.Refresh(t.Context()))
	p.CloseClientConnections()
	require.NoError(t, v.Refresh(t.Context()))
	assert.LessOrEqual(t, p.requests.Load(), int64(3), "one retry at most")
}

func TestKeyServerThatIsDownAtTheStartAndThenUp(t *testing.T) {
	t.Parallel()
	for range 10 {
		p := newProvider(t, nil)
		address := p.Listener.Addr().String()
		require.NoError(t, p.Listener.Close()) // a closed port
		var skipped atomic.Int64
		v := verifierOf(t, p.tenant, reachfive.WithJWKSURL("http://"+address+"/jwks.json"),
			reachfive.WithClock(func() time.Time { return time.Now().Add(time.Duration(skipped.Load())) }))
		_, err := v.Verify(t.Context(), p.tenant.Token())
		unavailable(t, err)
		class := v.Status().LastError
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue // another program has the port by now, and may have answered
		}
		require.NoError(t, err)
		assert.Equal(t, "connection", class)
		p.Listener = listener
		p.Start()
		skipped.Store(int64(2 * time.Second))
		_, err = v.Verify(t.Context(), p.tenant.Token())
		require.NoError(t, err)
		return
	}
	t.Fatal("no port stayed free")
}

func TestKeyServerThatTakesItsTimeIsGivenUpAfterFiveSeconds(t *testing.T) {
	t.Parallel()
	drip := func(head string) func(net.Conn, <-chan struct{}) {
		return func(c net.Conn, done <-chan struct{}) {
			_, _ = io.WriteString(c, head)
			second := time.NewTicker(time.Second)
			defer second.Stop()
			for {
				select {
				case <-second.C:
					if _, err := io.WriteString(c, "x"); err != nil {
						return
					}
				case <-done:
					return
				}
			}
		}
	}
	for _, tt := range []struct {
		name  string
		serve func(net.Conn, <-chan struct{})
	}{
		{"a header byte a second", drip("HTTP/1.1 200 OK\r\nX-Slow: ")},
		{"a body byte a second", drip("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")},
		{"never a byte", func(_ net.Conn, done <-chan struct{}) { <-done }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t, nil)
			done := make(chan struct{})
			listener := p.Listener
			served := make(chan struct{})
			go func() {
				defer close(served)
				c, err := listener.Accept()
				if err != nil {
					return
				}
				// An answer before the request would be one to nothing.
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					tt.serve(c, done)
				}
				_ = c.Close()
			}()
			v := verifierOf(t, p.tenant, reachfive.WithJWKSURL("http://"+listener.Addr().String()+"/"))
			start := time.Now()
			p.failsWith(t, v, "timeout")
			assert.GreaterOrEqual(t, time.Since(start), 5*time.Second)
			close(done)
			_ = listener.Close()
			<-served
		})
	}
}

func TestKeyNameThatDoesNotResolve(t *testing.T) {
	t.Parallel()
	p := newProvider(t, nil)
	p.Start()
	v := verifierOf(t, p.tenant, reachfive.WithHTTPClient(&http.Client{Transport: &http.Transport{
		DialContext: (&net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no resolver")
		}}}).DialContext,
	}}))
	p.failsWith(t, v, "dns")
}

func TestKeyFetchThatTheProxyRefusesNamesTheProxy(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Proxy-Authenticate", `Basic realm="proxy"`)
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	t.Cleanup(proxy.Close)
	address, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	p := newProvider(t, nil)
	for _, jwksURL := range []string{"https://tenant.example/jwks.json", "http://127.0.0.1:1/jwks.json"} {
		v := verifierOf(t, p.tenant, reachfive.WithJWKSURL(jwksURL), reachfive.WithHTTPClient(&http.Client{
			Transport: &http.Transport{Proxy: http.ProxyURL(address), DisableKeepAlives: true},
		}))
		p.failsWith(t, v, "proxy authentication required")
	}
}
