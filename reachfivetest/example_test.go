package reachfivetest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// A handler behind the real middleware, with a real token. A test calls
// NewTenant(t) instead, which needs no Close.
func Example() {
	tenant, err := reachfivetest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tenant.Close()
	handler := reachfive.Middleware(tenant.Verifier())(http.HandlerFunc(profile))

	for _, token := range []string{
		tenant.Token(reachfivetest.Claim("name", "John Doe")),
		tenant.Token(reachfivetest.Expired()),
	} {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/profile", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body.String())
	}
	// Output:
	// 200 Hello John Doe
	// 401 {"error":"invalid_token","error_description":"expired: the token has expired"}
}

// An API that a web client and an iOS app share, and that does not accept the
// tokens of the tenant's third client.
func ExampleWithClients() {
	tenant, err := reachfivetest.Start(
		reachfivetest.WithClientID("web"), reachfivetest.WithClients("ios", "android"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tenant.Close()
	v := tenant.Verifier(reachfive.WithAudiences("ios"))

	for _, client := range []string{"web", "ios", "android"} {
		user, err := v.Verify(context.Background(), tenant.Token(reachfivetest.ForClient(client)))
		if err != nil {
			fmt.Println(client, err)
			continue
		}
		fmt.Println(client, "signed in", user.Name)
	}
	// Output:
	// web signed in John Doe
	// ios signed in John Doe
	// android reachfive: wrong_audience: the token is for another client (aud): want ["web" "ios"]
}

// A test of the handler alone, with a user of any claims and no token.
func ExampleNewUser() {
	t := new(testing.T) // a test has its own
	user := reachfivetest.NewUser(t, map[string]any{"name": "John Doe"})
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/profile", nil)
	w := httptest.NewRecorder()
	profile(w, r.WithContext(reachfive.ContextWithUser(r.Context(), user)))
	fmt.Println(w.Body.String())
	// Output: Hello John Doe
}

func profile(w http.ResponseWriter, r *http.Request) {
	user, _ := reachfive.UserFromContext(r.Context())
	_, _ = io.WriteString(w, "Hello "+user.Name)
}
