package reachfive

import (
	"errors"
	"mime"
	"net/http"

	"github.com/reachfive-community/reachfive/internal/bearer"
)

const (
	maxFormBytes = 64 << 10

	// maxFieldBytes limits the field of a form that was parsed before, whose
	// size may be unlimited, to the largest token that Verify accepts.
	maxFieldBytes = 16 << 10

	formContentType = "application/x-www-form-urlencoded"
)

// TokenSource is a place where a request may carry its ID token. FromBearer,
// FromForm, FromCookie and FromFunc make one for TokenFrom. Middleware panics
// on the zero TokenSource. No source reads the query string, because query
// strings end up in logs and in the Referer header.
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

// FromBearer reads "Authorization: Bearer TOKEN", with the scheme in any case
// (https://www.rfc-editor.org/rfc/rfc6750#section-2.1). Another scheme counts
// as no token. Two Authorization headers, an empty Bearer and a token that
// contains a comma or white space are CodeInvalidRequest.
func FromBearer() TokenSource { return TokenSource{kind: bearerSource} }

// FromForm reads a field of a posted form, as ReachFive's SPA page sends with
// "idtoken". It reads only the body of a POST of the type
// application/x-www-form-urlencoded, and at most 64 KiB of it
// (CodeBodyTooLarge). A field that appears twice and a form that
// http.Request.ParseForm rejects are CodeInvalidRequest. An empty field counts
// as no token, and so do a POST without a body and every other method.
//
// A POST of another type, and a form whose Content-Length is over 64 KiB, are not
// read. If another source has a token, the handler gets the whole body. If none
// has, the POST of another type is refused with CodeWrongContentType, unless the
// sign-in is Optional, and the form with CodeBodyTooLarge.
//
// A body that was read is used up: the handler finds the form's other fields
// in r.PostForm. The field itself is removed from r.Form and r.PostForm, also
// when the request is refused, so that no handler logs it. A form that was
// parsed before Middleware is used as it is, with the field limited to 16 KiB
// (CodeBodyTooLarge).
//
// A token from a form is accepted only from trusted origins: see
// TrustedOrigins.
func FromForm(field string) TokenSource { return TokenSource{kind: formSource, name: field} }

// FromCookie reads the cookie with this name. An empty cookie counts as no
// token; two cookies of the name are CodeInvalidRequest. A token from a cookie
// is accepted only from trusted origins: see TrustedOrigins.
func FromCookie(name string) TokenSource { return TokenSource{kind: cookieSource, name: name} }

// FromFunc reads the token with find, which returns "" if there is none. An
// *Error or a Code that find returns refuses the request with that Code, and any
// other error with CodeInvalidRequest. The request's origin is not checked, so find must not
// read what a browser sends by itself, such as a cookie: use FromCookie.
func FromFunc(find func(*http.Request) (string, error)) TokenSource {
	return TokenSource{kind: funcSource, find: find}
}

// checkSources panics on a source that can never work.
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
		case s.kind == cookieSource && (&http.Cookie{Name: s.name}).Valid() != nil: //nolint:gosec // no cookie is set, only its name is checked
			panic("reachfive: FromCookie: empty or impossible cookie name")
		case s.kind == funcSource && s.find == nil:
			panic("reachfive: FromFunc: nil function")
		case s.kind != funcSource && seen[k]:
			panic("reachfive: TokenFrom: the same source twice: every token would count as two")
		default:
			seen[k] = true
		}
	}
}

// foundToken is the token of a request.
type foundToken struct {
	token   string // "" for a visitor
	ambient bool   // from a form or a cookie: any page can make a browser send it
}

// findToken asks every source, even after one has failed: a form's field has
// to be removed from the form in any case.
func (m *middleware) findToken(w http.ResponseWriter, r *http.Request) (foundToken, error) {
	var (
		found  foundToken
		count  int
		failed error
		unread Code // why a form was not read
		parsed = r.PostForm != nil
	)
	for i := range m.sources {
		source := &m.sources[i]
		if source.kind == formSource {
			var hasForm bool
			if hasForm, unread = lookForForm(r, parsed); !hasForm {
				continue
			}
		}
		token, err := source.read(w, r, parsed)
		switch {
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
	case count == 1:
		return found, nil
	case unread == CodeBodyTooLarge || unread != "" && !m.optional:
		return foundToken{}, &Error{Code: unread}
	case m.optional:
		return foundToken{}, nil
	}
	return foundToken{}, &Error{Code: CodeMissingToken}
}

// read returns the source's token, "" if there is none.
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
	cookies := r.CookiesNamed(name)
	if len(cookies) > 1 {
		return "", &Error{Code: CodeInvalidRequest, detail: "two cookies of one name"}
	}
	if len(cookies) == 0 {
		return "", nil
	}
	return cookies[0].Value, nil
}

// lookForForm reports whether the request has a form to read, by its header
// alone. If its body is something else or too large, unread is the Code for
// it: a refusal only if no other source has a token.
func lookForForm(r *http.Request, parsed bool) (hasForm bool, unread Code) {
	contentType := r.Header.Get("Content-Type")
	if r.Method != http.MethodPost || contentType == "" && (r.Body == nil || r.Body == http.NoBody) {
		return false, ""
	}
	// ParseForm compares the same media type, and rejects a bad parameter.
	if mediaType, _, _ := mime.ParseMediaType(contentType); mediaType != formContentType {
		return false, CodeWrongContentType
	}
	// A client that waits for "100 Continue" then never sends the body.
	if !parsed && r.ContentLength > maxFormBytes {
		return false, CodeBodyTooLarge
	}
	return true, ""
}

// formToken reads the field and removes it from the form.
func formToken(w http.ResponseWriter, r *http.Request, field string, parsed bool) (string, error) {
	if r.PostForm == nil && r.Body != nil {
		r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
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
		return "", &Error{Code: CodeInvalidRequest, detail: "the form has the field twice"}
	case parsed && len(values[0]) > maxFieldBytes:
		return "", &Error{Code: CodeBodyTooLarge}
	}
	return values[0], nil
}
