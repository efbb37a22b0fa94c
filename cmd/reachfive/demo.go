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

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive/internal/site"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// demoCommand is `reachfive demo`. The client secret of a tenant of one's own
// comes from the environment only: a command line is seen by every process.
type demoCommand struct {
	Serve    bool   `help:"Stay up after the transcript, with a page that signs in and forges tokens."`
	Port     int    `help:"The page's port; a free one without it." placeholder:"PORT"`
	SDK      string `help:"Serve ReachFive's SDK from this file, identity-core's UMD bundle, on /sdk (see make demo-sdk)." name:"sdk" placeholder:"FILE" type:"existingfile"`
	Domain   string `help:"Protect the API with this tenant instead of the embedded one, and stay up (or REACHFIVE_DOMAIN). With REACHFIVE_CLIENT_SECRET set its tokens are HS256, without it RS256." placeholder:"HOST"`
	ClientID string `help:"The tenant's client that the tokens are for (or REACHFIVE_CLIENT_ID)." placeholder:"ID"`

	clientSecret string
}

// fromEnvironment fills in what the command line left open.
func (c *demoCommand) fromEnvironment(lookup func(string) (string, bool)) error {
	if c.Domain == "" {
		c.Domain, _ = lookup("REACHFIVE_DOMAIN")
	}
	if c.ClientID == "" {
		c.ClientID, _ = lookup("REACHFIVE_CLIENT_ID")
	}
	c.clientSecret, _ = lookup("REACHFIVE_CLIENT_SECRET")
	if (c.Domain == "") != (c.ClientID == "") {
		return usageError("demo: a tenant of your own takes both, --domain and --client-id")
	}
	return nil
}

// Run implements the command.
func (c *demoCommand) Run(ctx context.Context, env environment) error {
	if err := c.fromEnvironment(env.lookup); err != nil {
		return err
	}
	if c.Domain != "" {
		return c.guardOwn(ctx, env)
	}
	tenant, err := reachfivetest.Start()
	if err != nil {
		return err
	}
	defer func() { _ = tenant.Close() }()
	v, err := reachfive.New(tenant.Domain, tenant.ClientID, tenant.Options()...)
	if err != nil {
		return err
	}
	defer func() { _ = v.Close() }()
	return c.runDemo(ctx, env, tenant, v)
}

// runDemo plays the demonstration against an API that v protects.
func (c *demoCommand) runDemo(ctx context.Context, env environment, tenant *reachfivetest.Tenant, v *reachfive.Verifier) error {
	visitor := &browser{tenant: tenant, email: "john.doe@example.com", password: rand.Text()}
	tenant.AddUser(visitor.password, map[string]any{
		"sub": "AVqvOB58Fg6nZfQ0ZqXt", "email": visitor.email, "email_verified": true,
		"name": "John Doe", "given_name": "John", "family_name": "Doe", "birthdate": "1983-11-13", "locale": "en_US",
	})
	api, err := startAPI(ctx, v, nil)
	if err != nil {
		return err
	}
	defer api.stop()

	out := &transcript{out: env.out}
	out.title("A protected API and its ReachFive tenant",
		"tenant  "+tenant.Issuer()+"  embedded, ends with this command",
		"api     "+api.url+"  behind reachfive.Middleware")
	if err := play(ctx, out, visitor, api.url); err != nil {
		return err
	}
	if err := out.verdict(); err != nil {
		return err
	}
	if c.Serve {
		return c.servePage(ctx, out, visitor)
	}
	return nil
}

// servePage serves the page until the command is interrupted.
func (c *demoCommand) servePage(ctx context.Context, out *transcript, visitor *browser) error {
	// A verifier of its own, which the transcript has cost no fetch.
	v, err := reachfive.New(visitor.tenant.Domain, visitor.tenant.ClientID, visitor.tenant.Options()...)
	if err != nil {
		return err
	}
	defer func() { _ = v.Close() }()
	listener, err := listenLoopback(ctx, c.Port)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	handler, err := site.New(site.Config{
		Tenant: visitor.tenant, Verifier: v, Port: port, Email: visitor.email, Password: visitor.password, SDK: c.SDK,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer serveOn(listener, handler)()
	if c.SDK != "" {
		out.section("The vendor's SDK signs in on " + site.URL(port) + "sdk, in a browser that trusts this key")
		out.line("--ignore-certificate-errors-spki-list=" + spki(visitor.tenant.Certificate()))
	}
	stayUp(ctx, out, site.URL(port))
	return nil
}

// spki is the digest by which Chromium takes a certificate for good.
func spki(certificate *x509.Certificate) string {
	digest := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(digest[:])
}

// guardOwn protects the API with a real tenant until it is interrupted.
func (c *demoCommand) guardOwn(ctx context.Context, env environment) error {
	algorithm, keys := "RS256", "keys fetched from its /jwks.json"
	var opts []reachfive.Option
	if c.clientSecret != "" {
		algorithm, keys = "HS256", "key is the client secret"
		opts = append(opts, reachfive.WithClientSecret(c.clientSecret))
	}
	v, err := reachfive.New(c.Domain, c.ClientID, opts...)
	if err != nil {
		return err
	}
	defer func() { _ = v.Close() }()
	if err := v.HealthCheck(ctx); err != nil {
		return fmt.Errorf("the tenant's keys cannot be had: %w", err)
	}
	api, err := startAPI(ctx, v, site.Paste())
	if err != nil {
		return err
	}
	defer api.stop()
	out := &transcript{out: env.out}
	out.title("An API that takes your tenant's ID tokens",
		"tenant  "+v.Status().Issuer+"  "+algorithm+", "+keys,
		"client  "+c.ClientID,
		"api     "+api.url+"  behind reachfive.Middleware")
	out.section("Call it with a token of yours in $ID_TOKEN")
	out.line(`curl -i -H "Authorization: Bearer $ID_TOKEN" ` + api.url + "/me")
	out.line(`curl -i --data-urlencode "idtoken=$ID_TOKEN" ` + api.url + "/session")
	stayUp(ctx, out, api.url+"/")
	return nil
}

// stayUp waits until the command is interrupted.
func stayUp(ctx context.Context, out *transcript, url string) {
	out.section("Open " + url + " in a browser. Ctrl-C ends.")
	<-ctx.Done()
}
