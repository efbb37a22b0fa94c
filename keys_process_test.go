package reachfive_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// roleVariable tells this binary, started again by one of its tests, what to do
// in place of running tests.
const roleVariable = "REACHFIVE_TEST_ROLE"

// playRole verifies one token as a program would, and prints the verdict.
func playRole(role string) int {
	opts := []reachfive.Option{reachfive.WithKeyStore(reachfive.FileKeyStore(os.Getenv("REACHFIVE_TEST_STORE")))}
	if url := os.Getenv("REACHFIVE_TEST_JWKS_URL"); url != "" {
		opts = append(opts, reachfive.WithJWKSURL(url))
	}
	v, err := reachfive.New(os.Getenv("REACHFIVE_TEST_DOMAIN"), os.Getenv("REACHFIVE_TEST_CLIENT"), opts...)
	if err != nil || role != "verify" {
		fmt.Println(role, err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	user, err := v.Verify(ctx, os.Getenv("REACHFIVE_TEST_TOKEN"))
	if err == nil {
		// Close leaves a save half a second, which a busy machine may not have.
		err = fileAppears(ctx, os.Getenv("REACHFIVE_TEST_STORE"))
	}
	_ = v.Close()
	if err != nil {
		fmt.Println(err)
		return 0
	}
	fmt.Println("accepted", user.Subject != "", "pid", os.Getpid())
	return 0
}

// fileAppears waits until there is a file at path.
func fileAppears(ctx context.Context, path string) error {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// otherProcess starts this binary in the role of a program that verifies one
// token, and returns what it printed.
func otherProcess(t *testing.T, tenant *reachfivetest.Tenant, environment ...string) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), self)
	command.Env = append(os.Environ(), roleVariable+"=verify",
		"REACHFIVE_TEST_DOMAIN="+tenant.Domain, "REACHFIVE_TEST_CLIENT="+tenant.ClientID,
		"REACHFIVE_TEST_TOKEN="+tenant.Token(), "GOCOVERDIR="+t.TempDir())
	command.Env = append(command.Env, environment...)
	printed, err := command.CombinedOutput()
	require.NoError(t, err, string(printed))
	return strings.TrimSpace(string(printed))
}

func TestKeyRestartDuringAnOutageInAnotherProcess(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()...))
	var requests atomic.Int64
	set := `{"keys":[` + tenant.JWK(tenant.KID()) + `]}`
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		_, _ = io.WriteString(w, set)
	}))
	defer provider.Close()
	path, list := storePath(t)
	environment := []string{"REACHFIVE_TEST_JWKS_URL=" + provider.URL + "/jwks.json", "REACHFIVE_TEST_STORE=" + path}

	first := otherProcess(t, tenant, environment...)
	assert.Contains(t, first, "accepted true")
	assert.EqualValues(t, 1, requests.Load())
	assert.Equal(t, []string{"keys.json"}, list())

	provider.Close() // the provider is down, and stays so
	second := otherProcess(t, tenant, environment...)
	assert.Contains(t, second, "accepted true")
	assert.NotEqual(t, first, second, "the same process")
	t.Logf("with the provider up: %s; in a new process with it down: %s", first, second)

	require.NoError(t, os.Remove(path))
	without := otherProcess(t, tenant, environment...)
	assert.Contains(t, without, "keys_unavailable")
	t.Logf("and without the stored keys: %s", without)
}

func TestKeyFetchGoesThroughTheProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithName("example.com"), reachfivetest.WithKeys(rsaKeys()...))
	set := `{"keys":[` + tenant.JWK(tenant.KID()) + `]}`
	// The certificate of httptest is for example.com, and its own authority.
	provider := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, set) }))
	defer provider.Close()
	roots := filepath.Join(t.TempDir(), "roots.pem")
	require.NoError(t, os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: provider.Certificate().Raw}), 0o600))

	var connects atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connects.Store(r.Method + " " + r.Host)
		target, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", provider.Listener.Addr().String())
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		client, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			_ = target.Close()
			return
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(target, buffered)
			_ = target.Close()
		}()
		_, _ = io.Copy(client, target)
		_ = client.Close()
		<-done
	}))
	defer proxy.Close()

	verdict := otherProcess(t, tenant, "HTTPS_PROXY="+proxy.URL, "https_proxy=", "NO_PROXY=", "no_proxy=",
		"SSL_CERT_FILE="+roots, "REACHFIVE_TEST_STORE="+filepath.Join(t.TempDir(), "keys.json"))
	assert.Contains(t, verdict, "accepted true")
	assert.Equal(t, "CONNECT example.com:443", connects.Load())
}

// storePath returns the path of a file of a directory of its own, and how to
// list what else is there.
func storePath(t *testing.T) (path string, list func() []string) {
	directory := t.TempDir()
	return filepath.Join(directory, "keys.json"), func() (names []string) {
		entries, err := os.ReadDir(directory)
		require.NoError(t, err)
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		return names
	}
}
