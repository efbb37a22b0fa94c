package reachfive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// tenant starts a ReachFive tenant on this machine, so that the examples run
// without one. A service has its tenant's domain and client ID, and needs
// neither this nor WithHTTPClient.
func tenant() (*reachfivetest.Tenant, *reachfive.Verifier) {
	t, err := reachfivetest.Start()
	if err != nil {
		log.Fatal(err)
	}
	v, err := reachfive.New(t.Domain, t.ClientID, reachfive.WithHTTPClient(t.Client()))
	if err != nil {
		log.Fatal(err)
	}
	return t, v
}

// show sends one request and prints the answer.
func show(h http.Handler, r *http.Request) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Body)))
	if challenge := w.Header().Get("WWW-Authenticate"); challenge != "" {
		fmt.Println("    WWW-Authenticate:", challenge)
	}
}

func bearer(method, path, idToken string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Authorization", "Bearer "+idToken)
	return r
}

// A handler behind Middleware runs only for signed-in users.
func ExampleMiddleware() {
	tenant, v := tenant()
	defer tenant.Close()
	defer v.Close()

	profile := func(w http.ResponseWriter, r *http.Request) {
		user, _ := reachfive.UserFromContext(r.Context())
		fmt.Fprintln(w, "Signed in as:", user.Name)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /profile", profile)
	api := reachfive.Middleware(v)(mux)

	show(api, bearer("GET", "/profile", tenant.Token(reachfivetest.Claim("name", "John Doe"))))
	show(api, httptest.NewRequest(http.MethodGet, "/profile", nil))
	show(api, bearer("GET", "/profile", tenant.Token(reachfivetest.OtherAudience())))
	// Output:
	// 200 Signed in as: John Doe
	// 401 {"error":"login_required","error_description":"missing_token: an ID token is required"}
	//     WWW-Authenticate: Bearer realm="reachfive"
	// 401 {"error":"invalid_token","error_description":"wrong_audience: the token is for another client"}
	//     WWW-Authenticate: Bearer realm="reachfive", error="invalid_token", error_description="wrong_audience: the token is for another client"
}

// The page that signs a user in posts the ID token as a form. The nonce binds
// it to the browser that began the sign-in.
func ExampleFromForm() {
	tenant, v := tenant()
	defer tenant.Close()
	defer v.Close()

	sessionNonce := func(r *http.Request) ([]reachfive.Check, error) {
		cookie, err := r.Cookie("nonce")
		if err != nil {
			return nil, reachfive.CodeWrongNonce
		}
		return []reachfive.Check{reachfive.Nonce(cookie.Value)}, nil
	}
	signIn := reachfive.Middleware(v,
		reachfive.TokenFrom(reachfive.FromForm("idtoken")),
		reachfive.TrustedOrigins("https://app.example.com"),
		reachfive.ChecksFor(sessionNonce))
	createSession := func(w http.ResponseWriter, r *http.Request) {
		user, _ := reachfive.UserFromContext(r.Context())
		// Here a service starts its own session, with a cookie of its own.
		fmt.Fprintln(w, "Signed in as:", user.Name, "- the form still has the token:", r.PostForm.Has("idtoken"))
	}
	mux := http.NewServeMux()
	mux.Handle("POST /session", signIn(http.HandlerFunc(createSession)))

	post := func(origin, nonce string) {
		form := url.Values{"idtoken": {tenant.Token(reachfivetest.Claim("name", "John Doe"), reachfivetest.Claim("nonce", "n-1"))}}
		r := httptest.NewRequest(http.MethodPost, "/session", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site") // browsers add this
		r.Header.Set("Origin", origin)               // and this
		r.AddCookie(&http.Cookie{Name: "nonce", Value: nonce})
		show(mux, r)
	}
	post("https://app.example.com", "n-1")
	post("https://app.example.com", "n-2")
	post("https://elsewhere.example", "n-1")
	// Output:
	// 200 Signed in as: John Doe - the form still has the token: false
	// 401 {"error":"invalid_token","error_description":"wrong_nonce: the token belongs to another sign-in"}
	//     WWW-Authenticate: Bearer realm="reachfive", error="invalid_token", error_description="wrong_nonce: the token belongs to another sign-in"
	// 403 {"error":"access_denied","error_description":"untrusted_origin: the request comes from an origin that is not trusted"}
}

// Visitors and users see the same page, with a greeting for users. A token that
// has expired is refused, so that the page can renew it.
func ExampleOptional() {
	tenant, v := tenant()
	defer tenant.Close()
	defer v.Close()

	home := reachfive.Middleware(v, reachfive.Optional())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, ok := reachfive.UserFromContext(r.Context()); ok {
			fmt.Fprintln(w, "Welcome back,", user.GivenName)
			return
		}
		fmt.Fprintln(w, "Welcome")
	}))

	show(home, httptest.NewRequest(http.MethodGet, "/", nil))
	show(home, bearer("GET", "/", tenant.Token(reachfivetest.Claim("given_name", "John"))))
	show(home, bearer("GET", "/", tenant.Token(reachfivetest.Expired())))
	// Output:
	// 200 Welcome
	// 200 Welcome back, John
	// 401 {"error":"invalid_token","error_description":"expired: the token has expired"}
	//     WWW-Authenticate: Bearer realm="reachfive", error="invalid_token", error_description="expired: the token has expired"
}

// One route requires more than the others: a sign-in in the last five minutes.
// The challenge tells the client so.
func ExampleRequire() {
	tenant, v := tenant()
	defer tenant.Close()
	defer v.Close()

	ok := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "done") }
	justSignedIn := reachfive.Require(reachfive.MaxAge(5 * time.Minute))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /balance", ok)
	mux.Handle("POST /payout", justSignedIn(http.HandlerFunc(ok)))
	api := reachfive.Middleware(v, reachfive.Realm("bank"))(mux)

	hourAgo := reachfivetest.Claim("auth_time", time.Now().Add(-time.Hour).Unix())
	show(api, bearer("GET", "/balance", tenant.Token(hourAgo)))
	show(api, bearer("POST", "/payout", tenant.Token(hourAgo)))
	show(api, bearer("POST", "/payout", tenant.Token()))
	// Output:
	// 200 done
	// 401 {"error":"insufficient_user_authentication","error_description":"reauthentication_required: a more recent sign-in is required"}
	//     WWW-Authenticate: Bearer realm="bank", error="insufficient_user_authentication", error_description="reauthentication_required: a more recent sign-in is required", max_age="300"
	// 200 done
}

// Claims decodes what User has no field for, such as custom fields.
func ExampleUser_Claims() {
	tenant, v := tenant()
	defer tenant.Close()
	defer v.Close()

	idToken := tenant.Token(reachfivetest.Claim("custom_fields", map[string]any{"loyalty_tier": "gold", "shops": []int{7, 11}}))
	user, err := v.Verify(context.Background(), idToken)
	if err != nil {
		fmt.Println(err)
		return
	}
	var claims struct {
		CustomFields struct {
			LoyaltyTier string `json:"loyalty_tier"`
			Shops       []int  `json:"shops"`
		} `json:"custom_fields"`
	}
	if err := user.Claims(&claims); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(claims.CustomFields.LoyaltyTier, claims.CustomFields.Shops)
	// Output: gold [7 11]
}

// A test of a handler needs no token and no tenant: it puts the user into the
// context. reachfivetest.NewUser makes a User from claims.
func ExampleContextWithUser() {
	greet := func(w http.ResponseWriter, r *http.Request) {
		user, ok := reachfive.UserFromContext(r.Context())
		if !ok {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		fmt.Fprintln(w, "Hello", user.GivenName)
	}

	r := httptest.NewRequest(http.MethodGet, "/", nil)
	john := &reachfive.User{Subject: "AVqvOB58Fg6nZfQ0ZqXt", GivenName: "John"}
	show(http.HandlerFunc(greet), r.WithContext(reachfive.ContextWithUser(r.Context(), john)))
	show(http.HandlerFunc(greet), r)
	// Output:
	// 200 Hello John
	// 401 who are you?
}

// A service that renders pages sends users to its sign-in page and asks them to
// wait while the provider is down.
func ExampleOnError() {
	tenant, v := tenant()
	defer tenant.Close()
	defer v.Close()

	respond := func(w http.ResponseWriter, r *http.Request, err error) {
		if errors.Is(err, reachfive.CodeKeysUnavailable) {
			w.WriteHeader(http.StatusServiceUnavailable) // Retry-After is set already
			_, _ = io.WriteString(w, "Please try again in a moment.")
			return
		}
		http.Redirect(w, r, "/sign-in?because="+string(reachfive.CodeOf(err)), http.StatusSeeOther)
	}
	page := reachfive.Middleware(v, reachfive.TokenFrom(reachfive.FromCookie("id")), reachfive.OnError(respond))(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "your orders") }))

	r := httptest.NewRequest(http.MethodPost, "/orders", nil)
	show(page, r)
	tenant.SetDown(true)
	r.AddCookie(&http.Cookie{Name: "id", Value: tenant.Token()})
	show(page, r)
	tenant.SetDown(false)
	if err := v.Refresh(context.Background()); err != nil { // or wait for the next attempt
		fmt.Println(err)
		return
	}
	show(page, r)
	// Output:
	// 303
	//     WWW-Authenticate: Bearer realm="reachfive"
	// 503 Please try again in a moment.
	// 200 your orders
}

// A client moves from HS256 to RS256: while tokens of both kinds are in use, each
// is verified by its own Verifier.
func ExampleByIssuer() {
	tenant, rs256 := tenant()
	defer tenant.Close()
	defer rs256.Close()

	hs256, err := reachfive.New(tenant.Domain, tenant.ClientID, reachfive.WithClientSecret(tenant.ClientSecret))
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := reachfive.ByIssuer(hs256, rs256)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, idToken := range []string{tenant.Token(reachfivetest.HS256()), tenant.Token(), tenant.Token(reachfivetest.OtherIssuer())} {
		user, err := v.Verify(context.Background(), idToken)
		fmt.Println(user != nil, err)
	}
	// Output:
	// true <nil>
	// true <nil>
	// false reachfive: wrong_issuer: the token is from another issuer (iss)
}

// A Verifier with fixed keys uses no network: for a test, a tool, or a machine
// that cannot reach the tenant.
func ExampleWithJWKS() {
	document := `{"keys":[{"kty":"EC"},{"kty":"RSA","kid":"k1","alg":"RS256","e":"AQAB","n":"` +
		"sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri23bOdgWp4Dy1WlUzewbgBHod5pcM9H95GQRV3JDXboIRROSBigeC5yjU1hGzHHyXss8UDprecbAYxknTcQkhslANGRUZmdTOQ5qTRsLAt6BTYuyvVRdhS8exSZEy_c4gs_7svlJJQ4H9_NxsiIoLwAEk7-Q3UXERGYw_75IDrGA84-lA_-Ct4eTlXHBIY2EaV7t7LjJaynVJCpkv4LKjTTAumiGUIuQhrNhZLuF_RJLqHpM2kgWFLU7-VTdL1VbC2tejvcI2BlMkEpk1BzBZI0KQB0GaDWFLN-aEAw3vRw" +
		`"}]}`
	v, err := reachfive.New("acme.reach5.net", "AtnY5xDg4fbanentihip", reachfive.WithJWKS([]byte(document)))
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range v.Status().Keys {
		fmt.Println(key.ID, key.Bits, "bits")
	}
	_, err = v.Verify(context.Background(), "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsyIn0.e30.AA") // {"alg":"RS256","kid":"k2"}
	fmt.Println(reachfive.CodeOf(err))
	// Output:
	// k1 2048 bits
	// reachfive: unknown_key: the provider has no key with the token's kid
}
