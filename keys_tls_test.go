package reachfive_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

func TestKeyFetchFollowsNoRedirect(t *testing.T) {
	t.Parallel()
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

func TestKeyFetchTrustsNoServerThatTLSDoesNotVouchFor(t *testing.T) {
	t.Parallel()
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

func TestKeyFetchOfOurOwnTransportVerifiesCertificates(t *testing.T) {
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
	t.Parallel()
	p := newProvider(t, nil)
	p.Start()
	p.failsWith(t, verifierOf(t, p.tenant, reachfive.WithJWKSURL(strings.Replace(p.URL, "http:", "https:", 1))), "tls")
}
