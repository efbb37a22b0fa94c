// Package reachfivetest is a ReachFive tenant for tests: it issues ID tokens,
// publishes its keys, signs users in, and misbehaves on request.
//
// A handler's test, with a real token and the real middleware:
//
//	func TestProfileSaysWhoIsSignedIn(t *testing.T) {
//		tenant := reachfivetest.NewTenant(t)
//		handler := reachfive.Middleware(tenant.Verifier())(http.HandlerFunc(profile))
//		r := httptest.NewRequest("GET", "/profile", nil)
//		r.Header.Set("Authorization", "Bearer "+tenant.Token(reachfivetest.Claim("name", "John Doe")))
//		w := httptest.NewRecorder()
//		handler.ServeHTTP(w, r)
//		if w.Body.String() != "Hello John Doe" {
//			t.Error(w.Body.String())
//		}
//	}
//
// A handler alone needs no token: NewUser makes the user, and
// reachfive.ContextWithUser puts it where the middleware would.
//
// # Tokens
//
// Token returns an ID token as the tenant issues it. Mods make it another:
//
//	tenant.Token(reachfivetest.Expired())
//	tenant.Token(reachfivetest.OtherAudience())
//	tenant.Token(reachfivetest.WrongKey())
//	tenant.Token(reachfivetest.Claim("nonce", "n-1"), reachfivetest.NoKID())
//
// Sign signs exactly the claims that it is given.
//
// # Endpoints
//
// The tenant listens on a free port of 127.0.0.1, over TLS with a certificate
// of its own. Client reaches it; nothing else trusts it. It serves /jwks.json,
// /.well-known/openid-configuration, and what a page signs in and out with, in
// the shapes that ReachFive's browser SDK uses: its configuration, password
// login, sign-up, /oauth/authorize by redirect and by web message, /oauth/token
// with PKCE and refresh, profile, revocation and logout, with CORS. AddUser adds
// who can sign in.
//
// # Time and faults
//
// With InMemory there is no socket, so that a tenant and its Verifier live
// inside a testing/synctest bubble, where a day passes at once. Rotate,
// RemoveKey, SetDown, SetDelay, SetCacheControl, PublishRaw and OnJWKS change
// the tenant while it runs.
//
// The package signs with the standard library alone: it shares no code with
// the verifier that it tests.
package reachfivetest
