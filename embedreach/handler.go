package embedreach

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive"
)

// ErrUnauthenticated is the error that identify returns if the request's user is
// not signed in. The answer is 401.
const ErrUnauthenticated = sentinel("embedreach: nobody is signed in")

// sentinel makes an error a constant, so that no other package can reassign it.
type sentinel string

func (s sentinel) Error() string { return string(s) }

// generateFailed is the text of the vendor's sample. The page gets no reason.
const generateFailed = "Failed to generate token"

// statusClientClosedRequest is nginx's status for a client that has gone, as in
// package reachfive.
const statusClientClosedRequest = 499

// retryAfter is the Retry-After of an error that has none.
const retryAfter = time.Second

// Handler returns the endpoint that the page's onReauthRequested fetches, for
// GET /reach-authtoken. identify returns the request's user, usually from
// reachfive.UserFromContext behind reachfive.Middleware. It is called once for
// each request and must be safe for concurrent use. Handler panics if identify
// is nil; the handler that it returns does not panic by itself.
//
// The answers have the JSON of Reach's own sample, and Cache-Control: no-store:
//
//   - 200 {"success":true,"token":"..."}
//   - 401 if identify returned [ErrUnauthenticated]
//   - the status of the Code, if identify's error has one: 503 with
//     Retry-After for reachfive.CodeKeysUnavailable, which signs nobody out
//   - 503 with Retry-After if the request's own deadline has passed
//   - 500 {"success":false,"error":"Failed to generate token"} for every other
//     error and for an [Identity] that lacks a field; the reason is in the log
//   - 405 for any method but GET
//   - 403 for a request that the browser marks as coming from another site
//     (Sec-Fetch-Site)
//
// If the client has gone, the status is 499 without a body.
//
// The handler sets no CORS headers, so no other origin's page can read a
// token. For a page on another origin of the same site, put a CORS middleware
// outside. A page on another site is refused even then.
func (s *Signer) Handler(identify func(*http.Request) (Identity, error)) http.Handler {
	if identify == nil {
		panic("embedreach: Handler: nil identify")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			respond(w, r, http.StatusMethodNotAllowed, answer{Error: "Method not allowed"})
			return
		}
		if crossSite(r) {
			respond(w, r, http.StatusForbidden, answer{Error: "Cross-site request refused"})
			return
		}
		id, err := identify(r)
		var token string
		if err == nil {
			token, err = s.TenantToken(id)
		}
		if errors.Is(r.Context().Err(), context.Canceled) {
			// Without a status net/http would send 200.
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(statusClientClosedRequest)
			return
		}
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		respond(w, r, http.StatusOK, answer{Success: true, Token: token})
	})
}

// crossSite reports whether, according to the browser, a page of another site
// makes the request (W3C Fetch Metadata). No page can set the header. Clients
// that do not send it are not browsers, or apply the same-origin policy on their
// own.
func crossSite(r *http.Request) bool {
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if strings.EqualFold(strings.TrimSpace(site), "cross-site") {
			return true
		}
	}
	return false
}

// refuse answers a request that failed with err. Only the log gets its text.
func (s *Signer) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, text := http.StatusInternalServerError, generateFailed
	switch code := reachfive.CodeOf(err); {
	case code != "" && code.HTTPStatus() != http.StatusInternalServerError:
		status, text = code.HTTPStatus(), strings.TrimPrefix(code.Error(), "reachfive: ")
	case errors.Is(err, ErrUnauthenticated):
		status, text = http.StatusUnauthorized, "Unauthenticated"
	case errors.Is(r.Context().Err(), context.DeadlineExceeded):
		status = http.StatusServiceUnavailable
	}
	switch status {
	case http.StatusUnauthorized:
		// RFC 9110 section 15.5.2 requires a challenge with every 401.
		w.Header().Set("WWW-Authenticate", `Bearer realm="reach"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", retryAfterSeconds(err))
	}
	if status >= http.StatusInternalServerError {
		s.logger.ErrorContext(r.Context(), "embedreach: no token was made", "method", r.Method, "status", status, "error", err.Error())
	}
	respond(w, r, status, answer{Error: text})
}

// retryAfterSeconds rounds up: a client that returns too early would be refused
// again.
func retryAfterSeconds(err error) string {
	wait := retryAfter
	if e, ok := errors.AsType[*reachfive.Error](err); ok && e.RetryAfter > wait {
		wait = e.RetryAfter
	}
	return strconv.FormatInt(int64(math.Ceil(wait.Seconds())), 10)
}

// answer is the JSON of Reach's sample endpoint.
type answer struct {
	Success bool   `json:"success"`
	Token   string `json:"token,omitempty"`
	Error   string `json:"error,omitempty"`
}

func respond(w http.ResponseWriter, r *http.Request, status int, a answer) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	body, _ := marshal(a) // strings and a bool always marshal
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// marshal does not escape <, > and &, like JSON.stringify, so that the claims
// have the same bytes as those of the vendor's sample.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
