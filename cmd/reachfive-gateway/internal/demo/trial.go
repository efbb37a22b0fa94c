package demo

import (
	"context"
	_ "embed"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

// gatewayConfig is deploy/gateway.yaml.
//
//go:embed gateway.yaml
var gatewayConfig string

// Trial is what somebody needs who runs the gateway and nginx by hand, and has
// no tenant.
type Trial struct {
	Dir     string // is made; an error if it exists
	Backend string // host:port to serve on
	Proxy   string // host:port for nginx
}

// Run starts a tenant and a backend, writes the files, prints what to do with
// them, and waits for the end of ctx. The files stay.
func (t Trial) Run(ctx context.Context, out io.Writer) error {
	dir, err := filepath.Abs(t.Dir)
	if err != nil {
		return err
	}
	tenant, err := reachfivetest.Start()
	if err != nil {
		return err
	}
	defer func() { _ = tenant.Close() }()
	backend, err := serveOn(ctx, t.Backend, http.HandlerFunc(hello))
	if err != nil {
		return err
	}
	defer backend.stop()
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // nginx's workers may be another user's
		return err
	}
	for name, text := range t.files(dir, tenant) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, `The tenant %[1]s and the backend http://%[2]s are up until Ctrl-C.

In further terminals:
  reachfive-gateway serve --config %[3]s/gateway.yaml
  nginx -p %[3]s -e error.log -c nginx.conf -g "daemon off;"
  curl -i http://%[4]s/api/
  curl -i -H "Authorization: Bearer $(cat %[3]s/token)" http://%[4]s/api/
`, tenant.Issuer(), backend.address, dir, t.Proxy)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// files are the recipes, changed as their heads say.
func (t Trial) files(dir string, tenant *reachfivetest.Tenant) map[string]string {
	_, port, _ := strings.Cut(tenant.Domain, ":")
	// The name tenant.localhost is not known to every resolver, and the tenant's
	// certificate to none.
	keys := fmt.Sprintf("domain: %q\n    jwks_url: %q\n    ca_file: %q", tenant.Domain, "https://127.0.0.1:"+port+"/jwks.json", filepath.Join(dir, "ca.pem"))
	return map[string]string{
		"ca.pem":       string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tenant.Certificate().Raw})),
		"gateway.yaml": strings.NewReplacer("domain: acme.reach5.net", keys, "[AtnY5xDg4fbanentihip]", fmt.Sprintf("[%q]", tenant.ClientID)).Replace(gatewayConfig),
		"nginx.conf":   plainRecipe("listen 80;", "listen "+t.Proxy+";", "127.0.0.1:8080", t.Backend),
		"token":        tenant.Token(reachfivetest.Claim("email_verified", true)),
	}
}
