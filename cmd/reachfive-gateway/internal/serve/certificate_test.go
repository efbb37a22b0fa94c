package serve_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/serve"
)

// issue makes a self-signed certificate and its key.
func issue(t *testing.T, serial int64, notAfter time.Time) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "gateway"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: notAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, leaf
}

// write puts a certificate and its key where files says.
func write(t *testing.T, files config.TLS, certificate tls.Certificate) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(files.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(files.Certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}), 0o600))
}

func filesIn(dir string) config.TLS {
	return config.TLS{Certificate: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
}

// serial is that of the certificate that the gateway shows.
func serial(t *testing.T, address string, cfg *tls.Config) (int64, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", address, cfg)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

func TestAChangedCertificateIsReadAgainAndAnUnusableOneIsNot(t *testing.T) {
	t.Parallel()
	cfg, p := settings(), parts()
	files := filesIn(t.TempDir())
	cfg.Decision.TLS = &files
	first, firstLeaf := issue(t, 1, time.Now().Add(time.Hour))
	write(t, files, first)
	var notAfter func() time.Time
	p.WatchCertificate = func(listener string, f func() time.Time) error {
		assert.Equal(t, "decision", listener)
		notAfter = f
		return nil
	}
	gateway := start(t, cfg, p)
	address := gateway.Address("decision")
	trustAny := &tls.Config{InsecureSkipVerify: true}
	got, err := serial(t, address, trustAny)
	require.NoError(t, err)
	assert.EqualValues(t, 1, got)
	assert.Equal(t, firstLeaf.NotAfter, notAfter())

	second, _ := issue(t, 2, time.Now().Add(2*time.Hour))
	write(t, files, second)
	require.Eventually(t, func() bool {
		got, err := serial(t, address, trustAny)
		return err == nil && got == 2
	}, 20*time.Second, 100*time.Millisecond)
	assert.True(t, notAfter().After(firstLeaf.NotAfter))

	// The listener looks at the files once per second; after two of them it
	// would have taken the expired one.
	expired, _ := issue(t, 3, time.Now().Add(-time.Hour))
	write(t, files, expired)
	for deadline := time.Now().Add(2500 * time.Millisecond); time.Now().Before(deadline); {
		got, err := serial(t, address, trustAny)
		require.NoError(t, err)
		require.EqualValues(t, 2, got)
	}
}

func TestTheDecisionListenerSpeaksHTTP2OverTLS12OrNewer(t *testing.T) {
	t.Parallel()
	cfg := settings()
	files := filesIn(t.TempDir())
	cfg.Decision.TLS = &files
	certificate, leaf := issue(t, 1, time.Now().Add(time.Hour))
	write(t, files, certificate)
	gateway := start(t, cfg, parts())
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	response, _ := get(t, &http.Client{Transport: transport}, "https://"+gateway.Address("decision"))
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Equal(t, 2, response.ProtoMajor)
	_, err := serial(t, gateway.Address("decision"), &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	require.Error(t, err)
}

func TestClientsShowACertificateWhereOneIsAsked(t *testing.T) {
	t.Parallel()
	cfg := settings()
	files := filesIn(t.TempDir())
	files.ClientCA = files.Certificate
	cfg.Decision.TLS = &files
	certificate, leaf := issue(t, 1, time.Now().Add(time.Hour))
	write(t, files, certificate)
	gateway := start(t, cfg, parts())
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	other, _ := issue(t, 2, time.Now().Add(time.Hour))
	for name, tt := range map[string]struct {
		shown   []tls.Certificate
		refused bool
	}{"none": {nil, true}, "an unknown one": {[]tls.Certificate{other}, true}, "a known one": {[]tls.Certificate{certificate}, false}} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: tt.shown}}
		response, err := (&http.Client{Transport: transport}).Get("https://" + gateway.Address("decision"))
		if tt.refused {
			require.Error(t, err, name)
		} else {
			require.NoError(t, err, name)
			require.NoError(t, response.Body.Close())
		}
		transport.CloseIdleConnections()
	}
}

func TestMistakesInTheFilesOfAListener(t *testing.T) {
	t.Parallel()
	good, _ := issue(t, 1, time.Now().Add(time.Hour))
	expired, leaf := issue(t, 2, time.Now().Add(-24*time.Hour))
	text := "version: 1\ndecision: {address: \"127.0.0.1:0\", tls: {certificate: a, key: b, client_ca: c}}\ntenants: {m: {domain: a.b, client_ids: [c]}}\npolicies: {p: {tenants: [m]}}\n"
	for name, tt := range map[string]struct {
		spoil func(files *config.TLS)
		want  string
	}{
		"nothing":               {func(*config.TLS) {}, ""},
		"no certificate":        {func(f *config.TLS) { f.Certificate += "x" }, "2:42: decision.tls.certificate: there is no such file"},
		"no key":                {func(f *config.TLS) { f.Key += "x" }, "2:58: decision.tls.key: there is no such file"},
		"a key that others see": {func(f *config.TLS) { _ = os.Chmod(f.Key, 0o644) }, "2:58: decision.tls.key: others have access to the file (mode 0644); run chmod o-rwx on it"},
		"no PEM":                {func(f *config.TLS) { f.Certificate = os.Args[0] }, "2:42: decision.tls.certificate: the file is larger than 1048576 bytes"},
		"the key twice":         {func(f *config.TLS) { f.Certificate = f.Key }, "2:42: decision.tls.certificate: not a certificate and its key in PEM form: "},
		"an expired one":        {func(f *config.TLS) { write(t, *f, expired) }, "2:42: decision.tls.certificate: the certificate expired on " + leaf.NotAfter.UTC().Format(time.DateOnly) + "; renew it"},
		"no authorities":        {func(f *config.TLS) { f.ClientCA = f.Key }, "2:66: decision.tls.client_ca: the file has no certificate in PEM form"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := filesIn(t.TempDir())
			write(t, files, good)
			files.ClientCA = files.Certificate
			tt.spoil(&files)
			_, problems := config.Parse([]byte(text))
			serve.CheckTLS(files, "decision", problems)
			if tt.want == "" {
				require.NoError(t, problems.Err())
				return
			}
			require.Len(t, problems.List(), 1)
			assert.Contains(t, problems.Error(), tt.want)
		})
	}
}
