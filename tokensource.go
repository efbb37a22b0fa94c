package reachfive

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/reachfive-community/reachfive/internal/bearer"
)

const (
	maxFormBytes = 64 << 10

	// maxFieldBytes holds the token of a form that was parsed before, whose
	// size nobody may have limited, to what Verify looks at.
	maxFieldBytes = 16 << 10

	formContentType = "application/x-www-form-urlencoded"
)

// TokenSource is a place where a request may carry its ID token: FromBearer,
// FromForm, FromCookie or FromFunc, given to TokenFrom. Its zero value is none,
// and Middleware panics on it. No source reads the query string, which ends up
// in logs and in the Referer header.
type TokenSource struct {
	kind sourceKind
	name string // of the field or the cookie
	find func(*http.Request) (string, error)
}

type sourceKind int

const (
	bearerSource sourceKind = iota + 1
	formSource
	cookieSource
	funcSource
)

// FromBearer reads "Authorization: Bearer TOKEN", the scheme in any case
// (https://www.rfc-editor.org/rfc/rfc6750#section-2.1). Another scheme is no
// token. Two Authorization headers are CodeInvalidRequest, and so is a Bearer
// that is empty or has a comma or white space in its token.
func FromBearer() TokenSource { return TokenSource{kind: bearerSource} }

// FromForm reads the field of a form that a page posts, as the SPA page of
// ReachFive does with "idtoken". It reads nothing but the body of a POST of the
// type application/x-www-form-urlencoded, and at most 64 KiB of it
// (CodeBodyTooLarge). A field that stands twice, or a form that http.Request's
// ParseForm finds fault with, is CodeInvalidRequest; an empty field is no
// token. A POST of another type is CodeWrongContentType, unless another source
// has a token or the sign-in is Optional; a POST without a body, and any other
// method, just has no token here.
//
// The body is used up: the handler reads the form in r.PostForm, where the
// other fields stay. The field itself is taken out of r.Form and r.PostForm, so
// that no handler logs it. A form that was parsed before is used as it is, its
// field held to 16 KiB (CodeBodyTooLarge).
//
// A token from a form is taken only from trusted origins: see TrustedOrigins.
func FromForm(field string) TokenSource { return TokenSource{kind: formSource, name: field} }

// FromCookie reads the cookie of this name. An empty one is no token; two of
// the name are CodeInvalidRequest. A token from a cookie is taken only from
// trusted origins: see TrustedOrigins.
func FromCookie(name string) TokenSource { return TokenSource{kind: cookieSource, name: name} }

// FromFunc reads the token in a way of the caller's own; "" says that there is
// none. An *Error or Code that find returns is answered as such, any other
// error as CodeInvalidRequest. The request's origin is not checked, so find
// must not read what a browser sends by itself, as it does a cookie: that is
// what FromCookie is for.
func FromFunc(find func(*http.Request) (string, error)) TokenSource {
	return TokenSource{kind: funcSource, find: find}
}

// checkSources panics on sources that can never work.
func checkSources(sources []TokenSource) {
	type key struct {
		kind sourceKind
		name string
	}
	seen := make(map[key]bool)
	for _, s := range sources {
		switch k := (key{s.kind, s.name}); {
		case s.kind == 0:
			panic("reachfive: TokenFrom: zero TokenSource")
		case s.kind == formSource && s.name == "":
			panic("reachfive: FromForm: empty field name")
		case s.kind == cookieSource && (&http.Cookie{Name: s.name}).Valid() != nil: //nolint:gosec // no cookie is set, its name is tried
			panic("reachfive: FromCookie: empty or impossible cookie name")
		case s.kind == funcSource && s.find == nil:
			panic("reachfive: FromFunc: nil function")
		case s.kind != funcSource && seen[k]:
			panic("reachfive: TokenFrom: the same source twice; every token would count as two")
		default:
			seen[k] = true
		}
	}
}

// foundToken is the one token of a request.
type foundToken struct {
	token   string // "" for a visitor
	ambient bool   // from a form or a cookie, which any page can make a browser send
}

// findToken asks all sources, also after one of them failed: a form's field is
// taken out of the form whatever becomes of the request.
func (g *guard) findToken(w http.ResponseWriter, r *http.Request) (foundToken, error) {
	var (
		found     foundToken
		count     int
		failed    error
		wrongType bool
		parsed    = r.PostForm != nil
	)
	for i := range g.sources {
		source := &g.sources[i]
		token, err := source.read(w, r, parsed)
		switch {
		case source.kind == formSource && errors.Is(err, CodeWrongContentType):
			wrongType = true
		case err != nil && failed == nil:
			failed = err
		case token != "":
			count++
			found = foundToken{token, source.kind == formSource || source.kind == cookieSource}
		}
	}
	switch {
	case failed != nil:
		return foundToken{}, failed
	case count > 1:
		return foundToken{}, &Error{Code: CodeInvalidRequest, detail: "the request carries two tokens"}
	case count == 1 || g.optional:
		return found, nil
	case wrongType:
		return foundToken{}, &Error{Code: CodeWrongContentType}
	}
	return foundToken{}, &Error{Code: CodeMissingToken}
}

func (s *TokenSource) read(w http.ResponseWriter, r *http.Request, parsed bool) (string, error) {
	switch s.kind {
	case bearerSource:
		return bearerToken(r.Header["Authorization"])
	case formSource:
		return formToken(w, r, s.name, parsed)
	case cookieSource:
		return cookieToken(r, s.name)
	}
	token, err := s.find(r)
	if err == nil || CodeOf(err) != "" || isContextError(r.Context(), err) {
		return token, err
	}
	return "", &Error{Code: CodeInvalidRequest, cause: err}
}

func bearerToken(headers []string) (string, error) {
	token, err := bearer.Token(headers)
	if err != nil {
		return "", &Error{Code: CodeInvalidRequest, detail: err.Error()}
	}
	return token, nil
}

func cookieToken(r *http.Request, name string) (string, error) {
	switch cookies := r.CookiesNamed(name); len(cookies) {
	case 0:
		return "", nil
	case 1:
		return cookies[0].Value, nil
	}
	return "", &Error{Code: CodeInvalidRequest, detail: "two cookies of one name"}
}

// formToken returns CodeWrongContentType for a POST of another type, which is a
// refusal only if no other source has a token.
func formToken(w http.ResponseWriter, r *http.Request, field string, parsed bool) (string, error) {
	if r.Method != http.MethodPost {
		return "", nil
	}
	contentType := r.Header.Get("Content-Type")
	if contentType == "" && (r.Body == nil || r.Body == http.NoBody) {
		return "", nil
	}
	// ParseForm goes by the same media type, and finds a bad parameter itself.
	if mediaType, _, _ := mime.ParseMediaType(contentType); mediaType != formContentType {
		return "", CodeWrongContentType
	}
	if r.PostForm == nil {
		// Refused unread, so that a client that waits for "100 Continue"
		// never sends it.
		if r.ContentLength > maxFormBytes {
			return "", &Error{Code: CodeBodyTooLarge}
		}
		if r.Body != nil {
			r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
		}
	}
	err := r.ParseForm()
	values := r.PostForm[field]
	delete(r.PostForm, field)
	delete(r.Form, field)
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return "", &Error{Code: CodeBodyTooLarge}
		}
		return "", &Error{Code: CodeInvalidRequest, detail: "the form is malformed"}
	}
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", &Error{Code: CodeInvalidRequest, detail: "the form's field stands twice"}
	case parsed && len(values[0]) > maxFieldBytes:
		return "", &Error{Code: CodeBodyTooLarge}
	}
	return values[0], nil
}

// normalizeOrigin writes an origin as a browser does, which is what
// http.CrossOriginProtection compares with: lower-case, no default port. It
// reports false for what no browser sends.
func normalizeOrigin(origin string) (string, bool) {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return "", false
	}
	scheme, rest, _ := strings.Cut(strings.ToLower(origin), "://")
	if rest != strings.ToLower(u.Host) { //nolint:gocritic // not EqualFold: user info, a path, "?" or "#"
		return "", false
	}
	host := strings.ToLower(u.Hostname())
	if strings.HasPrefix(rest, "[") {
		host = "[" + host + "]" // url.Parse lets nothing but IPv6 stand there
	} else if host == "" || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" {
		return "", false
	}
	if rest == host {
		return scheme + "://" + host, true
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 {
		return "", false
	}
	if scheme == "http" && port == 80 || scheme == "https" && port == 443 {
		return scheme + "://" + host, true
	}
	return scheme + "://" + host + ":" + strconv.FormatUint(port, 10), true
}
