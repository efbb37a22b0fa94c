// Package recipes_test runs the recipes of the folder deploy in the real
// proxies, in front of a gateway and a backend of the test.
package recipes_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is the name under which the recipes serve.
const host = "api.example.com"

// addresses are what a recipe is told instead of its own.
type addresses struct {
	gateway string // host:port
	backend string
	plain   string // of the proxy
	secure  string
}

// recipe is a proxy under test.
type recipe struct {
	name string
	// start runs the proxy with its recipe, to be ended with the test.
	start func(tb testing.TB, dir string, a addresses)
	// What the proxy cannot do, as its recipe says in its head.
	limits limits
}

// limits are the ways in which a proxy differs.
type limits struct {
	ownBody       bool // the body of 401 and 403 is the proxy's own
	noGateway     int  // status where no gateway answers
	lateGateway   int  // status where the gateway does not answer in time
	twoTokens     int  // status of two Authorization headers
	waitsForBody  bool // a refusal of a request that expects 100 Continue comes after its body
	preflight     int  // status of an answered preflight, 204 if 0
	connectionCut bool // a header named in Connection does not reach the backend
}

// proxy is a running proxy.
type proxy struct {
	addresses
	client *http.Client // trusts the proxy's certificate, and follows no redirect
}

func (p *proxy) url(path string) string { return "http://" + host + path }

func (r recipe) preflightStatus() int {
	if r.limits.preflight != 0 {
		return r.limits.preflight
	}
	return http.StatusNoContent
}

// run starts a recipe in front of a gateway and a backend, both host:port.
func (r recipe) run(tb testing.TB, gateway, backend string) *proxy {
	tb.Helper()
	dir := tb.TempDir()
	roots := certificate(tb, dir)
	p := &proxy{addresses: addresses{gateway: gateway, backend: backend, plain: freeAddress(tb), secure: freeAddress(tb)}}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, map[string]string{host + ":80": p.plain, host + ":443": p.secure}[address])
		},
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
		// A request that expects 100 Continue is answered, or asked for its body.
		ExpectContinueTimeout: 30 * time.Second,
	}
	if r.limits.waitsForBody {
		transport.ExpectContinueTimeout = 100 * time.Millisecond
	}
	tb.Cleanup(transport.CloseIdleConnections)
	p.client = &http.Client{
		Transport: transport, Timeout: 40 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r.start(tb, dir, p.addresses)
	return p
}

// program is the path of a proxy's program.
func program(tb testing.TB, variable, name string) string {
	tb.Helper()
	if path := os.Getenv(variable); path != "" {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		hint := "run `make setup`, which unpacks it into .cache/bin"
		if name == "systemd-analyze" {
			hint = "install systemd"
		}
		tb.Fatalf("%s is not on the PATH; %s, or set %s to its path", name, hint, variable)
	}
	return path
}

// recipeFile reads a file of the folder deploy with replacements made, each of
// which must be needed.
func recipeFile(tb testing.TB, path string, replace ...string) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("../../../../deploy", path))
	require.NoError(tb, err)
	for i := 0; i < len(replace); i += 2 {
		require.Contains(tb, string(text), replace[i], "the recipe has changed")
		text = bytes.ReplaceAll(text, []byte(replace[i]), []byte(replace[i+1]))
	}
	return string(text)
}

func writeFile(tb testing.TB, dir, name, text string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	require.NoError(tb, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// certificate writes tls.crt and tls.key for host.
func certificate(tb testing.TB, dir string) *x509.CertPool {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{host}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(tb, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(tb, err)
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	writeFile(tb, dir, "tls.crt", string(chain))
	writeFile(tb, dir, "tls.key", string(secret))
	writeFile(tb, dir, "tls.pem", string(chain)+string(secret)) // what HAProxy reads
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(chain)
	return roots
}

// launch runs a program until the test ends, and waits until it listens.
func launch(tb testing.TB, listens string, environment []string, name string, args ...string) {
	tb.Helper()
	var output lockedBuffer
	command := exec.Command(name, args...)
	command.Env = append(os.Environ(), environment...)
	command.Stdout, command.Stderr = &output, &output
	// A group of its own, so that a proxy's workers end with it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(tb, command.Start())
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	tb.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		ended <- <-ended // it has one place, and holds the exit status from now on
	})
	deadline := time.Now().Add(30 * time.Second)
	for {
		conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", listens)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			tb.Fatalf("%s ended: %v\n%s", filepath.Base(name), err, output.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%s does not listen on %s\n%s", filepath.Base(name), listens, output.String())
		}
	}
}

// checked runs a program's own check of its configuration.
func checked(tb testing.TB, environment []string, name string, args ...string) {
	tb.Helper()
	command := exec.Command(name, args...)
	command.Env = append(os.Environ(), environment...)
	output, err := command.CombinedOutput()
	require.NoError(tb, err, "%s", output)
	for _, word := range []string{"warn", "emerg", "alert"} {
		require.NotContains(tb, strings.ToLower(string(output)), word, "%s %s", filepath.Base(name), strings.Join(args, " "))
	}
}

// lockedBuffer is written by a process and read by a test.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
