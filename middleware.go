package reachfive

import "context"

// TokenVerifier is what Middleware asks of a verifier. *Verifier is one, and
// so is what ByIssuer returns; a test may bring its own.
//
// Verify returns a user, or an error that holds an *Error or is the error of
// ctx. It must be safe for concurrent use.
type TokenVerifier interface {
	Verify(ctx context.Context, idToken string, checks ...Check) (*User, error)
}
