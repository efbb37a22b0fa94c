package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive/internal/site"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// demoCommand is `reachfive demo`.
type demoCommand struct {
	clientFlags

	Serve bool   `help:"Stay up afterwards, with a page that signs in and sends forged tokens."`
	Port  int    `help:"The page's port on 127.0.0.1; any free one by default." placeholder:"PORT"`
	SDK   string `help:"Serve ReachFive's browser SDK from this file, the UMD bundle of @reachfive/identity-core, on /sdk." name:"sdk" placeholder:"FILE" type:"existingfile"`
}

// Help implements kong's detailed help.
func (demoCommand) Help() string {
	return `Starts a tenant and a protected API on 127.0.0.1, signs a user in, calls the API
with good and with forged tokens, rotates the tenant's key and takes the tenant
down. Each line shows an answer; "!!" marks one that is not as expected.

With --domain and --client-id it protects the API with your own tenant instead,
and stays up for you to call it. With a client secret the tokens are HS256,
otherwise RS256.

Exit codes:
  0  every answer was as expected
  1  an answer was not as expected
  2  the demonstration could not run, or the command was called wrongly

Examples:
  reachfive demo
  reachfive demo --serve --port 8080
  reachfive demo --domain acme.reach5.net --client-id AtnY5xDg4f`
}

// Run implements the command.
func (c *demoCommand) Run(ctx context.Context, env environment) error {
	c.fromEnvironment(env.lookup)
	if c.Domain != "" || len(c.ClientID) > 0 || c.Issuer != "" || c.JWKSURL != "" || c.ClientSecretFile != "" {
		return c.protectOwn(ctx, env)
	}
	return c.playEmbedded(ctx, env)
}

// playEmbedded plays the demonstration with an embedded tenant.
func (c *demoCommand) playEmbedded(ctx context.Context, env environment) error {
	var page net.Listener
	switch {
	case c.Serve:
		// First, so that a port in use is reported at once.
		var err error
		if page, err = listenLoopback(ctx, c.Port); err != nil {
			return portError(c.Port, err)
		}
		defer func() { _ = page.Close() }()
	case c.Port != 0, c.SDK != "":
		return usageError("--port and --sdk are for the page: add --serve")
	}
	tenant, err := reachfivetest.Start()
	if err != nil {
		return err
	}
	defer func() { _ = tenant.Close() }()
	v, err := embeddedVerifier(tenant)
	if err != nil {
		return err
	}
	defer func() { _ = v.Close() }()
	return c.playWith(ctx, env, stage{tenant: tenant, verifier: v, provider: tenant, page: page})
}

// embeddedVerifier verifies the tokens of an embedded tenant.
func embeddedVerifier(tenant *reachfivetest.Tenant) (*reachfive.Verifier, error) {
	return reachfive.New(tenant.Domain, tenant.ClientID, tenant.Options()...)
}

// stage is what the demonstration is played with.
type stage struct {
	tenant   *reachfivetest.Tenant
	verifier *reachfive.Verifier // of the API
	provider provider            // changes the tenant
	page     net.Listener        // nil without --serve
}

// playWith signs a user in to the tenant, calls an API that the verifier
// protects, and serves the page if there is one.
func (c *demoCommand) playWith(ctx context.Context, env environment, s stage) error {
	visitor := &browser{tenant: s.tenant, email: "john.doe@example.com", password: rand.Text()}
	s.tenant.AddUser(visitor.password, map[string]any{
		"sub": "AVqvOB58Fg6nZfQ0ZqXt", "email": visitor.email, "email_verified": true,
		"name": "John Doe", "given_name": "John", "family_name": "Doe", "birthdate": "1983-11-13", "locale": "en_US",
	})
	api, err := startAPI(ctx, s.verifier, nil, 0)
	if err != nil {
		return err
	}
	defer api.stop()

	out := &transcript{terminal: env.terminal}
	out.title("A protected API and its ReachFive tenant",
		"tenant  "+s.tenant.Issuer()+"  on 127.0.0.1, ends with this command",
		"api     "+api.url+"  behind reachfive.Middleware")
	if err := play(ctx, out, visitor, api.url, s.provider); err != nil {
		return err
	}
	if err := out.verdict(); err != nil {
		return err
	}
	if s.page != nil {
		return c.servePage(ctx, out, visitor, s.page)
	}
	return nil
}

// servePage serves the page until the command is interrupted.
func (c *demoCommand) servePage(ctx context.Context, out *transcript, visitor *browser, listener net.Listener) error {
	// A verifier of its own, because the transcript has used fetches of the API's.
	v, err := embeddedVerifier(visitor.tenant)
	if err != nil {
		return err
	}
	defer func() { _ = v.Close() }()
	// One more for the forged tokens, whose unknown keys cost fetches too.
	forged, err := embeddedVerifier(visitor.tenant)
	if err != nil {
		return err
	}
	defer func() { _ = forged.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return err
	}
	handler, err := site.New(site.Config{
		Tenant: visitor.tenant, Verifier: v, ForgeryVerifier: forged, Port: port,
		Email: visitor.email, Password: visitor.password, SDK: c.SDK,
	})
	if err != nil {
		return err
	}
	defer serveOn(listener, handler)()
	if c.SDK != "" {
		out.section("ReachFive's SDK signs in on " + site.URL(port) + "sdk, in a browser that trusts this key")
		out.line("--ignore-certificate-errors-spki-list=" + spki(visitor.tenant.Certificate()))
	}
	domain := visitor.tenant.Domain
	out.section("Fetch the tenant's keys (its certificate is self-signed)")
	out.line("curl --insecure --resolve " + domain + ":127.0.0.1 https://" + domain + "/jwks.json")
	stayUp(ctx, out, site.URL(port))
	return nil
}

// spki is the digest that makes Chromium trust a certificate.
func spki(certificate *x509.Certificate) string {
	digest := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(digest[:])
}

// protectOwn protects the API with the caller's tenant until the command is
// interrupted.
func (c *demoCommand) protectOwn(ctx context.Context, env environment) error {
	if err := c.complete(env.lookup); err != nil {
		return err
	}
	if c.SDK != "" {
		return usageError("--sdk is for the embedded tenant")
	}
	secret, err := c.secret(env.lookup)
	if err != nil {
		return err
	}
	v, err := reachfive.New(c.Domain, c.ClientID[0], c.options(secret)...)
	if err != nil {
		return configurationError(err)
	}
	defer func() { _ = v.Close() }()
	if err := v.HealthCheck(ctx); err != nil {
		return fmt.Errorf("the tenant's keys cannot be fetched: %w", err)
	}
	api, err := startAPI(ctx, v, site.Paste(), c.Port)
	if err != nil {
		return portError(c.Port, err)
	}
	defer api.stop()
	status := v.Status()
	keys := "keys from " + status.JWKSURL
	if secret != "" {
		keys = "verified with the client secret"
	}
	out := &transcript{terminal: env.terminal}
	out.title("An API that accepts your tenant's ID tokens",
		"tenant  "+status.Issuer+"  "+status.Algorithm+", "+keys,
		"client  "+strings.Join(c.ClientID, ", "),
		"api     "+api.url+"  behind reachfive.Middleware")
	out.section("Call it with one of your tokens in $ID_TOKEN")
	out.line(`curl -i -H "Authorization: Bearer $ID_TOKEN" ` + api.url + "/me")
	out.line(`curl -i --data-urlencode "idtoken=$ID_TOKEN" ` + api.url + "/session")
	stayUp(ctx, out, api.url+"/")
	return nil
}

// portError tells what to do about a port that is in use.
func portError(port int, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	return fmt.Errorf("port %d of 127.0.0.1 is in use: choose another with --port, or leave it out for a free one", port)
}

// stayUp waits until the command is interrupted.
func stayUp(ctx context.Context, out *transcript, url string) {
	out.section("Open " + url + " in a browser. Press Ctrl-C to end.")
	<-ctx.Done()
}
