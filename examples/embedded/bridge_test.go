package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/reachfive-community/reachfive/embedreach"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

const subject = "AVqvOB58Fg6nZfQ0ZqXt"

// bundled is a bundle that has been built.
func bundled() fs.FS { return fstest.MapFS{"page.js": {Data: []byte("// the bundle")}} }

type fixture struct {
	tenant  *reachfivetest.Tenant
	members *members
	server  http.Handler
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	return newFixtureWith(t, bundled())
}

func newFixtureWith(t *testing.T, bundle fs.FS) fixture {
	t.Helper()
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
	members, err := openMembers(t.Context(), ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = members.close() })
	if err := members.add(t.Context(), tenant.Issuer(), subject, "acme-pets"); err != nil {
		t.Fatal(err)
	}
	signer, err := embedreach.NewSigner(strings.Repeat("s", 32), "partner-42")
	if err != nil {
		t.Fatal(err)
	}
	server, err := site(pageConfig{ReachFive: tenant.Issuer(), ClientID: tenant.ClientID}, bundle, bridge(tenant.Verifier(), signer, members), nil)
	if err != nil {
		t.Fatal(err)
	}
	return fixture{tenant, members, server}
}

func (f fixture) get(ctx context.Context, path, idToken string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if idToken != "" {
		r.Header.Set("Authorization", "Bearer "+idToken)
	}
	w := httptest.NewRecorder()
	f.server.ServeHTTP(w, r)
	return w
}

func (f fixture) token(mods ...reachfivetest.Mod) string {
	return f.tenant.Token(append([]reachfivetest.Mod{
		reachfivetest.Claim("sub", subject), reachfivetest.Claim("email", "jane@acme.example"),
		reachfivetest.Claim("email_verified", true), reachfivetest.Claim("name", "Jane Doe"),
	}, mods...)...)
}

func TestBridgeTakesTheTenantFromTheTable(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := f.get(t.Context(), "/reach-authtoken", f.token())
	var answer struct{ Token string }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body, err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(answer.Token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"email": "jane@acme.example", "name": "Jane Doe", "externalId": subject,
		"tenantExternalId": "acme-pets", "partnerId": "partner-42",
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

func TestBridgeRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, tc := range []struct {
		name, token string
		status      int
	}{
		{"nobody", "", http.StatusUnauthorized},
		{"an expired ID token", f.token(reachfivetest.Expired()), http.StatusUnauthorized},
		{"a user of no tenant", f.token(reachfivetest.Claim("sub", "somebody-else")), http.StatusForbidden},
		{"an e-mail that nobody verified", f.token(reachfivetest.Claim("email_verified", false)), http.StatusForbidden},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := f.get(t.Context(), "/reach-authtoken", tc.token)
			if w.Code != tc.status || strings.Contains(w.Body.String(), "token\":") {
				t.Error(w.Code, w.Body)
			}
		})
	}
}

func TestBridgeSignsNobodyOutWhileTheProviderIsDown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.token()
	f.tenant.SetDown(true)
	w := f.get(t.Context(), "/reach-authtoken", token)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Error(w.Code, w.Header())
	}
}

func TestBridgeAnswers500WithoutItsTable(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if err := f.members.close(); err != nil {
		t.Fatal(err)
	}
	w := f.get(t.Context(), "/reach-authtoken", f.token())
	if w.Code != http.StatusInternalServerError || w.Body.String() != `{"success":false,"error":"Failed to generate token"}` {
		t.Error(w.Code, w.Body)
	}
}

func TestMembersMoveAndStayApartByIssuer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if err := f.members.add(t.Context(), "https://other.example", subject, "other-tenant"); err != nil {
		t.Fatal(err)
	}
	if err := f.members.add(t.Context(), f.tenant.Issuer(), subject, "acme-cats"); err != nil {
		t.Fatal(err)
	}
	for issuer, want := range map[string]string{f.tenant.Issuer(): "acme-cats", "https://other.example": "other-tenant"} {
		if got, err := f.members.tenantOf(t.Context(), issuer, subject); got != want || err != nil {
			t.Error(issuer, got, err)
		}
	}
}
