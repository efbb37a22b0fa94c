package reachfive

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"slices"
	"time"
)

// Check is a further condition on a user. It runs after everything else about
// the token holds, and a nil error means yes. A Check that returns an *Error or
// a Code refuses with that Code; any other error becomes CodeForbidden and is
// kept for errors.Is, but not printed. Checks may run concurrently.
//
// A claim that a ready-made Check needs and the token lacks fails the Check.
// Their times go by the clock of the Verifier that made the User, and by
// time.Now for a User made by hand.
type Check func(ctx context.Context, u *User) error

// clock is the time that a Verifier goes by.
type clock struct{ now func() time.Time }

// now is the present of the verifier that made u.
func (u *User) now() time.Time {
	if u.clock == nil {
		return time.Now()
	}
	return u.clock.now()
}

// Nonce checks that the token answers the sign-in request that sent want
// (OpenID Connect Core section 3.1.3.7 item 11). It fails with CodeWrongNonce;
// an empty want always does.
//
// https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
func Nonce(want string) Check {
	return func(_ context.Context, u *User) error {
		if want == "" || subtle.ConstantTimeCompare([]byte(u.Nonce), []byte(want)) != 1 {
			return refuseClaim(CodeWrongNonce, "nonce")
		}
		return nil
	}
}

// MaxAge checks that the user signed in, by auth_time, at most d ago. It fails
// with CodeReauthenticationRequired (RFC 9470).
//
// https://www.rfc-editor.org/rfc/rfc9470#section-3
func MaxAge(d time.Duration) Check {
	return func(_ context.Context, u *User) error {
		if u.AuthTime.IsZero() || u.now().Sub(u.AuthTime) > d {
			return &Error{Code: CodeReauthenticationRequired, Claim: "auth_time", MaxAge: max(d, 0)}
		}
		return nil
	}
}

// MaxTokenAge checks that the token was issued, by iat, at most d ago. It fails
// with CodeExpired.
func MaxTokenAge(d time.Duration) Check {
	return func(_ context.Context, u *User) error {
		if u.IssuedAt.IsZero() || u.now().Sub(u.IssuedAt) > d {
			return refuseClaim(CodeExpired, "iat")
		}
		return nil
	}
}

// AMR checks that the user signed in with all of methods (RFC 8176). It fails
// with CodeInsufficientAuthentication; without a method, or with an empty one,
// it always does.
//
// https://www.rfc-editor.org/rfc/rfc8176
func AMR(methods ...string) Check {
	methods = slices.Clone(methods)
	return func(_ context.Context, u *User) error {
		for _, method := range methods {
			if method == "" || !slices.Contains(u.AMR, method) {
				return refuseClaim(CodeInsufficientAuthentication, "amr")
			}
		}
		if len(methods) == 0 {
			return refuseClaim(CodeInsufficientAuthentication, "amr")
		}
		return nil
	}
}

// ACR checks that the authentication context class is one of values. It fails
// with CodeInsufficientAuthentication and tells the client which values would
// do (RFC 9470); without a value it always fails.
//
// https://www.rfc-editor.org/rfc/rfc9470#section-3
func ACR(values ...string) Check {
	values = slices.Clone(values)
	return func(_ context.Context, u *User) error {
		if u.ACR == "" || !slices.Contains(values, u.ACR) {
			return &Error{Code: CodeInsufficientAuthentication, Claim: "acr", ACRValues: slices.Clone(values)}
		}
		return nil
	}
}

// AuthType checks that the user signed in by one of types, by ReachFive's claim
// auth_type: "password", "facebook", ... It fails with
// CodeInsufficientAuthentication; without a type it always does.
func AuthType(types ...string) Check {
	types = slices.Clone(types)
	return func(_ context.Context, u *User) error {
		if u.AuthType == "" || !slices.Contains(types, u.AuthType) {
			return refuseClaim(CodeInsufficientAuthentication, "auth_type")
		}
		return nil
	}
}

// EmailVerified checks that there is an e-mail address and that the provider
// has verified it. It fails with CodeForbidden.
func EmailVerified() Check {
	return func(_ context.Context, u *User) error {
		if !u.EmailVerified || u.Email == "" {
			return refuseClaim(CodeForbidden, "email_verified")
		}
		return nil
	}
}

// AccessTokenHash checks that at_hash is the hash of accessToken, so that the
// two were issued together (OpenID Connect Core section 3.1.3.6). It fails with
// CodeWrongAccessToken; an empty accessToken always does.
//
// https://openid.net/specs/openid-connect-core-1_0.html#CodeIDToken
func AccessTokenHash(accessToken string) Check {
	sum := sha256.Sum256([]byte(accessToken))
	want := base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
	return func(_ context.Context, u *User) error {
		if accessToken == "" || subtle.ConstantTimeCompare([]byte(u.accessTokenHash), []byte(want)) != 1 {
			return refuseClaim(CodeWrongAccessToken, "at_hash")
		}
		return nil
	}
}

// runChecks runs checks in order and returns the first refusal as an *Error,
// or the caller's own context error as it is.
func runChecks(ctx context.Context, u *User, checks []Check) error {
	for _, check := range checks {
		if check == nil {
			return &Error{Code: CodeForbidden, detail: "a Check is nil"}
		}
		if err := check(ctx, u); err != nil {
			return checkRefusal(ctx, err)
		}
	}
	return nil
}

// checkRefusal makes a refusal of what a Check returned. What has no Code of
// its own forbids: a refusal without one would be counted and answered as none.
func checkRefusal(ctx context.Context, err error) error {
	e, isError := errors.AsType[*Error](err)
	switch {
	case isError && e == nil:
		return &Error{Code: CodeForbidden, detail: "a Check returned a nil *Error"}
	case isError && e.Code != "":
		if err == error(e) { //nolint:errorlint // only the bare Error may pass as it is
			return e
		}
		// Somebody's words stand around it: keep them for errors.Is alone.
		refusal := *e
		refusal.cause = err
		return &refusal
	}
	if code, ok := errors.AsType[Code](err); ok && code != "" {
		return &Error{Code: code, cause: err}
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return ctx.Err()
	}
	return &Error{Code: CodeForbidden, cause: err}
}
