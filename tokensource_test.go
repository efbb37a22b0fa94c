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
	t.Parallel()
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
			t.Parallel()
			got := send(t, protect(whoAmI), get(tt.authorization...))
			if code := got.code(t); code != tt.want || tt.subject != "" && got.body != tt.subject {
				t.Errorf("%d %s, want code %q, subject %q", got.StatusCode, got.body, tt.want, tt.subject)
			}
		})
	}
}

// net/http neither sends nor reads these, but other servers may.
func TestMiddlewareTakesNoWhiteSpaceInATokenThatAnAdapterHandsIn(t *testing.T) {
	t.Parallel()
	for _, c := range ", \t\n\v\f\r" {
		w := httptest.NewRecorder()
		protect(whoAmI).ServeHTTP(w, get("Bearer a"+string(c)+"b"))
		if w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d %s", c, w.Code, w.Body)
		}
	}
}

func TestMiddlewareSeesNoTokenInTheQuery(t *testing.T) {
	t.Parallel()
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

func TestMiddlewareReadsTheCookie(t *testing.T) {
	t.Parallel()
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
			t.Parallel()
			got := send(t, protect(whoAmI, reachfive.TokenFrom(reachfive.FromCookie("id"))), with(get(), "Cookie", tt.cookie))
			if code := got.code(t); code != tt.want || tt.subject != "" && got.body != tt.subject {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
		})
	}
}

func TestMiddlewareRefusesTwoTokensEvenWhenEqual(t *testing.T) {
	t.Parallel()
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

func TestFromFuncErrors(t *testing.T) {
	t.Parallel()
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
			t.Parallel()
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
	t.Parallel()
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
			t.Parallel()
			got := send(t, protect(whoAmI, reachfive.TokenFrom(tt.sources...)), get("Bearer a.b.c"))
			if got.code(t) != tt.want {
				t.Errorf("%d %s, want code %q", got.StatusCode, got.body, tt.want)
			}
		})
	}
}

// Only a body of another type is ignored if another source has a token. The
// same Code from a function is a refusal.
func TestAWrongContentTypeOfAFunctionIsARefusalBesideATokenToo(t *testing.T) {
	t.Parallel()
	wrongType := reachfive.FromFunc(func(*http.Request) (string, error) { return "", reachfive.CodeWrongContentType })
	got := send(t, protect(whoAmI, reachfive.TokenFrom(reachfive.FromBearer(), wrongType)), get("Bearer a.b.c"))
	if got.StatusCode != http.StatusUnsupportedMediaType || got.code(t) != reachfive.CodeWrongContentType {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

func TestFromFuncMayReturnTheEndOfTheRequest(t *testing.T) {
	t.Parallel()
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
			t.Parallel()
			w := httptest.NewRecorder()
			source := reachfive.FromFunc(func(r *http.Request) (string, error) { return "", tt.err(r) })
			protect(whoAmI, reachfive.TokenFrom(source)).ServeHTTP(w, get().WithContext(tt.ctx))
			if w.Code != tt.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tt.status)
			}
		})
	}
}
