package main

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

// demoSignIn is the path under which the page reaches the tenant inside this
// process, so that a browser need not trust the tenant's new certificate. With a
// real tenant nothing of this file runs.
const demoSignIn = "/demo-tenant"

// The user who can sign in at the tenant inside this process.
const (
	demoEmail    = "jane@acme.example"
	demoPassword = "correct horse battery staple"
	demoTenant   = "acme-pets"
)

// addDemoUsers adds a user who works for demoTenant, and one who works for no
// tenant.
func addDemoUsers(tenant *reachfivetest.Tenant, m *members) error {
	subject := tenant.AddUser(demoPassword, map[string]any{
		"email": demoEmail, "email_verified": true,
		"name": "Jane Doe", "given_name": "Jane", "family_name": "Doe",
	})
	tenant.AddUser(demoPassword, map[string]any{
		"email": "stranger@elsewhere.example", "email_verified": true, "name": "A. Stranger",
	})
	return m.add(context.Background(), tenant.Issuer(), subject, demoTenant)
}

// demoProxy forwards the page's sign-in requests to the tenant.
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
