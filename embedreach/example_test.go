package embedreach_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/embedreach"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// tenantOf stands for the application's own table.
func tenantOf(_ context.Context, subject string) (string, error) {
	if subject != "AVqvOB58Fg6nZfQ0ZqXt" {
		return "", reachfive.CodeForbidden
	}
	return "acme-7", nil
}

func reachEndpoint(v *reachfive.Verifier, signer *embedreach.Signer) http.Handler {
	endpoint := signer.Handler(func(r *http.Request) (embedreach.Identity, error) {
		user, _ := reachfive.UserFromContext(r.Context())
		tenant, err := tenantOf(r.Context(), user.Subject) // your own table, never the request
		return embedreach.Identity{
			Email: user.Email, Name: cmp.Or(user.Name, user.Email), // Reach wants a name
			ExternalID: user.Subject, TenantExternalID: tenant,
		}, err
	})
	// An address that nobody has proved to own must not speak for a business.
	verified := reachfive.Require(reachfive.EmailVerified())
	return reachfive.Middleware(v)(verified(endpoint))
}

func ExampleSigner_Handler() {
	tenant, err := reachfivetest.Start(reachfivetest.InMemory())
	if err != nil {
		panic(err)
	}
	defer func() { _ = tenant.Close() }()
	signer, err := embedreach.NewSigner("a-secret-of-32-bytes-shared-with-Reach", "partner-42")
	if err != nil {
		panic(err)
	}
	endpoint := reachEndpoint(tenant.Verifier(), signer)

	r := httptest.NewRequest(http.MethodGet, "/reach-authtoken", nil)
	r.Header.Set("Authorization", "Bearer "+tenant.Token(
		reachfivetest.Claim("sub", "AVqvOB58Fg6nZfQ0ZqXt"),
		reachfivetest.Claim("email", "jane@acme.example"),
		reachfivetest.Claim("name", "Jane Doe"),
	))
	w := httptest.NewRecorder()
	endpoint.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body.String()[:len(`{"success":true`)])
	// Output: 200 {"success":true
}

func TestBridgeBehindTheMiddleware(t *testing.T) {
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
	endpoint := reachEndpoint(tenant.Verifier(), newSigner(t))
	member := reachfivetest.Claim("sub", "AVqvOB58Fg6nZfQ0ZqXt")
	email, name := reachfivetest.Claim("email", "jane@acme.example"), reachfivetest.Claim("name", "Jane Doe")
	for _, tc := range []struct {
		name, token string
		status      int
		body        string
	}{
		{"a member", tenant.Token(member, email, name), 200, `{"success":true,"token":"`},
		{"a user of no tenant", tenant.Token(reachfivetest.Claim("sub", "stranger"), email, name), 403, `{"success":false,"error":"forbidden: `},
		{"a member without a name", tenant.Token(member, email, reachfivetest.Claim("name", "")), 200, `{"success":true,"token":"`},
		{"a member with an address nobody has verified", tenant.Token(member, email, name, reachfivetest.Claim("email_verified", false)), 403, `{"error":`},
		{"an expired ID token", tenant.Token(member, reachfivetest.Expired()), 401, `{"error":"invalid_token"`},
		{"no ID token", "", 401, `{"error":`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			header := http.Header{}
			if tc.token != "" {
				header.Set("Authorization", "Bearer "+tc.token)
			}
			w := get(endpoint, header)
			assert.Equal(t, tc.status, w.Code, w.Body)
			assert.True(t, strings.HasPrefix(w.Body.String(), tc.body), w.Body)
		})
	}
}

func TestGuideShowsTheTestedEndpoint(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	_, code, _ := strings.Cut(string(source), "\nfunc reachEndpoint(")
	code, _, _ = strings.Cut(code, "\n}\n")
	guide, err := os.ReadFile("../docs/embedded-ui.md")
	require.NoError(t, err)
	assert.Contains(t, string(guide), "```go\nfunc reachEndpoint("+code+"\n}\n```")
}
