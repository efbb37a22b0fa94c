package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestServePrintsThePageAndRedirectsFromOtherLoopbackNames(t *testing.T) {
	t.Parallel()
	base, stop := serve(t, nil, "demo", "--serve")
	page := read(t, http.MethodGet, base+"/", "", "")
	assert.Equal(t, http.StatusOK, page.status)
	assert.Contains(t, string(page.body), "Try to fool it")
	elsewhere := read(t, http.MethodGet, strings.Replace(base, "app.localhost", "127.0.0.1", 1)+"/", "", "")
	assert.Equal(t, http.StatusFound, elsewhere.status)
	assert.Equal(t, base+"/", elsewhere.header.Get("Location"))
	assert.Regexp(t, `curl --insecure --resolve (tenant\.localhost:\d+):127\.0\.0\.1 https://tenant\.localhost:\d+/jwks\.json\n`, stop())
}

func TestServeWithTheSDKPrintsTheKeyThatABrowserIsToTrust(t *testing.T) {
	t.Parallel()
	bundle := filepath.Join(t.TempDir(), "identity-core.min.js")
	require.NoError(t, os.WriteFile(bundle, []byte("// the SDK"), 0o600))
	base, stop := serve(t, nil, "demo", "--serve", "--sdk", bundle)
	assert.Equal(t, "// the SDK", string(read(t, http.MethodGet, base+"/vendor/identity-core.js", "", "").body))
	assert.Regexp(t, `--ignore-certificate-errors-spki-list=[A-Za-z0-9+/]{43}=\n`, stop())
}

func TestAPortInUseIsToldBeforeAnythingElse(t *testing.T) {
	t.Parallel()
	taken, err := listenLoopback(t.Context(), 0)
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	require.NoError(t, err)
	code, out, errs := command(t, nil, "demo", "--serve", "--port", port)
	assert.Equal(t, exitUnknown, code)
	assert.Empty(t, out)
	assert.Contains(t, errs, "port "+port+" of 127.0.0.1 is in use: choose another with --port")
}

func TestOwnHS256TenantIsProtectedWithoutPrintingItsSecret(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithHS256(), reachfivetest.WithName("acme.reach5.net"))
	secret := map[string]string{clientSecretVariable: tenant.ClientSecret}
	for name, tt := range map[string]struct {
		env  map[string]string
		args []string
	}{
		"by flags": {secret, []string{"demo", "--domain", tenant.Domain, "--client-id", tenant.ClientID}},
		"by environment": {map[string]string{
			domainVariable: tenant.Domain, clientIDVariable: tenant.ClientID, clientSecretVariable: tenant.ClientSecret,
		}, []string{"demo"}},
		"by file": {nil, []string{"demo", "--domain", tenant.Domain, "--client-id", tenant.ClientID, "--client-secret-file", inFile(t, tenant.ClientSecret)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, stop := serve(t, tt.env, tt.args...)
			form := "application/x-www-form-urlencoded"
			assert.Equal(t, 200, read(t, http.MethodPost, base+"/session", form, "idtoken="+tenant.Token()).status)
			assert.Equal(t, 401, read(t, http.MethodPost, base+"/session", form, "idtoken="+tenant.Token(reachfivetest.WrongKey())).status)
			assert.Equal(t, 200, read(t, http.MethodGet, base+"/", "", "").status)
			out := stop()
			assert.Contains(t, out, "https://acme.reach5.net  HS256")
			assert.NotContains(t, out, tenant.ClientSecret)
		})
	}
}

// serve runs a command that stays up, and returns the address of its page and a
// function that ends the command and returns its output.
func serve(t *testing.T, env map[string]string, args ...string) (base string, stop func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	code := make(chan int, 1)
	var errs bytes.Buffer
	go func() {
		code <- run(ctx, args, lookupIn(env), strings.NewReader(""), writer, &errs)
		_ = writer.Close()
	}()
	var out strings.Builder
	address := regexp.MustCompile(`Open (http://[\w.]+:\d+)/ in a browser`)
	for buf := make([]byte, 4096); !address.MatchString(out.String()); {
		n, err := reader.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			cancel()
			require.Fail(t, "it ended", "exit %d: %s%s", <-code, out.String(), errs.String())
		}
	}
	return address.FindStringSubmatch(out.String())[1], func() string {
		cancel()
		_, _ = io.Copy(&out, reader)
		assert.Equal(t, exitYes, <-code, errs.String())
		return out.String()
	}
}

func read(t *testing.T, method, target, contentType, body string) reply {
	t.Helper()
	// Browsers resolve every name under localhost to loopback; not every
	// resolver does.
	client := noRedirects(&http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, _ := strings.Cut(address, ":")
			return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}})
	got, err := send(t.Context(), client, method, target, http.Header{"Content-Type": {contentType}}, []byte(body))
	require.NoError(t, err)
	return got
}
