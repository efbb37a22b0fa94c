package reachfive

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Code says why a token or a request was refused. Every refusal has exactly
// one. A Code is itself an error, so that errors.Is(err, CodeExpired) works on
// whatever Verify returned. The zero Code, "", stands for no refusal.
//
// The values are stable: they may be logged, counted and sent to clients.
// string(c) is the value; fmt and slog print a Code as the sentence that it is
// as an error.
type Code string

// The reasons for a refusal, in the order in which a token meets them.
const (
	// CodeMissingToken: the request carried no token.
	CodeMissingToken Code = "missing_token"
	// CodeInvalidRequest: more than one token, a malformed Authorization
	// header or a repeated form field (RFC 6750 section 3.1).
	CodeInvalidRequest Code = "invalid_request"
	// CodeBodyTooLarge: the form is larger than the form source reads.
	CodeBodyTooLarge Code = "body_too_large"
	// CodeWrongContentType: a POST that is no URL-encoded form.
	CodeWrongContentType Code = "wrong_content_type"
	// CodeUntrustedOrigin: a token from a form or a cookie came with a
	// cross-origin request from an origin that is not trusted.
	CodeUntrustedOrigin Code = "untrusted_origin"
	// CodeMalformedToken: not a canonical compact JWS, or its JOSE header or
	// its payload breaks a rule of form.
	CodeMalformedToken Code = "malformed_token"
	// CodeUnsupportedAlgorithm: alg is not the one that was configured.
	CodeUnsupportedAlgorithm Code = "unsupported_algorithm"
	// CodeUnknownKey: the provider answered, and has no key of this kid.
	CodeUnknownKey Code = "unknown_key"
	// CodeKeysUnavailable: the keys could not be fetched, so nothing could be
	// decided. It is no verdict on the token: answer 503, never 401.
	CodeKeysUnavailable Code = "keys_unavailable"
	// CodeInvalidSignature: no candidate key made this signature.
	CodeInvalidSignature Code = "invalid_signature"
	// CodeMissingClaim: a required claim is absent; Error.Claim names it.
	CodeMissingClaim Code = "missing_claim"
	// CodeInvalidClaim: a claim has the wrong type or an impossible value, or
	// may not stand in an ID token; Error.Claim names it.
	CodeInvalidClaim Code = "invalid_claim"
	// CodeWrongIssuer: iss is not the configured issuer.
	CodeWrongIssuer Code = "wrong_issuer"
	// CodeWrongAudience: aud or azp names a client that is not ours.
	CodeWrongAudience Code = "wrong_audience"
	// CodeExpired: exp has passed, or the token is older than MaxTokenAge.
	CodeExpired Code = "expired"
	// CodeNotYetValid: iat or nbf lies ahead.
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
	// CodeForbidden: the token is good, and another check said no.
	CodeForbidden Code = "forbidden"
)

// codeRow is what the table of codes says about one Code.
type codeRow struct {
	status      int
	description string
}

// row is the table of codes: the HTTP status and the one sentence that a
// client may read. A switch, so that there is no package-level state.
func (c Code) row() (codeRow, bool) {
	switch c {
	case CodeMissingToken:
		return codeRow{http.StatusUnauthorized, "an ID token is required"}, true
	case CodeInvalidRequest:
		return codeRow{http.StatusBadRequest, "the request must carry one well-formed ID token"}, true
	case CodeBodyTooLarge:
		return codeRow{http.StatusRequestEntityTooLarge, "the form is too large"}, true
	case CodeWrongContentType:
		return codeRow{http.StatusUnsupportedMediaType, "the body must be application/x-www-form-urlencoded"}, true
	case CodeUntrustedOrigin:
		return codeRow{http.StatusForbidden, "the request comes from an origin that is not trusted"}, true
	case CodeMalformedToken:
		return codeRow{http.StatusUnauthorized, "the token is not a well-formed signed JWT"}, true
	case CodeUnsupportedAlgorithm:
		return codeRow{http.StatusUnauthorized, "the token is not signed with the configured algorithm"}, true
	case CodeUnknownKey:
		return codeRow{http.StatusUnauthorized, "the provider has no key of the token's kid"}, true
	case CodeKeysUnavailable:
		return codeRow{http.StatusServiceUnavailable, "the provider's keys cannot be had at the moment"}, true
	case CodeInvalidSignature:
		return codeRow{http.StatusUnauthorized, "the signature does not verify"}, true
	case CodeMissingClaim:
		return codeRow{http.StatusUnauthorized, "a required claim is missing"}, true
	case CodeInvalidClaim:
		return codeRow{http.StatusUnauthorized, "a claim is not as an ID token has it"}, true
	case CodeWrongIssuer:
		return codeRow{http.StatusUnauthorized, "the token is from another issuer"}, true
	case CodeWrongAudience:
		return codeRow{http.StatusUnauthorized, "the token is for another client"}, true
	case CodeExpired:
		return codeRow{http.StatusUnauthorized, "the token has expired"}, true
	case CodeNotYetValid:
		return codeRow{http.StatusUnauthorized, "the token is not valid yet"}, true
	case CodeWrongNonce:
		return codeRow{http.StatusUnauthorized, "the token belongs to another sign-in"}, true
	case CodeWrongAccessToken:
		return codeRow{http.StatusUnauthorized, "the access token is not the ID token's own"}, true
	case CodeReauthenticationRequired:
		return codeRow{http.StatusUnauthorized, "a more recent sign-in is required"}, true
	case CodeInsufficientAuthentication:
		return codeRow{http.StatusUnauthorized, "a stronger sign-in is required"}, true
	case CodeRevoked:
		return codeRow{http.StatusUnauthorized, "the user has been signed out since this sign-in"}, true
	case CodeRevocationsUnavailable:
		return codeRow{http.StatusServiceUnavailable, "the sign-outs are not known at the moment"}, true
	case CodeForbidden:
		return codeRow{http.StatusForbidden, "the user may not do this"}, true
	}
	return codeRow{http.StatusInternalServerError, "the request failed"}, false
}

// HTTPStatus returns the status that answers a refusal: 401 for a token that
// is not good, 503 for CodeKeysUnavailable and CodeRevocationsUnavailable, and
// so on; 500 for a Code that this package does not know.
func (c Code) HTTPStatus() int {
	row, _ := c.row()
	return row.status
}

// Error returns the code and its one fixed sentence.
func (c Code) Error() string {
	if c == "" {
		return "reachfive: no refusal"
	}
	row, known := c.row()
	if !known {
		return "reachfive: " + string(c)
	}
	return "reachfive: " + string(c) + ": " + row.description
}

// Error is a refusal, or, with CodeKeysUnavailable and
// CodeRevocationsUnavailable, the inability to decide.
// Its text never carries a claim value, a token or a secret, however it is
// printed.
type Error struct {
	// Code is the reason.
	Code Code
	// Claim is the wire name of the claim at fault, "" where none is.
	Claim string
	// MaxAge is the longest time since sign-in that is accepted, with
	// CodeReauthenticationRequired and CodeRevoked; 0 for every other Code.
	MaxAge time.Duration
	// ACRValues are the values of acr that the ACR check would have taken.
	ACRValues []string
	// RetryAfter is how long from now a new attempt makes sense; 0 where it
	// makes none.
	RetryAfter time.Duration

	detail string // what was configured or expected, never what was received
	cause  error  // for errors.Is and errors.As; never printed
}

// Error returns a text that is safe to log: the code, the claim's name and
// what was expected.
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

// Unwrap returns what caused the refusal, if anything did: the error of a
// Check or of a key store. Its text may carry what Error's own never does.
//
// A nil *Error in an error, as a caller's Check or TokenVerifier may return by
// mistake, has none.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.cause
}

// Format prints the text of Error for every verb, so that no verb reaches the
// cause; of an Error that is no pointer, too.
func (e Error) Format(f fmt.State, verb rune) { formatRedacted(f, verb, e.Error()) }

// LogValue gives slog the parts that are safe to log.
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

// CodeOf returns the Code of the first refusal in err's tree, and "" if there
// is none: for a nil error, and for the caller's own context.Canceled and
// context.DeadlineExceeded.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok && e != nil {
		return e.Code
	}
	if c, ok := errors.AsType[Code](err); ok {
		return c
	}
	return ""
}

// formatRedacted prints text under any verb, quoted under %q, with no regard
// to the value behind it.
func formatRedacted(f fmt.State, verb rune, text string) {
	if verb == 'q' {
		_, _ = fmt.Fprintf(f, "%q", text)
		return
	}
	_, _ = f.Write([]byte(text))
}

// refuse makes the refusal that needs no more words than its Code.
func refuse(code Code) error { return &Error{Code: code} }

// refuseClaim makes the refusal of one claim by its wire name.
func refuseClaim(code Code, claim string) error { return &Error{Code: code, Claim: claim} }
