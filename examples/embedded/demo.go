package main

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

// demoSignIn is the path under which the demo shows the embedded tenant to the
// page, so that any browser can sign in without trusting a certificate made a
// second ago. A real tenant needs none of this file.
const demoSignIn = "/demo-tenant"

// demoUser is who can sign in to the embedded tenant.
const (
	demoEmail    = "jane@acme.example"
	demoPassword = "correct horse battery staple"
	demoTenant   = "acme-pets"
)

// startDemo starts a ReachFive tenant inside this process, with one user who
// works for demoTenant and one who works for nobody.
func startDemo(ctx context.Context, m *members) (*reachfivetest.Tenant, error) {
	tenant, err := reachfivetest.Start()
	if err != nil {
		return nil, err
	}
	subject := tenant.AddUser(demoPassword, map[string]any{
		"email": demoEmail, "email_verified": true,
		"name": "Jane Doe", "given_name": "Jane", "family_name": "Doe",
	})
	tenant.AddUser(demoPassword, map[string]any{
		"email": "stranger@elsewhere.example", "email_verified": true, "name": "A. Stranger",
	})
	if err := m.add(ctx, tenant.Issuer(), subject, demoTenant); err != nil {
		_ = tenant.Close()
		return nil, err
	}
	return tenant, nil
}

// demoProxy passes the page's sign-in requests on to the tenant.
func demoProxy(tenant *reachfivetest.Tenant) http.Handler {
	target := &url.URL{Scheme: "https", Host: tenant.Domain}
	return http.StripPrefix(demoSignIn, &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Del("Cookie")
			r.Out.Header.Del("Authorization")
		},
		Transport: tenant.Client().Transport,
	})
}
