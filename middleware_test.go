package reachfive_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/reachfive-community/reachfive"
)

// verifierFunc is a TokenVerifier for tests of the code around one.
type verifierFunc func(ctx context.Context, idToken string, checks ...reachfive.Check) (*reachfive.User, error)

func (f verifierFunc) Verify(ctx context.Context, idToken string, checks ...reachfive.Check) (*reachfive.User, error) {
	return f(ctx, idToken, checks...)
}

// acceptAll accepts every token, uses it as the subject, and runs the checks.
func acceptAll(ctx context.Context, idToken string, checks ...reachfive.Check) (*reachfive.User, error) {
	u := &reachfive.User{Subject: idToken}
	for _, check := range checks {
		if err := check(ctx, u); err != nil {
			return nil, err
		}
	}
	return u, nil
}

func refuseWith(err error) verifierFunc {
	return func(context.Context, string, ...reachfive.Check) (*reachfive.User, error) { return nil, err }
}

// whoAmI answers with the subject, or "visitor".
func whoAmI(w http.ResponseWriter, r *http.Request) {
	name := "visitor"
	if u, ok := reachfive.UserFromContext(r.Context()); ok {
		name = u.Subject
	}
	_, _ = io.WriteString(w, name)
}

type answer struct {
	*http.Response
	body string
}

// code returns the Code at the start of the body's description, "" for an
// accepted request.
func (a answer) code(t *testing.T) reachfive.Code {
	t.Helper()
	if a.StatusCode == http.StatusOK {
		return ""
	}
	var body struct {
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("status %d, body %q: %v", a.StatusCode, a.body, err)
	}
	code, _, _ := strings.Cut(body.Description, ":")
	return reachfive.Code(code)
}

// send sends r, whose URL is a path, to a server that is up for this request.
func send(t *testing.T, h http.Handler, r *http.Request) answer {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	r.RequestURI = ""
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Scheme, r.URL.Host = base.Scheme, base.Host
	if r.Host == "example.com" { // what httptest.NewRequest puts there
		r.Host = base.Host
	}
	client := srv.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, string(body)}
}

func get(authorization ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if authorization != nil {
		r.Header["Authorization"] = authorization
	}
	return r
}

func postForm(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func with(r *http.Request, header, value string) *http.Request {
	r.Header.Set(header, value)
	return r
}

func protect(h http.HandlerFunc, opts ...reachfive.MiddlewareOption) http.Handler {
	return reachfive.Middleware(verifierFunc(acceptAll), opts...)(h)
}

func TestWiringMistakesPanic(t *testing.T) {
	t.Parallel()
	v := verifierFunc(acceptAll)
	option := func(opt func() reachfive.MiddlewareOption) func() {
		return func() { reachfive.Middleware(v, opt()) }
	}
	source := func(sources ...reachfive.TokenSource) func() {
		return func() { reachfive.Middleware(v, reachfive.TokenFrom(sources...)) }
	}
	mistakes := map[string]func(){
		"nil verifier":              func() { reachfive.Middleware(nil) },
		"nil *Verifier":             func() { reachfive.Middleware((*reachfive.Verifier)(nil)) },
		"nil *IssuerVerifier":       func() { reachfive.Middleware((*reachfive.IssuerVerifier)(nil)) },
		"nil handler":               func() { reachfive.Middleware(v)(nil) },
		"nil option":                func() { reachfive.Middleware(v, nil) },
		"empty field":               source(reachfive.FromForm("")),
		"empty cookie name":         source(reachfive.FromCookie("")),
		"impossible cookie name":    source(reachfive.FromCookie("a b")),
		"nil FromFunc":              source(reachfive.FromFunc(nil)),
		"zero source":               source(reachfive.TokenSource{}),
		"the same source twice":     source(reachfive.FromForm("a"), reachfive.FromForm("a")),
		"nil ChecksFor":             option(func() reachfive.MiddlewareOption { return reachfive.ChecksFor(nil) }),
		"nil OnError":               option(func() reachfive.MiddlewareOption { return reachfive.OnError(nil) }),
		"nil OnRefusal":             option(func() reachfive.MiddlewareOption { return reachfive.OnRefusal(nil) }),
		"control character":         option(func() reachfive.MiddlewareOption { return reachfive.Realm("a\r\nb") }),
		"tab in the realm":          option(func() reachfive.MiddlewareOption { return reachfive.Realm("a\tb") }),
		"delete in the realm":       option(func() reachfive.MiddlewareOption { return reachfive.Realm("a\x7f") }),
		"nil check in Require":      func() { reachfive.Require(nil) },
		"nil handler under Require": func() { reachfive.Require()(nil) },
	}
	for _, origin := range []string{
		"", "*", "null", "app.example.com", "https://", "https://*.example.com", "https://app.example.com/",
		"https://app.example.com/a", "https://app.example.com?", "https://app.example.com?a", "https://app.example.com#",
		"https://u@app.example.com", "https://app.example.com:", "https://app.example.com:0", "https://app.example.com:65536",
		"https://app.example.com:http", "https://bücher.example", "https://a b", "https://[::1", "https://[fe80::1%25eth0]", "https://:443",
		"https://app.example.com:8443/", "https://app.example.com:8443?", "https://app.example.com:8443#", "https://u@app.example.com:8443",
		"https://:8443", "://app.example.com", "app.example.com:8443", "https:app.example.com", "//app.example.com", " https://app.example.com", "https://[127.0.0.1]",
	} {
		mistakes["origin "+origin] = option(func() reachfive.MiddlewareOption { return reachfive.TrustedOrigins(origin) })
	}
	for name, wire := range mistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if text, ok := recover().(string); !ok || !strings.HasPrefix(text, "reachfive: ") {
					t.Errorf("panic %q", text)
				}
			}()
			wire()
		})
	}
	// The neighbours of the mistakes.
	reachfive.Middleware(v, reachfive.TokenFrom(reachfive.FromForm("a"), reachfive.FromForm("b"),
		reachfive.FromFunc(func(*http.Request) (string, error) { return "", nil }),
		reachfive.FromFunc(func(*http.Request) (string, error) { return "", nil })), reachfive.Realm(""))
}

func TestTokenFromGivenAgainAddsItsSources(t *testing.T) {
	t.Parallel()
	h := protect(whoAmI, reachfive.TokenFrom(reachfive.FromBearer()), reachfive.TokenFrom(reachfive.FromCookie("id")))
	for name, tt := range map[string]struct {
		request *http.Request
		status  int
		body    string
	}{
		"the first":  {get("Bearer a.b.c"), 200, "a.b.c"},
		"the second": {with(get(), "Cookie", "id=d.e.f"), 200, "d.e.f"},
		"both":       {with(get("Bearer a.b.c"), "Cookie", "id=d.e.f"), 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := send(t, h, tt.request)
			if got.StatusCode != tt.status || tt.body != "" && got.body != tt.body {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
		})
	}
}

func TestOptionalLetsVisitorsPassAndNoBadToken(t *testing.T) {
	t.Parallel()
	refusing := reachfive.Middleware(refuseWith(reachfive.CodeExpired), reachfive.Optional())(http.HandlerFunc(whoAmI))
	down := reachfive.Middleware(refuseWith(reachfive.CodeKeysUnavailable), reachfive.Optional())(http.HandlerFunc(whoAmI))
	tests := []struct {
		name          string
		handler       http.Handler
		authorization []string
		status        int
		body          string
	}{
		{"no token", protect(whoAmI, reachfive.Optional()), nil, 200, "visitor"},
		{"another scheme", protect(whoAmI, reachfive.Optional()), []string{"Basic dTpw"}, 200, "visitor"},
		{"a good token", protect(whoAmI, reachfive.Optional()), []string{"Bearer a.b.c"}, 200, "a.b.c"},
		{"an empty Bearer", protect(whoAmI, reachfive.Optional()), []string{"Bearer"}, 400, ""},
		{"an expired token", refusing, []string{"Bearer a.b.c"}, 401, ""},
		{"a token while the provider is down", down, []string{"Bearer a.b.c"}, 503, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := send(t, tt.handler, get(tt.authorization...))
			if got.StatusCode != tt.status || tt.body != "" && got.body != tt.body {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
		})
	}
}

func TestMiddlewareNeverPassesWithoutAUser(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err    error
		status int
	}{
		"neither user nor error": {nil, 500},
		"an error of no kind":    {errors.New("SECRET"), 500},
		"an empty Error":         {&reachfive.Error{}, 500},
		"a nil *Error":           {(*reachfive.Error)(nil), 500},
		"an unknown Code":        {reachfive.Code("SECRET"), 500},
		"another's cancellation": {context.Canceled, 500},
		"a deadline of its own":  {context.DeadlineExceeded, 503},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, opts := range [][]reachfive.MiddlewareOption{nil, {reachfive.Optional()}} {
				h := reachfive.Middleware(refuseWith(tt.err), opts...)(http.HandlerFunc(whoAmI))
				got := send(t, h, get("Bearer a.b.c"))
				if got.StatusCode != tt.status || strings.Contains(got.body, "SECRET") || got.Header.Get("Www-Authenticate") != "" {
					t.Errorf("%d %s", got.StatusCode, got.body)
				}
			}
		})
	}
}

func TestContextCarriesTheUser(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	if u, ok := reachfive.UserFromContext(ctx); ok || u != nil {
		t.Errorf("an empty context has %v", u)
	}
	ann := &reachfive.User{Subject: "ann"}
	signedIn := reachfive.ContextWithUser(ctx, ann)
	if u, ok := reachfive.UserFromContext(signedIn); !ok || u != ann {
		t.Errorf("got %v, %v", u, ok)
	}
	if u, ok := reachfive.UserFromContext(reachfive.ContextWithUser(signedIn, nil)); ok || u != nil {
		t.Errorf("signed out, and still %v", u)
	}
}

// The middleware adds nothing to a panic, and a goroutine that outlives its
// handler may still read the user.
func TestAnInnerOptionalMiddlewareHidesTheOuterUser(t *testing.T) {
	t.Parallel()
	inner := protect(whoAmI, reachfive.TokenFrom(reachfive.FromCookie("id")), reachfive.Optional())
	outer := reachfive.Middleware(verifierFunc(acceptAll))(inner)
	if got := send(t, outer, get("Bearer a.b.c")); got.body != "visitor" {
		t.Errorf("without a token of its own: %d %s", got.StatusCode, got.body)
	}
	if got := send(t, outer, with(get("Bearer a.b.c"), "Cookie", "id=d.e.f")); got.body != "d.e.f" {
		t.Errorf("with a token of its own: %d %s", got.StatusCode, got.body)
	}
	required := protect(reachfive.Require()(http.HandlerFunc(whoAmI)).ServeHTTP,
		reachfive.TokenFrom(reachfive.FromCookie("id")), reachfive.Optional())
	got := send(t, reachfive.Middleware(verifierFunc(acceptAll))(required), get("Bearer a.b.c"))
	if got.code(t) != reachfive.CodeMissingToken {
		t.Errorf("Require takes the outer user: %d %s", got.StatusCode, got.body)
	}
}

func TestMiddlewareIsTransparentToPanicsAndGoroutines(t *testing.T) {
	t.Parallel()
	h := protect(func(http.ResponseWriter, *http.Request) { panic("the handler's own") })
	func() {
		defer func() {
			if got := recover(); got != "the handler's own" {
				t.Errorf("recovered %v", got)
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), get("Bearer a.b.c"))
	}()

	done, subject := make(chan struct{}), make(chan string, 1)
	h = protect(func(_ http.ResponseWriter, r *http.Request) {
		ctx := context.WithoutCancel(r.Context())
		go func() {
			<-done
			u, _ := reachfive.UserFromContext(ctx)
			subject <- u.Subject
		}()
	})
	send(t, h, get("Bearer a.b.c"))
	close(done)
	if got := <-subject; got != "a.b.c" {
		t.Errorf("read %q after the handler's end", got)
	}
}

func BenchmarkMiddlewareAroundAnInstantVerifier(b *testing.B) {
	u := &reachfive.User{Subject: "ann"}
	v := verifierFunc(func(context.Context, string, ...reachfive.Check) (*reachfive.User, error) { return u, nil })
	h := reachfive.Middleware(v)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	w, r := httptest.NewRecorder(), get("Bearer a.b.c")
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
