package reachfive_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/reachfive-community/reachfive"
)

func TestMiddlewareReadsTheFormStrictly(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 64<<10)
	request := func(method, contentType, body string) *http.Request {
		r := httptest.NewRequest(method, "/", strings.NewReader(body))
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		return r
	}
	chunked := func(body string) *http.Request {
		r := postForm("")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), -1
		return r
	}
	query := func(r *http.Request, raw string) *http.Request {
		r.URL.RawQuery = raw
		return r
	}
	empty := httptest.NewRequest(http.MethodPost, "/", nil)
	tests := []struct {
		name    string
		request *http.Request
		subject string
		want    reachfive.Code
	}{
		{"the form of the page", postForm("idtoken=a.b.c"), "a.b.c", ""},
		{"other fields beside it", postForm("a=1&idtoken=a.b.c&b=2"), "a.b.c", ""},
		{"content type with a charset", with(postForm("idtoken=a.b.c"), "Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"), "a.b.c", ""},
		{"content type in upper case", with(postForm("idtoken=a.b.c"), "Content-Type", "APPLICATION/X-WWW-FORM-URLENCODED"), "a.b.c", ""},
		{"chunked body", chunked("idtoken=a.b.c"), "a.b.c", ""},
		{"exactly 64 KiB", postForm("idtoken=a.b.c&x=" + big[:64<<10-len("idtoken=a.b.c&x=")]), "a.b.c", ""},
		{"64 KiB and one byte", postForm("idtoken=a.b.c&x=" + big[:64<<10-len("idtoken=a.b.c&x=")+1]), "", reachfive.CodeBodyTooLarge},
		{"64 KiB and one byte, chunked", chunked("idtoken=a.b.c&x=" + big[:64<<10-len("idtoken=a.b.c&x=")+1]), "", reachfive.CodeBodyTooLarge},
		{"a field of more than 16 KiB", postForm("idtoken=" + big[:20<<10]), big[:20<<10], ""},
		{"no field", postForm("other=a.b.c"), "", reachfive.CodeMissingToken},
		{"empty field", postForm("idtoken="), "", reachfive.CodeMissingToken},
		{"field in another case", postForm("IDToken=a.b.c"), "", reachfive.CodeMissingToken},
		{"empty form", postForm(""), "", reachfive.CodeMissingToken},
		{"POST without a body or a type", empty, "", reachfive.CodeMissingToken},
		{"two fields", postForm("idtoken=a.b.c&idtoken=d.e.f"), "", reachfive.CodeInvalidRequest},
		{"two equal fields", postForm("idtoken=a.b.c&idtoken=a.b.c"), "", reachfive.CodeInvalidRequest},
		{"two fields, one empty", postForm("idtoken=&idtoken=a.b.c"), "", reachfive.CodeInvalidRequest},
		{"a bad escape after the field", postForm("idtoken=a.b.c&x=%zz"), "", reachfive.CodeInvalidRequest},
		{"a semicolon after the field", postForm("idtoken=a.b.c&x;y"), "", reachfive.CodeInvalidRequest},
		{"a bad escape in the query", query(postForm("idtoken=a.b.c"), "x=%zz"), "", reachfive.CodeInvalidRequest},
		{"a bad content type parameter", with(postForm("idtoken=a.b.c"), "Content-Type", "application/x-www-form-urlencoded; charset"), "", reachfive.CodeInvalidRequest},
		{"multipart", request("POST", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"idtoken\"\r\n\r\na.b.c\r\n--b--\r\n"), "", reachfive.CodeWrongContentType},
		{"JSON", request("POST", "application/json", `{"idtoken":"a.b.c"}`), "", reachfive.CodeWrongContentType},
		{"plain text", request("POST", "text/plain", "idtoken=a.b.c"), "", reachfive.CodeWrongContentType},
		{"a body without a type", request("POST", "", "idtoken=a.b.c"), "", reachfive.CodeWrongContentType},
		{"two types in one header", request("POST", "application/x-www-form-urlencoded, text/plain", "idtoken=a.b.c"), "", reachfive.CodeWrongContentType},
		{"GET", request("GET", "application/x-www-form-urlencoded", "idtoken=a.b.c"), "", reachfive.CodeMissingToken},
		{"PUT", request("PUT", "application/x-www-form-urlencoded", "idtoken=a.b.c"), "", reachfive.CodeMissingToken},
		{"PATCH of JSON", request("PATCH", "application/json", `{}`), "", reachfive.CodeMissingToken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := send(t, protect(whoAmI, reachfive.TokenFrom(reachfive.FromForm("idtoken"))), tt.request)
			if code := got.code(t); code != tt.want || tt.subject != "" && got.body != tt.subject {
				t.Errorf("%d %s, want code %q, subject %q", got.StatusCode, got.body, tt.want, tt.subject)
			}
		})
	}
}

// No server makes such a request, but a handler's test may.
func TestMiddlewareTakesARequestWithANilBody(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]int{"": http.StatusUnauthorized, "text/plain": http.StatusUnsupportedMediaType} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Body = nil
		w := httptest.NewRecorder()
		protect(whoAmI, reachfive.TokenFrom(reachfive.FromForm("idtoken"))).ServeHTTP(w, with(r, "Content-Type", contentType))
		if w.Code != want {
			t.Errorf("%q: %d %s", contentType, w.Code, w.Body)
		}
	}
}

// endless is a body without an end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestMiddlewareReadsNoMoreThan64KiBOfAForm(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{-1, 100 << 20} {
		body := new(endless)
		r := postForm("")
		r.Body, r.ContentLength = io.NopCloser(body), length
		w := httptest.NewRecorder()
		protect(whoAmI, reachfive.TokenFrom(reachfive.FromForm("idtoken"))).ServeHTTP(w, r)
		if w.Code != http.StatusRequestEntityTooLarge || body.read > 128<<10 || length > 0 && body.read > 0 {
			t.Errorf("length %d: status %d after %d bytes", length, w.Code, body.read)
		}
	}
}

func TestMiddlewareKeepsAnOuterBodyLimit(t *testing.T) {
	t.Parallel()
	h := http.MaxBytesHandler(protect(whoAmI, reachfive.TokenFrom(reachfive.FromForm("idtoken"))), 8)
	r := postForm("")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader("idtoken=a.b.c")), -1
	if got := send(t, h, r); got.code(t) != reachfive.CodeBodyTooLarge {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

func TestMiddlewareTakesTheTokenOutOfTheForm(t *testing.T) {
	t.Parallel()
	source := reachfive.TokenFrom(reachfive.FromForm("idtoken"))
	check := func(t *testing.T, r *http.Request) {
		t.Helper()
		if r.Form.Has("idtoken") || r.PostForm.Has("idtoken") || r.FormValue("idtoken") != "" {
			t.Errorf("Form %v, PostForm %v", r.Form, r.PostForm)
		}
	}
	accepted := func(w http.ResponseWriter, r *http.Request) {
		check(t, r)
		if r.PostFormValue("next") != "/a" || r.FormValue("page") != "2" {
			t.Errorf("other fields are gone: Form %v, PostForm %v", r.Form, r.PostForm)
		}
		whoAmI(w, r)
	}
	request := func(body string) *http.Request {
		r := postForm(body)
		r.URL.RawQuery = "page=2&idtoken=from-the-query"
		return r
	}
	t.Run("read by the middleware", func(t *testing.T) {
		t.Parallel()
		if got := send(t, protect(accepted, source), request("idtoken=a.b.c&next=/a")); got.body != "a.b.c" {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
	})
	t.Run("parsed before", func(t *testing.T) {
		t.Parallel()
		outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			protect(accepted, source).ServeHTTP(w, r)
			check(t, r)
		})
		if got := send(t, outer, request("idtoken=a.b.c&next=/a")); got.body != "a.b.c" {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
	})
	t.Run("beside a malformed Bearer", func(t *testing.T) {
		t.Parallel()
		seen := false
		h := protect(accepted, reachfive.TokenFrom(reachfive.FromBearer(), reachfive.FromForm("idtoken")),
			reachfive.OnError(func(_ http.ResponseWriter, r *http.Request, err error) {
				seen = errors.Is(err, reachfive.CodeInvalidRequest) && r.PostForm.Get("next") == "/a"
				check(t, r)
			}))
		send(t, h, with(request("idtoken=a.b.c&next=/a"), "Authorization", "Bearer"))
		if !seen {
			t.Error("the form was not read")
		}
	})
	for _, body := range []string{"idtoken=a&idtoken=b", "idtoken=a.b.c&x=%zz"} {
		t.Run("refused "+body, func(t *testing.T) {
			t.Parallel()
			onError := reachfive.OnError(func(w http.ResponseWriter, r *http.Request, _ error) {
				check(t, r)
				w.WriteHeader(http.StatusTeapot)
			})
			if got := send(t, protect(accepted, source, onError), request(body)); got.StatusCode != http.StatusTeapot {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
		})
	}
}

func TestMiddlewareTakesAFormThatWasParsedBefore(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		status     int
	}{
		{"small", "idtoken=a.b.c", 200},
		{"large, with a small field", "idtoken=a.b.c&x=" + strings.Repeat("x", 100<<10), 200},
		{"a field of 16 KiB", "idtoken=" + strings.Repeat("x", 16<<10), 200},
		{"a larger field", "idtoken=" + strings.Repeat("x", 16<<10+1), 413},
		{"two fields", "idtoken=a.b.c&idtoken=d.e.f", 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inner := protect(whoAmI, reachfive.TokenFrom(reachfive.FromForm("idtoken")))
			got := send(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := r.ParseForm(); err != nil {
					t.Error(err)
				}
				inner.ServeHTTP(w, r)
			}), postForm(tt.body))
			if got.StatusCode != tt.status {
				t.Errorf("%d %.200s, want %d", got.StatusCode, got.body, tt.status)
			}
		})
	}
}

func TestMiddlewareSurvivesARequestWithoutABody(t *testing.T) {
	t.Parallel()
	r := postForm("")
	r.Body = nil
	w := httptest.NewRecorder()
	protect(whoAmI, reachfive.TokenFrom(reachfive.FromForm("idtoken"))).ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Errorf("status %d", w.Code)
	}
}

// The header alone tells that the body is no form, or one that is too large.
func TestABodyThatIsNotReadIsRefusedOnlyIfNoOtherSourceHasAToken(t *testing.T) {
	t.Parallel()
	const jsonBody = `{"a":1}`
	largeBody := "x=" + strings.Repeat("x", 64<<10-1) // 64 KiB and one byte
	json := func() *http.Request { return with(postForm(jsonBody), "Content-Type", "application/json") }
	large := func() *http.Request { return postForm(largeBody) }
	chunked := func() *http.Request {
		r := large()
		r.ContentLength = -1
		return r
	}
	optional := []reachfive.MiddlewareOption{reachfive.Optional()}
	for _, order := range [][]reachfive.TokenSource{
		{reachfive.FromForm("idtoken"), reachfive.FromBearer(), reachfive.FromCookie("id")},
		{reachfive.FromCookie("id"), reachfive.FromBearer(), reachfive.FromForm("idtoken"), reachfive.FromForm("token")},
	} {
		tests := []struct {
			name    string
			request *http.Request
			opts    []reachfive.MiddlewareOption
			want    reachfive.Code // "": the handler gets the whole body
			body    string
		}{
			{"JSON", json(), nil, reachfive.CodeWrongContentType, ""},
			{"JSON with Bearer", with(json(), "Authorization", "Bearer a.b.c"), nil, "", jsonBody},
			{"JSON with a cookie", with(json(), "Cookie", "id=a.b.c"), nil, "", jsonBody},
			{"JSON with an empty Bearer", with(json(), "Authorization", "Bearer"), nil, reachfive.CodeInvalidRequest, ""},
			{"JSON of a visitor", json(), optional, "", jsonBody},
			{"large", large(), nil, reachfive.CodeBodyTooLarge, ""},
			{"large with Bearer", with(large(), "Authorization", "Bearer a.b.c"), nil, "", largeBody},
			{"large with a cookie", with(large(), "Cookie", "id=a.b.c"), nil, "", largeBody},
			{"large with two tokens", with(with(large(), "Authorization", "Bearer a.b.c"), "Cookie", "id=a.b.c"), nil, reachfive.CodeInvalidRequest, ""},
			{"large with an empty Bearer", with(large(), "Authorization", "Bearer"), nil, reachfive.CodeInvalidRequest, ""},
			// It may hold a token: a sign-in is not turned into a visit.
			{"large, of a visitor", large(), optional, reachfive.CodeBodyTooLarge, ""},
			{"large with Bearer, its size not announced", with(chunked(), "Authorization", "Bearer a.b.c"), nil, reachfive.CodeBodyTooLarge, ""},
		}
		for _, tt := range tests {
			var body []byte
			read := func(_ http.ResponseWriter, r *http.Request) { body, _ = io.ReadAll(r.Body) }
			got := send(t, protect(read, append(tt.opts, reachfive.TokenFrom(order...))...), tt.request)
			if code := got.code(t); code != tt.want || string(body) != tt.body {
				t.Errorf("%s: %d %s, want %q; the handler got %d bytes, want %d", tt.name, got.StatusCode, got.body, tt.want, len(body), len(tt.body))
			}
		}
	}
}

func TestAParsedBodyOfAnotherTypeIsStillOfAnotherType(t *testing.T) {
	t.Parallel()
	inner := protect(whoAmI, reachfive.TokenFrom(reachfive.FromForm("idtoken")))
	outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 10); err != nil {
			t.Error(err)
		}
		inner.ServeHTTP(w, r)
	})
	r := postForm("--b\r\nContent-Disposition: form-data; name=\"idtoken\"\r\n\r\na.b.c\r\n--b--\r\n")
	if got := send(t, outer, with(r, "Content-Type", "multipart/form-data; boundary=b")); got.code(t) != reachfive.CodeWrongContentType {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}
