// Package embedreach mints the tokens that link a signed-in user to the Reach
// embedded UI, and answers the page each time Reach's SDK asks for a new one.
//
// The page never sees the secret that it shares with Reach: the backend that
// verified the user signs a tenant-scoped token, and the page hands it to
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
// Who gets a token is identify's decision alone. TenantExternalID opens that
// business's data in Reach, so look it up in your own records by the verified
// subject; never take it, or the e-mail, from the request.
//
// A token is a bearer token of Reach's API: nobody can take it back before it
// expires, and a user who leaves a tenant keeps the access until then. One
// hour is Reach's recommendation and the default.
//
// The package signs and verifies nothing. HS256 (RFC 7518 section 3.2) means
// that whoever holds the secret can mint a token for every user of every
// tenant, and partner-scoped ones besides: keep it on the server, and never
// give two systems the same secret. A [github.com/reachfive-community/reachfive.Verifier]
// refuses every token made here, also under the same secret, because it is no
// ID token.
//
// The secret's bytes are the key as they stand: a line feed at the end of a
// file is part of it, and Reach then refuses every token.
//
// A partner-scoped token acts for every tenant. No page may ever see it, and
// no handler here serves it.
//
// Texts that this package prints or logs carry no secret, token or field
// value. What identify's own error says is identify's responsibility: see
// [WithLogger].
package embedreach
