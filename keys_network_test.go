package reachfive_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
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

func TestKeyFetchOverIPv6(t *testing.T) { // F38
	p := newProvider(t, nil)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "[::1]:0")
	require.NoError(t, err)
	require.NoError(t, p.Listener.Close())
	p.Listener = listener
	p.Start()
	v := verifierOf(t, p.tenant, reachfive.WithJWKSURL(p.URL+"/jwks.json"))
	require.NoError(t, v.Refresh(t.Context()))
}

func TestKeyFetchSurvivesAConnectionThatTheServerHasClosed(t *testing.T) { // F38
	p := newProvider(t, nil)
	p.StartTLS()
	v := p.verifier(t, reachfive.WithHTTPClient(p.Client())) // one that keeps connections
	require.NoError(t, v.Refresh(t.Context()))
	p.CloseClientConnections()
	require.NoError(t, v.Refresh(t.Context()))
	assert.LessOrEqual(t, p.requests.Load(), int64(3), "one retry at most")
}

func TestKeyServerThatIsDownAtTheStartAndThenUp(t *testing.T) { // F1, F2
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

func TestKeyServerThatTakesItsTimeIsGivenUpAfterFiveSeconds(t *testing.T) { // F5, F6
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

func TestKeyBodyThatIsCutIsAFailedFetch(t *testing.T) { // F9, F10
	for _, tt := range []struct {
		name   string
		cut    func(c *net.TCPConn, keys string)
		class  string
		status string
	}{
		{"reset in the middle", func(c *net.TCPConn, keys string) {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(keys), keys[:len(keys)/2])
			_ = c.SetLinger(0)
		}, "connection", ""},
		{"closed before its Content-Length", func(c *net.TCPConn, keys string) {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(keys)+1, keys)
		}, "connection", ""},
		{"closed within a chunk", func(c *net.TCPConn, keys string) {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s", len(keys)+1, keys)
		}, "connection", ""},
		{"closed without an end, cut within the JSON", func(c *net.TCPConn, keys string) {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s", keys[:len(keys)-1])
		}, "no JWK Set", ""},
		{"closed at once", func(*net.TCPConn, string) {}, "connection", ""},
		{"no HTTP", func(c *net.TCPConn, _ string) { _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.6\r\n") }, "connection", ""},
		{"a header without end", func(c *net.TCPConn, _ string) {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX: %s", strings.Repeat("x", 200<<10))
		}, "connection", ""},
		{"cut gzip", func(c *net.TCPConn, keys string) {
			var zipped bytes.Buffer
			w := gzip.NewWriter(&zipped)
			_, _ = io.WriteString(w, keys)
			_ = w.Close()
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n%s", zipped.Bytes()[:zipped.Len()-10])
		}, "connection", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p *provider
			p = newProvider(t, func(w http.ResponseWriter, _ *http.Request) {
				c, _, err := http.NewResponseController(w).Hijack()
				if !assert.NoError(t, err) {
					return
				}
				tt.cut(c.(*net.TCPConn), p.keys())
				_ = c.Close()
			})
			p.Start()
			p.failsWith(t, verifierOf(t, p.tenant, reachfive.WithJWKSURL(p.URL+"/")), tt.class)
		})
	}
}

func TestKeyAnswerWithAHugeHeaderIsAFailedFetch(t *testing.T) { // F13
	for size, good := range map[int]bool{32 << 10: true, 200 << 10: false} {
		t.Run(fmt.Sprint(size>>10, " KiB"), func(t *testing.T) {
			var p *provider
			p = newProvider(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X", strings.Repeat("x", size))
				p.serveKeys(w, r)
			})
			p.Start()
			v := verifierOf(t, p.tenant, reachfive.WithJWKSURL(p.URL+"/"))
			if good {
				require.NoError(t, v.Refresh(t.Context()))
				return
			}
			p.failsWith(t, v, "connection")
		})
	}
}

func TestKeyBodyOfAnySizeCostsLittleMemory(t *testing.T) { // F13
	// 300 members of a MiB each, which every reader of gzip takes as one.
	var member, bomb bytes.Buffer
	zip, err := gzip.NewWriterLevel(&member, gzip.BestCompression)
	require.NoError(t, err)
	zeros := make([]byte, 1<<20)
	_, err = zip.Write(zeros)
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	for range 300 {
		_, _ = bomb.Write(member.Bytes())
	}
	t.Logf("a gzip bomb of %d KiB for 300 MiB", bomb.Len()>>10)
	for _, tt := range []struct {
		name   string
		handle http.HandlerFunc
	}{
		{"a gzip bomb", func(w http.ResponseWriter, r *http.Request) {
			assert.Contains(t, r.Header.Get("Accept-Encoding"), "gzip")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}},
		{"100 MiB", func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				if _, err := w.Write(zeros); err != nil {
					return
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider(t, tt.handle)
			p.Start()
			v := verifierOf(t, p.tenant, reachfive.WithJWKSURL(p.URL+"/"))
			token := p.tenant.Token()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := v.Verify(t.Context(), token)
			runtime.ReadMemStats(&after)
			unavailable(t, err)
			assert.Equal(t, "document too large", v.Status().LastError)
			allocated := after.TotalAlloc - before.TotalAlloc
			assert.Less(t, allocated, uint64(8<<20))
			t.Logf("allocated in all: %d KiB", allocated>>10)
		})
	}
}

func TestKeyFetchOverGzip(t *testing.T) {
	var p *provider
	p = newProvider(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		_, _ = io.WriteString(zip, p.keys())
		_ = zip.Close()
	})
	p.Start()
	require.NoError(t, verifierOf(t, p.tenant, reachfive.WithJWKSURL(p.URL+"/")).Refresh(t.Context()))
}

func TestKeyFetchFollowsNoRedirect(t *testing.T) { // F30
	target := newProvider(t, nil)
	target.StartTLS()
	for _, code := range []int{301, 302, 303, 307, 308} {
		for name, location := range map[string]string{"another host": target.URL + "/jwks.json", "itself": "/jwks.json"} {
			p := newProvider(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, location, code) })
			p.StartTLS()
			client := p.Client() // that would follow
			client.Transport.(*http.Transport).TLSClientConfig.RootCAs.AddCert(target.Certificate())
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
			v := p.verifier(t, reachfive.WithHTTPClient(client))
			p.failsWith(t, v, "redirect")
			assert.EqualValues(t, 1, p.requests.Load(), "to %s", name)
		}
	}
	assert.Zero(t, target.requests.Load())
}

// certificate makes a certificate for these names, and the pool that trusts it.
func certificate(t *testing.T, notAfter time.Time, names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: names,
		NotBefore: notAfter.Add(-48 * time.Hour), NotAfter: notAfter, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestKeyFetchTrustsNoServerThatTLSDoesNotVouchFor(t *testing.T) { // F29
	tomorrow := time.Now().Add(24 * time.Hour)
	good, trusted := certificate(t, tomorrow, "keys.example")
	expired, trustedExpired := certificate(t, tomorrow.Add(-48*time.Hour), "keys.example")
	other, trustedOther := certificate(t, tomorrow, "other.example")
	for _, tt := range []struct {
		name  string
		cert  tls.Certificate
		roots *x509.CertPool
		max   uint16
		want  string
	}{
		{"as it should be", good, trusted, tls.VersionTLS13, ""},
		{"an authority that nobody knows", good, nil, tls.VersionTLS13, "tls"},
		{"expired", expired, trustedExpired, tls.VersionTLS13, "tls"},
		{"another name", other, trustedOther, tls.VersionTLS13, "tls"},
		{"TLS 1.0", good, trusted, tls.VersionTLS10, "tls"},
		{"TLS 1.1", good, trusted, tls.VersionTLS11, "tls"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider(t, nil)
			p.TLS = &tls.Config{Certificates: []tls.Certificate{tt.cert}, MinVersion: tls.VersionTLS10, MaxVersion: tt.max}
			p.StartTLS()
			address := p.Listener.Addr().String()
			v := verifierOf(t, p.tenant, reachfive.WithJWKSURL("https://keys.example/jwks.json"),
				reachfive.WithHTTPClient(&http.Client{Transport: &http.Transport{
					DisableKeepAlives: true,
					TLSClientConfig:   &tls.Config{RootCAs: tt.roots, MinVersion: tls.VersionTLS12},
					DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
						return (&net.Dialer{}).DialContext(ctx, network, address)
					},
				}}))
			if tt.want == "" {
				require.NoError(t, v.Refresh(t.Context()))
				return
			}
			p.failsWith(t, v, tt.want)
			assert.Zero(t, p.requests.Load())
		})
	}
}

func TestKeyFetchOfOurOwnTransportVerifiesCertificates(t *testing.T) { // F29
	p := newProvider(t, nil)
	p.StartTLS()
	// Another part of the program has spoiled the default transport.
	if standard, ok := http.DefaultTransport.(*http.Transport); ok {
		old := standard.TLSClientConfig
		standard.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		defer func() { standard.TLSClientConfig = old }()
	}
	p.failsWith(t, verifierOf(t, p.tenant, reachfive.WithJWKSURL(p.URL+"/")), "tls")
}

func TestKeyFetchOfHTTPWhereTLSIsExpected(t *testing.T) {
	p := newProvider(t, nil)
	p.Start()
	p.failsWith(t, verifierOf(t, p.tenant, reachfive.WithJWKSURL(strings.Replace(p.URL, "http:", "https:", 1))), "tls")
}

func TestKeyNameThatDoesNotResolve(t *testing.T) { // F28
	p := newProvider(t, nil)
	p.Start()
	v := verifierOf(t, p.tenant, reachfive.WithHTTPClient(&http.Client{Transport: &http.Transport{
		DialContext: (&net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no resolver")
		}}}).DialContext,
	}}))
	p.failsWith(t, v, "dns")
}
