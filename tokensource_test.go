package reachfive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reachfive-community/reachfive"
)

func TestMiddlewareReadsTheAuthorizationHeaderStrictly(t *testing.T) {
	tests := []struct {
		name          string
		authorization []string
		subject       string // "" means refused with want
		want          reachfive.Code
	}{
		{"bearer", []string{"Bearer a.b.c"}, "a.b.c", ""},
		{"lower-case scheme", []string{"bearer a.b.c"}, "a.b.c", ""},
		{"upper-case scheme", []string{"BEARER a.b.c"}, "a.b.c", ""},
		{"several spaces before the token", []string{"Bearer   a.b.c"}, "a.b.c", ""},
		{"no header", nil, "", reachfive.CodeMissingToken},
		{"empty header", []string{""}, "", reachfive.CodeMissingToken},
		{"basic", []string{"Basic dTpw"}, "", reachfive.CodeMissingToken},
		{"DPoP", []string{"DPoP a.b.c"}, "", reachfive.CodeMissingToken},
		{"a scheme that only starts so", []string{"BearerToken a.b.c"}, "", reachfive.CodeMissingToken},
		{"a token without a scheme", []string{"a.b.c"}, "", reachfive.CodeMissingToken},
		{"empty bearer", []string{"Bearer"}, "", reachfive.CodeInvalidRequest},
		{"bearer and a space", []string{"Bearer "}, "", reachfive.CodeInvalidRequest},
		{"tab before the token", []string{"Bearer\ta.b.c"}, "", reachfive.CodeInvalidRequest},
		{"space and tab before the token", []string{"Bearer \ta.b.c"}, "", reachfive.CodeInvalidRequest},
		{"space in the token", []string{"Bearer a.b .c"}, "", reachfive.CodeInvalidRequest},
		{"tab in the token", []string{"Bearer a.b\t.c"}, "", reachfive.CodeInvalidRequest},
		{"comma in the token", []string{"Bearer a.b,c"}, "", reachfive.CodeInvalidRequest},
		{"two tokens joined by a comma", []string{"Bearer a.b.c, Bearer d.e.f"}, "", reachfive.CodeInvalidRequest},
		{"comma after the scheme", []string{"Bearer, Bearer a.b.c"}, "", reachfive.CodeInvalidRequest},
		{"equals sign after the scheme", []string{"Bearer=a.b.c"}, "", reachfive.CodeInvalidRequest},
		{"quoted scheme", []string{`"Bearer" a.b.c`}, "", reachfive.CodeInvalidRequest},
		{"two headers", []string{"Bearer a.b.c", "Bearer d.e.f"}, "", reachfive.CodeInvalidRequest},
		{"two equal headers", []string{"Bearer a.b.c", "Bearer a.b.c"}, "", reachfive.CodeInvalidRequest},
		{"basic and bearer headers", []string{"Basic dTpw", "Bearer a.b.c"}, "", reachfive.CodeInvalidRequest},
		{"two headers without a token", []string{"Basic dTpw", "Basic dTpw"}, "", reachfive.CodeInvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, protect(whoAmI), get(tt.authorization...))
			if code := got.code(t); code != tt.want || tt.subject != "" && got.body != tt.subject {
				t.Errorf("%d %s, want code %q, subject %q", got.StatusCode, got.body, tt.want, tt.subject)
			}
		})
	}
}

// net/http sends and reads none of these, but not every server is net/http.
func TestMiddlewareTakesNoWhiteSpaceInATokenThatAnAdapterHandsIn(t *testing.T) {
	for _, c := range ", \t\n\v\f\r" {
		w := httptest.NewRecorder()
		protect(whoAmI).ServeHTTP(w, get("Bearer a"+string(c)+"b"))
		if w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d %s", c, w.Code, w.Body)
		}
	}
}

func TestMiddlewareSeesNoTokenInTheQuery(t *testing.T) {
	sources := reachfive.TokenFrom(reachfive.FromBearer(), reachfive.FromForm("idtoken"), reachfive.FromCookie("idtoken"))
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		r := httptest.NewRequest(method, "/?idtoken=a.b.c&access_token=a.b.c", nil)
		if got := send(t, protect(whoAmI, sources), r); got.code(t) != reachfive.CodeMissingToken {
			t.Errorf("%s: %d %s", method, got.StatusCode, got.body)
		}
	}
	r := postForm("other=1")
	r.URL.RawQuery = "idtoken=a.b.c"
	if got := send(t, protect(whoAmI, sources), r); got.code(t) != reachfive.CodeMissingToken {
		t.Errorf("form: %d %s", got.StatusCode, got.body)
	}
}

func TestMiddlewareReadsTheFormStrictly(t *testing.T) {
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
			got := send(t, protect(whoAmI, reachfive.TokenFrom(reachfive.FromForm("idtoken"))), tt.request)
			if code := got.code(t); code != tt.want || tt.subject != "" && got.body != tt.subject {
				t.Errorf("%d %s, want code %q, subject %q", got.StatusCode, got.body, tt.want, tt.subject)
			}
		})
	}
}

// endless is a body that only a limit ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestMiddlewareReadsNoMoreThan64KiBOfAForm(t *testing.T) {
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
	h := http.MaxBytesHandler(protect(whoAmI, reachfive.TokenFrom(reachfive.FromForm("idtoken"))), 8)
	r := postForm("")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader("idtoken=a.b.c")), -1
	if got := send(t, h, r); got.code(t) != reachfive.CodeBodyTooLarge {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

func TestMiddlewareTakesTheTokenOutOfTheForm(t *testing.T) {
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
		if got := send(t, protect(accepted, source), request("idtoken=a.b.c&next=/a")); got.body != "a.b.c" {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
	})
	t.Run("parsed before", func(t *testing.T) {
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
	for _, body := range []string{"idtoken=a&idtoken=b", "idtoken=a.b.c&x=%zz"} {
		t.Run("refused "+body, func(t *testing.T) {
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
	r := postForm("")
	r.Body = nil
	w := httptest.NewRecorder()
	protect(whoAmI, reachfive.TokenFrom(reachfive.FromForm("idtoken"))).ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Errorf("status %d", w.Code)
	}
}

func TestMiddlewareReadsTheCookie(t *testing.T) {
	tests := []struct {
		name, cookie, subject string
		want                  reachfive.Code
	}{
		{"one", "a=1; id=a.b.c; b=2", "a.b.c", ""},
		{"none", "a=1", "", reachfive.CodeMissingToken},
		{"empty", "id=", "", reachfive.CodeMissingToken},
		{"name in another case", "ID=a.b.c", "", reachfive.CodeMissingToken},
		{"two", "id=a.b.c; id=d.e.f", "", reachfive.CodeInvalidRequest},
		{"two equal ones", "id=a.b.c; id=a.b.c", "", reachfive.CodeInvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, protect(whoAmI, reachfive.TokenFrom(reachfive.FromCookie("id"))), with(get(), "Cookie", tt.cookie))
			if code := got.code(t); code != tt.want || tt.subject != "" && got.body != tt.subject {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
		})
	}
}

func TestMiddlewareRefusesTwoTokensEvenWhenEqual(t *testing.T) {
	fromHeader := reachfive.FromFunc(func(r *http.Request) (string, error) { return r.Header.Get("X-Id-Token"), nil })
	all := reachfive.TokenFrom(reachfive.FromBearer(), reachfive.FromForm("idtoken"), reachfive.FromCookie("id"), fromHeader)
	add := map[string]func(*http.Request){
		"bearer": func(r *http.Request) { r.Header.Set("Authorization", "Bearer a.b.c") },
		"cookie": func(r *http.Request) { r.Header.Set("Cookie", "id=a.b.c") },
		"func":   func(r *http.Request) { r.Header.Set("X-Id-Token", "a.b.c") },
		"form": func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("idtoken=a.b.c")), 13
		},
	}
	for first := range add {
		for second := range add {
			r := postForm("")
			add[first](r)
			add[second](r)
			got := send(t, protect(whoAmI, all), r)
			if want := map[bool]int{true: 200, false: 400}[first == second]; got.StatusCode != want {
				t.Errorf("%s and %s: %d %s, want %d", first, second, got.StatusCode, got.body, want)
			}
		}
	}
}

func TestMiddlewareAnswersAWrongTypeOnlyIfNoOtherSourceHasAToken(t *testing.T) {
	sources := reachfive.TokenFrom(reachfive.FromForm("idtoken"), reachfive.FromBearer())
	json := func() *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"a":1}`))
		r.Header.Set("Content-Type", "application/json")
		return r
	}
	readsBody := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}
	tests := []struct {
		name    string
		request *http.Request
		opts    []reachfive.MiddlewareOption
		status  int
	}{
		{"JSON", json(), nil, 415},
		{"JSON with Bearer", with(json(), "Authorization", "Bearer a.b.c"), nil, 200},
		{"JSON with an empty Bearer", with(json(), "Authorization", "Bearer"), nil, 400},
		{"JSON of a visitor", json(), []reachfive.MiddlewareOption{reachfive.Optional()}, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, protect(readsBody, append(tt.opts, sources)...), tt.request)
			if got.StatusCode != tt.status || tt.status == 200 && got.body != `{"a":1}` {
				t.Errorf("%d %s, want %d", got.StatusCode, got.body, tt.status)
			}
		})
	}
}

func TestMiddlewareChecksTheOriginOfFormsAndCookies(t *testing.T) {
	const site = "Sec-Fetch-Site"
	form := reachfive.TokenFrom(reachfive.FromForm("idtoken"))
	cookie := reachfive.TokenFrom(reachfive.FromCookie("id"))
	bearer := reachfive.TokenFrom(reachfive.FromBearer(), reachfive.FromForm("idtoken"), reachfive.FromCookie("id"))
	fromFunc := reachfive.TokenFrom(reachfive.FromFunc(func(*http.Request) (string, error) { return "a.b.c", nil }))
	trusted := reachfive.TrustedOrigins("https://APP.example.com:443", "http://localhost:8080")

	postCookie := func() *http.Request {
		return with(httptest.NewRequest(http.MethodPost, "/", nil), "Cookie", "id=a.b.c")
	}
	crossSite := func(r *http.Request, origin string) *http.Request {
		return with(with(r, site, "cross-site"), "Origin", origin)
	}
	posted := func() *http.Request { return postForm("idtoken=a.b.c") }
	tests := []struct {
		name    string
		request *http.Request
		opts    []reachfive.MiddlewareOption
		want    reachfive.Code
	}{
		{"cross-site form", crossSite(posted(), "https://evil.example"), []reachfive.MiddlewareOption{form}, reachfive.CodeUntrustedOrigin},
		{"cross-site cookie", crossSite(postCookie(), "https://evil.example"), []reachfive.MiddlewareOption{cookie}, reachfive.CodeUntrustedOrigin},
		{"same-site form", with(posted(), site, "same-site"), []reachfive.MiddlewareOption{form}, reachfive.CodeUntrustedOrigin},
		{"same-origin form", with(posted(), site, "same-origin"), []reachfive.MiddlewareOption{form}, ""},
		{"form without a browser", posted(), []reachfive.MiddlewareOption{form}, ""},
		{"old browser, another origin", with(posted(), "Origin", "https://evil.example"), []reachfive.MiddlewareOption{form}, reachfive.CodeUntrustedOrigin},
		{"origin null", crossSite(posted(), "null"), []reachfive.MiddlewareOption{form, trusted}, reachfive.CodeUntrustedOrigin},
		{"trusted form", crossSite(posted(), "https://app.example.com"), []reachfive.MiddlewareOption{form, trusted}, ""},
		{"trusted cookie", crossSite(postCookie(), "http://localhost:8080"), []reachfive.MiddlewareOption{cookie, trusted}, ""},
		{"a trusted host under another scheme", crossSite(posted(), "http://app.example.com"), []reachfive.MiddlewareOption{form, trusted}, reachfive.CodeUntrustedOrigin},
		{"a trusted host on another port", crossSite(posted(), "http://localhost:8081"), []reachfive.MiddlewareOption{form, trusted}, reachfive.CodeUntrustedOrigin},
		{"below a trusted host", crossSite(posted(), "https://x.app.example.com"), []reachfive.MiddlewareOption{form, trusted}, reachfive.CodeUntrustedOrigin},
		{"any origin", crossSite(posted(), "https://evil.example"), []reachfive.MiddlewareOption{form, reachfive.InsecureAnyOrigin()}, ""},
		{"cross-site form, optional", crossSite(posted(), "https://evil.example"), []reachfive.MiddlewareOption{form, reachfive.Optional()}, reachfive.CodeUntrustedOrigin},
		{"cross-site Bearer", crossSite(with(httptest.NewRequest(http.MethodPost, "/", nil), "Authorization", "Bearer a.b.c"), "https://evil.example"), []reachfive.MiddlewareOption{bearer}, ""},
		{"cross-site FromFunc", crossSite(postForm(""), "https://evil.example"), []reachfive.MiddlewareOption{fromFunc}, ""},
		{"cross-site GET with a cookie", crossSite(with(get(), "Cookie", "id=a.b.c"), "https://evil.example"), []reachfive.MiddlewareOption{cookie}, ""},
		{"cross-site visitor", crossSite(postForm("a=1"), "https://evil.example"), []reachfive.MiddlewareOption{form, reachfive.Optional()}, ""},
		{"cross-site without a token", crossSite(postForm("a=1"), "https://evil.example"), []reachfive.MiddlewareOption{form}, reachfive.CodeMissingToken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, protect(whoAmI, tt.opts...), tt.request)
			if code := got.code(t); code != tt.want {
				t.Errorf("%d %s, want code %q", got.StatusCode, got.body, tt.want)
			}
		})
	}
}

func TestTrustedOriginsAreWrittenAsABrowserWritesThem(t *testing.T) {
	tests := []struct{ configured, sent string }{
		{"https://app.example.com", "https://app.example.com"},
		{"HTTPS://App.Example.COM", "https://app.example.com"},
		{"https://app.example.com:443", "https://app.example.com"},
		{"http://app.example.com:80", "http://app.example.com"},
		{"http://app.example.com:443", "http://app.example.com:443"},
		{"https://app.example.com:08443", "https://app.example.com:8443"},
		{"http://[::1]:3000", "http://[::1]:3000"},
		{"https://[::1]:443", "https://[::1]"},
		{"capacitor://localhost", "capacitor://localhost"},
	}
	for _, tt := range tests {
		t.Run(tt.configured, func(t *testing.T) {
			h := protect(whoAmI, reachfive.TokenFrom(reachfive.FromForm("idtoken")), reachfive.TrustedOrigins(tt.configured))
			r := with(with(postForm("idtoken=a.b.c"), "Sec-Fetch-Site", "cross-site"), "Origin", tt.sent)
			if got := send(t, h, r); got.StatusCode != http.StatusOK {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
		})
	}
}

func TestFromFuncErrors(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want reachfive.Code
	}{
		{"a plain error", errors.New("SECRET"), reachfive.CodeInvalidRequest},
		{"an Error", &reachfive.Error{Code: reachfive.CodeKeysUnavailable}, reachfive.CodeKeysUnavailable},
		{"an Error of no Code", &reachfive.Error{}, reachfive.CodeInvalidRequest},
		{"a Code", reachfive.CodeMalformedToken, reachfive.CodeMalformedToken},
		{"a Code of the form source", reachfive.CodeWrongContentType, reachfive.CodeWrongContentType},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var told error
			source := reachfive.TokenFrom(reachfive.FromFunc(func(*http.Request) (string, error) { return "a.b.c", tt.err }))
			got := send(t, protect(whoAmI, source), get())
			if got.code(t) != tt.want || strings.Contains(got.body, "SECRET") {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
			send(t, protect(whoAmI, source, reachfive.OnError(func(_ http.ResponseWriter, _ *http.Request, err error) { told = err })), get())
			if !errors.Is(told, tt.err) || strings.Contains(told.Error(), "SECRET") {
				t.Errorf("OnError was told %v", told)
			}
		})
	}
}

func TestTheFirstSourceThatFailsDecides(t *testing.T) {
	failing := func(err error) reachfive.TokenSource {
		return reachfive.FromFunc(func(*http.Request) (string, error) { return "", err })
	}
	one, other := failing(reachfive.CodeMalformedToken), failing(reachfive.CodeForbidden)
	for _, tt := range []struct {
		name    string
		sources []reachfive.TokenSource
		want    reachfive.Code
	}{
		{"one before the other", []reachfive.TokenSource{one, other}, reachfive.CodeMalformedToken},
		{"the other before the one", []reachfive.TokenSource{other, one}, reachfive.CodeForbidden},
		{"after a source with a token", []reachfive.TokenSource{reachfive.FromBearer(), other, one}, reachfive.CodeForbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, protect(whoAmI, reachfive.TokenFrom(tt.sources...)), get("Bearer a.b.c"))
			if got.code(t) != tt.want {
				t.Errorf("%d %s, want code %q", got.StatusCode, got.body, tt.want)
			}
		})
	}
}

// Only a form of another type is nothing to ask about when another source has a
// token. A function that says so means it.
func TestAWrongContentTypeOfAFunctionIsARefusalBesideATokenToo(t *testing.T) {
	wrongType := reachfive.FromFunc(func(*http.Request) (string, error) { return "", reachfive.CodeWrongContentType })
	got := send(t, protect(whoAmI, reachfive.TokenFrom(reachfive.FromBearer(), wrongType)), get("Bearer a.b.c"))
	if got.StatusCode != http.StatusUnsupportedMediaType || got.code(t) != reachfive.CodeWrongContentType {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

func TestFromFuncMayReturnTheEndOfTheRequest(t *testing.T) {
	deadline, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name   string
		ctx    context.Context
		err    func(*http.Request) error
		status int
	}{
		{"its client has gone", canceled, func(r *http.Request) error { return r.Context().Err() }, 499},
		{"its time has run out", deadline, func(r *http.Request) error { return r.Context().Err() }, 503},
		{"in words", deadline, func(r *http.Request) error { return fmt.Errorf("asking: %w", r.Context().Err()) }, 503},
		{"the end of something else", canceled, func(*http.Request) error { return context.DeadlineExceeded }, 400},
		{"the end of something else before its own", t.Context(), func(*http.Request) error { return context.Canceled }, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			source := reachfive.FromFunc(func(r *http.Request) (string, error) { return "", tt.err(r) })
			protect(whoAmI, reachfive.TokenFrom(source)).ServeHTTP(w, get().WithContext(tt.ctx))
			if w.Code != tt.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tt.status)
			}
		})
	}
}
