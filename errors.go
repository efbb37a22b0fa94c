package reachfive

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Code says why a token or a request was refused. Every refusal has exactly
// one. A Code is itself an error, so errors.Is(err, CodeExpired) works on
// whatever Verify returned. The zero Code, "", means that nothing was refused.
//
// CAUTION: fmt and slog print a Code as an error, in a whole sentence. Only
// string(code) is the bare value. For a metric label, a JSON field or a
// comparison with text, always convert:
//
//	string(CodeExpired)             // "expired"
//	fmt.Sprintf("%s", CodeExpired)  // "reachfive: expired: the token has expired"
//
// The values are stable. They may be logged, counted and sent to clients.
type Code string

// The reasons for a refusal, in the order of the steps that refuse.
const (
	// CodeMissingToken: the request carried no token.
	CodeMissingToken Code = "missing_token"
	// CodeInvalidRequest: more than one token, a malformed Authorization
	// header or a repeated form field (RFC 6750 section 3.1).
	CodeInvalidRequest Code = "invalid_request"
	// CodeBodyTooLarge: the form is larger than the form source reads.
	CodeBodyTooLarge Code = "body_too_large"
	// CodeWrongContentType: the body of the POST is not a URL-encoded form.
	CodeWrongContentType Code = "wrong_content_type"
	// CodeUntrustedOrigin: a token from a form or a cookie came with a
	// cross-origin request from an origin that is not trusted.
	CodeUntrustedOrigin Code = "untrusted_origin"
	// CodeMalformedToken: the token is not a canonical compact JWS, or the form
	// of its JOSE header or its payload is not allowed.
	CodeMalformedToken Code = "malformed_token"
	// CodeUnsupportedAlgorithm: alg is not the configured algorithm.
	CodeUnsupportedAlgorithm Code = "unsupported_algorithm"
	// CodeUnknownKey: the provider answered, and has no key with this kid.
	CodeUnknownKey Code = "unknown_key"
	// CodeKeysUnavailable: the keys could not be fetched, or the provider could
	// not be asked about this kid yet, so nothing could be decided. It says
	// nothing about the token: answer 503, never 401.
	CodeKeysUnavailable Code = "keys_unavailable"
	// CodeInvalidSignature: the signature matches no candidate key.
	CodeInvalidSignature Code = "invalid_signature"
	// CodeMissingClaim: a required claim is absent; Error.Claim names it.
	CodeMissingClaim Code = "missing_claim"
	// CodeInvalidClaim: a claim has the wrong type or an impossible value, or
	// an ID token may not have it; Error.Claim names it.
	CodeInvalidClaim Code = "invalid_claim"
	// CodeWrongIssuer: iss is not the configured issuer.
	CodeWrongIssuer Code = "wrong_issuer"
	// CodeWrongAudience: aud or azp names a client that is not configured.
	CodeWrongAudience Code = "wrong_audience"
	// CodeExpired: exp has passed, or the token is older than MaxTokenAge.
	CodeExpired Code = "expired"
	// CodeNotYetValid: iat or nbf is in the future.
	CodeNotYetValid Code = "not_yet_valid"
	// CodeWrongNonce: the Nonce check failed.
	CodeWrongNonce Code = "wrong_nonce"
	// CodeWrongAccessToken: the AccessTokenHash check failed.
	CodeWrongAccessToken Code = "wrong_access_token"
	// CodeReauthenticationRequired: the MaxAge check failed (RFC 9470).
	CodeReauthenticationRequired Code = "reauthentication_required"
	// CodeInsufficientAuthentication: an AMR, ACR or AuthType check failed
	// (RFC 9470).
	CodeInsufficientAuthentication Code = "insufficient_authentication"
	// CodeRevoked: the user was signed out after the sign-in of this token; a
	// new sign-in is accepted, a refreshed token is not (RFC 9470).
	CodeRevoked Code = "revoked"
	// CodeRevocationsUnavailable: the sign-outs are not known well enough to
	// decide. Like CodeKeysUnavailable it says nothing about the user: answer
	// 503, never 401.
	CodeRevocationsUnavailable Code = "revocations_unavailable"
	// CodeForbidden: the token is good, but another Check failed.
	CodeForbidden Code = "forbidden"
)

// refusalText is the HTTP status of a Code and the one sentence about it that a
// client may read.
type refusalText struct {
	status      int
	description string
}

// text is the table of codes: every status and every sentence that a client gets
// is here. It returns false for a Code that it does not have.
func (c Code) text() (refusalText, bool) {
	switch c {
	case CodeMissingToken:
		return refusalText{http.StatusUnauthorized, "an ID token is required"}, true
	case CodeInvalidRequest:
		return refusalText{http.StatusBadRequest, "the request must carry one well-formed ID token"}, true
	case CodeBodyTooLarge:
		return refusalText{http.StatusRequestEntityTooLarge, "the form is too large"}, true
	case CodeWrongContentType:
		return refusalText{http.StatusUnsupportedMediaType, "the body must be application/x-www-form-urlencoded"}, true
	case CodeUntrustedOrigin:
		return refusalText{http.StatusForbidden, "the request comes from an origin that is not trusted"}, true
	case CodeMalformedToken:
		return refusalText{http.StatusUnauthorized, "the token is not a well-formed signed JWT"}, true
	case CodeUnsupportedAlgorithm:
		return refusalText{http.StatusUnauthorized, "the token is not signed with the configured algorithm"}, true
	case CodeUnknownKey:
		return refusalText{http.StatusUnauthorized, "the provider has no key with the token's kid"}, true
	case CodeKeysUnavailable:
		return refusalText{http.StatusServiceUnavailable, "the provider's keys are not available at the moment"}, true
	case CodeInvalidSignature:
		return refusalText{http.StatusUnauthorized, "the signature does not verify"}, true
	case CodeMissingClaim:
		return refusalText{http.StatusUnauthorized, "a required claim is missing"}, true
	case CodeInvalidClaim:
		return refusalText{http.StatusUnauthorized, "a claim is not valid in an ID token"}, true
	case CodeWrongIssuer:
		return refusalText{http.StatusUnauthorized, "the token is from another issuer"}, true
	case CodeWrongAudience:
		return refusalText{http.StatusUnauthorized, "the token is for another client"}, true
	case CodeExpired:
		return refusalText{http.StatusUnauthorized, "the token has expired"}, true
	case CodeNotYetValid:
		return refusalText{http.StatusUnauthorized, "the token is not valid yet"}, true
	case CodeWrongNonce:
		return refusalText{http.StatusUnauthorized, "the token belongs to another sign-in"}, true
	case CodeWrongAccessToken:
		return refusalText{http.StatusUnauthorized, "the access token was not issued with the ID token"}, true
	case CodeReauthenticationRequired:
		return refusalText{http.StatusUnauthorized, "a more recent sign-in is required"}, true
	case CodeInsufficientAuthentication:
		return refusalText{http.StatusUnauthorized, "a stronger sign-in is required"}, true
	case CodeRevoked:
		return refusalText{http.StatusUnauthorized, "the user has been signed out since this sign-in"}, true
	case CodeRevocationsUnavailable:
		return refusalText{http.StatusServiceUnavailable, "the sign-outs are not known at the moment"}, true
	case CodeForbidden:
		return refusalText{http.StatusForbidden, "the user may not do this"}, true
	}
	return refusalText{http.StatusInternalServerError, "the request failed"}, false
}

// HTTPStatus returns the status to answer a refusal with: 401 for a bad token,
// 503 for CodeKeysUnavailable and CodeRevocationsUnavailable, and so on. It
// returns 500 for a Code that this package does not know.
func (c Code) HTTPStatus() int {
	text, _ := c.text()
	return text.status
}

// Error returns a sentence that contains the code. It is what fmt and slog print;
// string(c) is the code itself.
func (c Code) Error() string {
	if c == "" {
		return "reachfive: no refusal"
	}
	text, known := c.text()
	if !known {
		return "reachfive: " + string(c)
	}
	return "reachfive: " + string(c) + ": " + text.description
}

// Error is a refusal. With CodeKeysUnavailable or CodeRevocationsUnavailable it
// means that nothing could be decided. However it is printed, its text contains
// no claim value, token or secret.
type Error struct {
	// Code is the reason.
	Code Code
	// Claim is the wire name of the claim at fault, or empty. An error of
	// User.Claims may name a member within it, such as "custom_fields.points".
	Claim string
	// MaxAge is the longest time since sign-in that is accepted, with
	// CodeReauthenticationRequired and CodeRevoked; 0 for every other Code.
	MaxAge time.Duration
	// ACRValues are the values of acr that the ACR check accepts.
	ACRValues []string
	// RetryAfter is how long to wait before another attempt; 0 if another
	// attempt cannot succeed.
	RetryAfter time.Duration

	detail string // what was configured or expected, never what was received
	cause  error  // for errors.Is and errors.As; never printed
}

// Error returns a text that is safe to log: the code, the claim's name and the
// expected value.
func (e *Error) Error() string {
	if e == nil {
		return "reachfive: a nil *Error"
	}
	text := e.Code.Error()
	if e.Claim != "" {
		text += " (" + e.Claim + ")"
	}
	if e.detail != "" {
		text += ": " + e.detail
	}
	return text
}

// Is reports whether target is the error's Code, for errors.Is(err, CodeExpired).
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && e != nil && code == e.Code
}

// Unwrap returns the cause of the refusal, if there is one: the error of a Check
// or of a key store. Unlike the text of Error, the text of the cause may contain
// anything. Unwrap of a nil *Error returns nil.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.cause
}

// Format prints the text of Error for every verb, so that no verb prints the
// cause.
func (e Error) Format(f fmt.State, verb rune) { formatRedacted(f, verb, e.Error()) }

// LogValue returns the parts that are safe to log, for slog.
func (e Error) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("code", string(e.Code))}
	if e.Claim != "" {
		attrs = append(attrs, slog.String("claim", e.Claim))
	}
	if e.detail != "" {
		attrs = append(attrs, slog.String("detail", e.detail))
	}
	return slog.GroupValue(attrs...)
}

// CodeOf returns the Code of the first refusal in err's tree. It returns "" for a
// nil error and for errors without a Code, such as the context.Canceled or
// context.DeadlineExceeded of the caller's own context.
func CodeOf(err error) Code {
	if e, _ := errors.AsType[*Error](err); e != nil {
		return e.Code
	}
	code, _ := errors.AsType[Code](err)
	return code
}

// formatRedacted prints text for any verb, quoted for %q.
func formatRedacted(f fmt.State, verb rune, text string) {
	if verb == 'q' {
		_, _ = fmt.Fprintf(f, "%q", text)
		return
	}
	_, _ = f.Write([]byte(text))
}

// refuse returns a refusal that has only a Code.
func refuse(code Code) error { return &Error{Code: code} }

// refuseClaim returns a refusal because of one claim, given by its wire name.
func refuseClaim(code Code, claim string) error { return &Error{Code: code, Claim: claim} }
