package reachfive_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// outcome is the result of a request: a token, or a Code.
type outcome struct {
	token string
	code  reachfive.Code
}

func refused(code reachfive.Code) outcome { return outcome{code: code} }

// askFor sends r through the middleware. It calls inspect with the request that
// the handler or OnError gets.
func askFor(r *http.Request, source reachfive.TokenSource, inspect http.HandlerFunc) (got outcome) {
	h := protect(func(w http.ResponseWriter, r *http.Request) {
		if u, ok := reachfive.UserFromContext(r.Context()); ok {
			got.token = u.Subject
		}
		inspect(w, r)
	}, reachfive.TokenFrom(source), reachfive.OnError(func(_ http.ResponseWriter, r *http.Request, err error) {
		got.code = reachfive.CodeOf(err)
		inspect(nil, r)
	}))
	h.ServeHTTP(httptest.NewRecorder(), r)
	return got
}

// referenceBearer is a second implementation of FromBearer, with regular
// expressions.
func referenceBearer(headers []string) outcome {
	if len(headers) > 1 {
		return refused(reachfive.CodeInvalidRequest)
	}
	if len(headers) == 0 || headers[0] == "" {
		return refused(reachfive.CodeMissingToken)
	}
	good := regexp.MustCompile(`^[Bb][Ee][Aa][Rr][Ee][Rr] +([^ ,\t\n\v\f\r]+)$`)
	if match := good.FindStringSubmatch(headers[0]); match != nil {
		return outcome{token: match[1]}
	}
	scheme := regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]*").FindString(headers[0])
	if scheme == "" || regexp.MustCompile(`^[Bb][Ee][Aa][Rr][Ee][Rr]$`).MatchString(scheme) {
		return refused(reachfive.CodeInvalidRequest)
	}
	return refused(reachfive.CodeMissingToken)
}

func FuzzAuthorizationHeader(f *testing.F) {
	for _, seed := range []string{
		"Bearer a.b.c", "bearer  a", "BEARER a=", "Bearer", "Bearer ", "Bearer\ta", "Bearer \ta", "Bearer a b",
		"Bearer a,b", "Bearer a, Bearer b", "Bearer,a", "Bearer=a", "Basic dTpw", "Digest a=\"b\", c=d", "DPoP a", "a.b.c",
		"", " Bearer a", "\"Bearer\" a", "Bearer a\x00Bearer a", "Basic a\x00Bearer b", "\x00", "Bearer \u00a0a", "Bearer a\u2028b", "Bearer \xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		headers := strings.Split(text, "\x00") // no header can contain NUL
		got := askFor(get(headers...), reachfive.FromBearer(), func(http.ResponseWriter, *http.Request) {})
		require.Equal(t, referenceBearer(headers), got, "%q", headers)
	})
}

// formTypes are content types, and whether they are that of a form.
func formTypes() []struct {
	contentType string
	form        bool
} {
	return []struct {
		contentType string
		form        bool
	}{
		{"application/x-www-form-urlencoded", true},
		{"application/x-www-form-urlencoded; charset=UTF-8", true},
		{"Application/X-WWW-Form-URLencoded", true},
		{"multipart/form-data; boundary=b", false},
		{"application/json", false},
		{"text/plain", false},
		{"application/x-www-form-urlencoded-not", false},
	}
}

// referenceDecode reads one side of a pair (https://url.spec.whatwg.org/#urlencoded-parsing),
// but refuses a % that begins no escape.
func referenceDecode(text string) (string, bool) {
	var out []byte
	for text != "" {
		switch {
		case text[0] == '+':
			out, text = append(out, ' '), text[1:]
		case text[0] != '%':
			out, text = append(out, text[0]), text[1:]
		case len(text) < 3:
			return "", false
		default:
			value, err := strconv.ParseUint(text[1:3], 16, 8)
			if err != nil || strings.ContainsAny(text[1:3], "+-_") {
				return "", false
			}
			out, text = append(out, byte(value)), text[3:]
		}
	}
	return string(out), true
}

// referencePairs reads a form or a query; false if any part of it is malformed.
func referencePairs(text string) (map[string][]string, bool) {
	pairs := make(map[string][]string)
	pieces := strings.Split(text, "&")
	if len(pieces) > 10_000 { // net/url takes no more
		return nil, false
	}
	for _, piece := range pieces {
		if piece == "" {
			continue
		}
		name, value, _ := strings.Cut(piece, "=")
		name, goodName := referenceDecode(name)
		value, goodValue := referenceDecode(value)
		if !goodName || !goodValue || strings.Contains(piece, ";") {
			return nil, false
		}
		pairs[name] = append(pairs[name], value)
	}
	return pairs, true
}

// referenceForm returns the expected outcome, and the fields for the handler.
func referenceForm(body, query string, form bool) (outcome, map[string][]string) {
	if !form {
		return refused(reachfive.CodeWrongContentType), nil
	}
	if len(body) > 65536 {
		return refused(reachfive.CodeBodyTooLarge), nil
	}
	pairs, good := referencePairs(body)
	inQuery, goodQuery := referencePairs(query)
	if !good || !goodQuery || len(pairs["idtoken"]) > 1 {
		return refused(reachfive.CodeInvalidRequest), nil
	}
	if len(pairs["idtoken"]) == 0 || pairs["idtoken"][0] == "" {
		return refused(reachfive.CodeMissingToken), nil
	}
	token := pairs["idtoken"][0]
	for name, values := range inQuery {
		pairs[name] = append(pairs[name], values...)
	}
	delete(pairs, "idtoken")
	return outcome{token: token}, pairs
}

func FuzzFormSource(f *testing.F) {
	for i, seed := range []struct{ body, query string }{
		{"idtoken=a.b.c", ""},
		{"idtoken=a.b.c&next=%2Fhome+page", "page=2"},
		{"idtoken=", ""},
		{"", "idtoken=a.b.c"},
		{"idtoken=a&idtoken=b", ""},
		{"idtoken=a&%69dtoken=a", ""},
		{"%69dtoken=a", "idtoken=b"},
		{"idtoken=a;b=c", ""},
		{"idtoken=a&b=%zz", ""},
		{"idtoken=%", ""},
		{"idtoken=a", "%2"},
		{"idtoken", ""},
		{"=idtoken", ""},
		{"&&idtoken=a&&", "&"},
		{"idtoken=a=b", ""},
		{"IDTOKEN=a", ""},
		{"idtoken =a", ""},
		{"idtoken[]=a", ""},
		{`{"idtoken":"a"}`, ""},
		{"idtoken=%00%ff", ""},
	} {
		f.Add([]byte(seed.body), seed.query, uint8(i), uint32(0), i%2 == 0)
		f.Add([]byte(seed.body), seed.query, uint8(0), uint32(65536-len(seed.body)-len("&pad=")), i%2 == 0)
		f.Add([]byte(seed.body), seed.query, uint8(0), uint32(65537-len(seed.body)-len("&pad=")), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, start []byte, query string, kind uint8, pad uint32, chunked bool) {
		if pad > 0 {
			start = append(bytes.Clone(start), "&pad="+strings.Repeat("x", int(pad%70_000))...)
		}
		body, contentType := string(start), formTypes()[int(kind)%len(formTypes())]
		r := with(httptest.NewRequest(http.MethodPost, "/", nil), "Content-Type", contentType.contentType)
		r.URL = &url.URL{Path: "/", RawQuery: query}
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		if chunked {
			r.ContentLength = -1
		}
		want, fields := referenceForm(body, query, contentType.form)
		got := askFor(r, reachfive.FromForm("idtoken"), func(_ http.ResponseWriter, r *http.Request) {
			assert.NotContains(t, r.Form, "idtoken")
			assert.NotContains(t, r.PostForm, "idtoken")
			if want.code == "" {
				assert.Equal(t, url.Values(fields), r.Form)
			}
		})
		require.Equal(t, want, got, "body %.200q query %q", body, query)
	})
}
