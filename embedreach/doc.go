// Package embedreach signs the tokens that link a signed-in user to the Reach
// embedded UI, and serves the endpoint from which Reach's SDK fetches a new one.
//
// The secret shared with Reach stays on the server: the backend that verified
// the user signs a tenant-scoped token, and the page passes it to
// ReachProvider.
//
//	signer, err := embedreach.NewSigner(os.Getenv("REACH_SHARED_JWT_SECRET"), "partner-id")
//	...
//	endpoint := signer.Handler(func(r *http.Request) (embedreach.Identity, error) {
//		user, ok := reachfive.UserFromContext(r.Context())
//		if !ok {
//			return embedreach.Identity{}, embedreach.ErrUnauthenticated
//		}
//		tenant, err := tenantOf(r.Context(), user.Subject) // your own table
//		return embedreach.Identity{
//			Email: user.Email, Name: cmp.Or(user.Name, user.Email),
//			ExternalID: user.Subject, TenantExternalID: tenant,
//		}, err
//	})
//	verified := reachfive.Require(reachfive.EmailVerified())
//	mux.Handle("GET /reach-authtoken", reachfive.Middleware(verifier)(verified(endpoint)))
//
// # Limits
//
// The identify function alone decides who gets a token. TenantExternalID gives
// access to that business's data in Reach, so look it up in your own records by
// the verified subject; never take it, or the e-mail, from the request.
//
// Whoever holds a token can use it with Reach's API until it expires. It cannot
// be revoked, so a user who leaves a tenant keeps the access until then. One
// hour is Reach's recommendation and the default.
//
// The package signs tokens; it does not verify them. With HS256 (RFC 7518
// section 3.2), whoever holds the secret can sign a token for every user of
// every tenant, and partner-scoped tokens too: keep it on the server, and never
// give two systems the same secret. A [github.com/reachfive-community/reachfive.Verifier]
// refuses every token of this package, even under the same secret, because it
// is no ID token.
//
// The secret's bytes are the key as they are: a line feed at the end of a file
// is part of it, and Reach then refuses every token.
//
// A partner-scoped token gives access to every tenant. Never send one to a page;
// no handler in this package does.
//
// Texts that this package prints or logs contain no secret, token or field
// value. The text of identify's own errors is up to identify: see [WithLogger].
package embedreach
