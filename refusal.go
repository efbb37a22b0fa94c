package reachfive

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	defaultRealm = `"reachfive"`

	// statusClientClosedRequest is nginx's status for a client that has gone.
	// Without any status net/http would send 200, which a proxy or an access
	// log would take for an accepted request.
	statusClientClosedRequest = 499
)

// responder answers the requests that Middleware and Require refuse.
type responder struct {
	realm     string // as a quoted-string
	onError   func(http.ResponseWriter, *http.Request, error)
	onRefusal []func(*http.Request, error)
}

// fault is an error of the caller's own code that says nothing about the
// request. errors.Is sees through it, and OnError gets the error itself.
type fault struct{ error }

func (f *fault) Unwrap() error { return f.error }

// refusal is an answer before it is written. Its status and its sentence are
// those of Code.text.
type refusal struct {
	status      int
	name        string // the error member of the body
	description string // "" for an answer without a body
	challenge   string // the WWW-Authenticate header, "" for none
	retryAfter  time.Duration
}

// refuse reports and answers a refused request.
func (a *responder) refuse(w http.ResponseWriter, r *http.Request, err error) {
	ref := a.refusalOf(r.Context(), err)
	if f, ok := errors.AsType[*fault](err); ok {
		err = f.error
	}
	for _, report := range a.onRefusal {
		report(r, err)
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	if ref.challenge != "" {
		header.Set("WWW-Authenticate", ref.challenge)
	}
	if ref.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", retryAfterSeconds(ref.retryAfter))
	}
	if a.onError != nil {
		a.onError(w, r, err)
		return
	}
	if ref.description == "" {
		w.WriteHeader(ref.status)
		return
	}
	header.Set("Content-Type", "application/json")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(ref.status)
	if r.Method == http.MethodHead {
		return
	}
	body, _ := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{ref.name, ref.description})
	_, _ = w.Write(body) // an error means that the client has gone
}

// refusalOf returns the answer to err. A Code comes first, because an error of
// CodeKeysUnavailable may wrap the context error of the fetch.
func (a *responder) refusalOf(ctx context.Context, err error) refusal {
	code := CodeOf(err)
	text, known := code.text()
	if !known {
		return a.uncoded(ctx, err)
	}
	ref := refusal{
		status:      text.status,
		name:        errorName(code),
		description: string(code) + ": " + text.description,
	}
	full, _ := errors.AsType[*Error](err)
	switch text.status {
	case http.StatusForbidden:
	case http.StatusServiceUnavailable:
		if full != nil {
			ref.retryAfter = full.RetryAfter
		}
	default:
		ref.challenge = a.challenge(code, ref, full)
	}
	return ref
}

// uncoded returns the answer to an error without a Code: the request's own
// context has ended, a verifier has exceeded a deadline of its own, or the
// service has failed.
func (a *responder) uncoded(ctx context.Context, err error) refusal {
	_, isFault := errors.AsType[*fault](err)
	switch own := isContextError(ctx, err); {
	case own && errors.Is(err, context.Canceled):
		return refusal{status: statusClientClosedRequest}
	case own, !isFault && errors.Is(err, context.DeadlineExceeded):
		return refusal{
			status:      http.StatusServiceUnavailable,
			name:        "temporarily_unavailable",
			description: "temporarily_unavailable: the time for this request ran out",
		}
	}
	return refusal{
		status:      http.StatusInternalServerError,
		name:        "server_error",
		description: "server_error: the request failed",
	}
}

// isContextError reports whether err is the error of ctx itself, not that of
// another context that has ended.
func isContextError(ctx context.Context, err error) bool {
	own := ctx.Err()
	return own != nil && errors.Is(err, own)
}

// errorName is the error code of a challenge and of a body. The names are those
// of RFC 6750 section 3.1 and RFC 9470 section 3. Answers without a challenge
// use the closest error of OpenID Connect Core 1.0 section 3.1.2.6 and RFC 6749
// section 4.1.2.1.
func errorName(code Code) string {
	switch code {
	case CodeMissingToken:
		return "login_required"
	case CodeReauthenticationRequired, CodeInsufficientAuthentication, CodeRevoked:
		return "insufficient_user_authentication"
	}
	switch code.HTTPStatus() {
	case http.StatusUnauthorized:
		return "invalid_token"
	case http.StatusForbidden:
		return "access_denied"
	case http.StatusServiceUnavailable:
		return "temporarily_unavailable"
	}
	return "invalid_request"
}

// challenge returns the value of WWW-Authenticate. It has no error parameter if
// the request had no token (https://www.rfc-editor.org/rfc/rfc6750#section-3.1).
func (a *responder) challenge(code Code, ref refusal, full *Error) string {
	text := "Bearer realm=" + a.realm
	if code == CodeMissingToken {
		return text
	}
	text += `, error="` + ref.name + `", error_description="` + ref.description + `"`
	if full == nil || ref.name != "insufficient_user_authentication" {
		return text
	}
	// https://www.rfc-editor.org/rfc/rfc9470#section-3
	if (code == CodeReauthenticationRequired || code == CodeRevoked) && full.MaxAge >= 0 {
		text += `, max_age="` + strconv.FormatInt(int64(full.MaxAge/time.Second), 10) + `"`
	}
	if acr := acrValues(full.ACRValues); acr != "" {
		text += `, acr_values=` + acr
	}
	return text
}

// acrValues returns a quoted list separated by spaces, without the values that
// such a list cannot hold.
func acrValues(values []string) string {
	var fit []string
	for _, value := range values {
		if _, ok := quotedString(value); ok && value != "" && !strings.Contains(value, " ") {
			fit = append(fit, value)
		}
	}
	if fit == nil {
		return ""
	}
	quoted, _ := quotedString(strings.Join(fit, " "))
	return quoted
}

// quotedString writes s as a quoted-string of RFC 9110 section 5.6.4. It returns
// false if s has a control character, which no header can carry.
func quotedString(s string) (string, bool) {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == 0x7f:
			return "", false
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			fallthrough
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String(), true
}

// retryAfterSeconds rounds up, and to at least 1: a client that returns too
// early would be refused again.
func retryAfterSeconds(d time.Duration) string {
	seconds := int64(d / time.Second)
	if d%time.Second > 0 {
		seconds++
	}
	return strconv.FormatInt(max(seconds, 1), 10)
}
