// Package reachfivetest is a ReachFive tenant for tests: it issues ID tokens,
// publishes its keys, signs users in, and can be made to fail.
//
// A test of a handler, with a real token and the real middleware:
//
//	func TestProfileGreetsTheUser(t *testing.T) {
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
// A test of the handler alone needs no token: NewUser returns a user, and
// reachfive.ContextWithUser stores it where the middleware would.
//
// # Tokens
//
// Token returns an ID token as the tenant issues it. Mods change it:
//
//	tenant.Token(reachfivetest.Expired())
//	tenant.Token(reachfivetest.OtherAudience())
//	tenant.Token(reachfivetest.WrongKey())
//	tenant.Token(reachfivetest.Claim("nonce", "n-1"), reachfivetest.NoKID())
//
// Sign signs exactly the claims that it is given.
//
// # Several clients
//
// An API that a web client and mobile apps share accepts the tokens of each of
// them:
//
//	tenant := reachfivetest.NewTenant(t,
//		reachfivetest.WithClientID("web"), reachfivetest.WithClients("ios", "android"))
//	v := tenant.Verifier(reachfive.WithAudiences("ios", "android"))
//	v.Verify(ctx, tenant.Token())                                    // of web
//	v.Verify(ctx, tenant.Token(reachfivetest.ForClient("ios")))      // of ios
//	v.Verify(ctx, tenant.Token(reachfivetest.OtherAudience()))       // wrong_audience
//
// # Endpoints
//
// The tenant listens on a free port of 127.0.0.1, over TLS with a certificate of
// its own. Client trusts it; nothing else does. It serves /jwks.json,
// /.well-known/openid-configuration, and the endpoints that ReachFive's browser SDK
// uses, in the same form and with CORS: configuration, password login, sign-up,
// /oauth/authorize by redirect and by web message, /oauth/token with PKCE and
// refresh, profile, revocation and logout. AddUser adds a user who can sign in.
//
// # Time and faults
//
// With InMemory there is no socket, so a tenant and its Verifier can live inside a
// testing/synctest bubble, where a day takes no time. Rotate, RemoveKey, SetDown,
// SetDelay, SetCacheControl, PublishRaw and OnJWKS change the tenant while it runs.
//
// The package signs with the standard library: it shares no code with the verifier
// under test.
package reachfivetest
