package main

import (
	"net/http"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/embedreach"
)

// bridge is the endpoint that links a signed-in user to Reach: it verifies the
// ReachFive ID token, looks up whose business the user works for, and answers
// with a tenant-scoped Reach token.
func bridge(v reachfive.TokenVerifier, signer *embedreach.Signer, members *members) http.Handler {
	identify := func(r *http.Request) (embedreach.Identity, error) {
		user, ok := reachfive.UserFromContext(r.Context())
		if !ok {
			return embedreach.Identity{}, embedreach.ErrUnauthenticated
		}
		// The verified subject decides, whatever else the request says.
		tenant, err := members.tenantOf(r.Context(), user.Issuer, user.Subject)
		if err != nil {
			return embedreach.Identity{}, err
		}
		return embedreach.Identity{
			Email:            user.Email,
			Name:             displayName(user),
			ExternalID:       user.Subject,
			TenantExternalID: tenant,
		}, nil
	}
	// Without this, a user could sign up with the address of somebody else's
	// business.
	verified := reachfive.Require(reachfive.EmailVerified())
	return reachfive.Middleware(v)(verified(signer.Handler(identify)))
}

// displayName falls back on other claims: Reach requires a name, and a profile
// may lack one.
func displayName(user *reachfive.User) string {
	switch {
	case user.Name != "":
		return user.Name
	case user.GivenName != "" && user.FamilyName != "":
		return user.GivenName + " " + user.FamilyName
	case user.GivenName != "":
		return user.GivenName
	default:
		return user.Email
	}
}
