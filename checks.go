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

// Check is a further condition on a user. It runs after the token has been
// verified, and returns nil if the condition holds. A Check that returns an
// *Error or a Code refuses with that Code. Any other error becomes CodeForbidden;
// it is kept for errors.Is but not printed. Checks may run concurrently.
//
// A ready-made Check fails if the token lacks the claim that it needs. It uses
// the clock of the Verifier that made the User, and time.Now for any other User.
type Check func(ctx context.Context, u *User) error

// clock is the source of a Verifier's time.
type clock struct{ now func() time.Time }

// now returns the time by the clock of the Verifier that made u.
func (u *User) now() time.Time {
	if u.clock == nil {
		return time.Now()
	}
	return u.clock.now()
}

// Nonce checks that the token's nonce is want, the one of the sign-in request
// (OpenID Connect Core section 3.1.3.7 item 11). It fails with CodeWrongNonce,
// and always if want is empty.
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
// with CodeInsufficientAuthentication, and always if there is no method or an
// empty one.
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
// with CodeInsufficientAuthentication and tells the client the accepted values
// (RFC 9470). Without a value it always fails.
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

// AuthType checks that ReachFive's claim auth_type is one of types, such as
// "password" or "facebook". It fails with CodeInsufficientAuthentication, and
// always if there is no type.
func AuthType(types ...string) Check {
	types = slices.Clone(types)
	return func(_ context.Context, u *User) error {
		if u.AuthType == "" || !slices.Contains(types, u.AuthType) {
			return refuseClaim(CodeInsufficientAuthentication, "auth_type")
		}
		return nil
	}
}

// EmailVerified checks that the user has an e-mail address which the provider has
// verified. It fails with CodeForbidden.
func EmailVerified() Check {
	return func(_ context.Context, u *User) error {
		if !u.EmailVerified || u.Email == "" {
			return refuseClaim(CodeForbidden, "email_verified")
		}
		return nil
	}
}

// AccessTokenHash checks that at_hash is the hash of accessToken, which shows that
// the two tokens were issued together (OpenID Connect Core section 3.1.3.6). It
// fails with CodeWrongAccessToken, and always if accessToken is empty.
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

// checkRefusal turns the error of a Check into a refusal. An error without a Code
// becomes CodeForbidden: without one, it would not be counted as a refusal.
func checkRefusal(ctx context.Context, err error) error {
	e, isError := errors.AsType[*Error](err)
	switch {
	case isError && e == nil:
		return &Error{Code: CodeForbidden, detail: "a Check returned a nil *Error"}
	case isError && e.Code != "":
		if err == error(e) { //nolint:errorlint // only the bare Error may pass as it is
			return e
		}
		// The error wraps an *Error. Keep it for errors.Is only.
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
