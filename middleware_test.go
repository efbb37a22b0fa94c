package reachfive_test

import (
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reachfive-community/reachfive"
)

// verifierFunc is a TokenVerifier for tests of what surrounds one.
type verifierFunc func(ctx context.Context, idToken string, checks ...reachfive.Check) (*reachfive.User, error)

func (f verifierFunc) Verify(ctx context.Context, idToken string, checks ...reachfive.Check) (*reachfive.User, error) {
	return f(ctx, idToken, checks...)
}

// acceptAll takes every token for its subject, and runs the checks.
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

// code is what the description in the body starts with, "" for an accepted
// request.
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

// allCodes reads the constants of type Code out of the source.
func allCodes(t *testing.T) []reachfive.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []reachfive.Code
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Code" {
			for _, value := range spec.Values {
				codes = append(codes, reachfive.Code(strings.Trim(value.(*ast.BasicLit).Value, `"`)))
			}
		}
		return true
	})
	return codes
}

// errorName "-" stands for a bare challenge, "" for none.
func TestMiddlewareAnswersEveryCodeAsTheTableSays(t *testing.T) {
	const stepUp = "insufficient_user_authentication"
	type row struct {
		status                    int
		challengeError, bodyError string
		params                    string
		retryAfter                string
		err                       error
	}
	table := map[reachfive.Code]row{
		reachfive.CodeMissingToken:               {401, "-", "login_required", "", "", nil},
		reachfive.CodeInvalidRequest:             {400, "invalid_request", "invalid_request", "", "", nil},
		reachfive.CodeBodyTooLarge:               {413, "invalid_request", "invalid_request", "", "", nil},
		reachfive.CodeWrongContentType:           {415, "invalid_request", "invalid_request", "", "", nil},
		reachfive.CodeUntrustedOrigin:            {403, "", "access_denied", "", "", nil},
		reachfive.CodeMalformedToken:             {401, "invalid_token", "invalid_token", "", "", nil},
		reachfive.CodeUnsupportedAlgorithm:       {401, "invalid_token", "invalid_token", "", "", nil},
		reachfive.CodeUnknownKey:                 {401, "invalid_token", "invalid_token", "", "", nil},
		reachfive.CodeInvalidSignature:           {401, "invalid_token", "invalid_token", "", "", nil},
		reachfive.CodeMissingClaim:               {401, "invalid_token", "invalid_token", "", "", nil},
		reachfive.CodeInvalidClaim:               {401, "invalid_token", "invalid_token", "", "", nil},
		reachfive.CodeWrongIssuer:                {401, "invalid_token", "invalid_token", "", "", nil},
		reachfive.CodeWrongAudience:              {401, "invalid_token", "invalid_token", "", "", nil},
		reachfive.CodeExpired:                    {401, "invalid_token", "invalid_token", "", "", nil},
		reachfive.CodeNotYetValid:                {401, "invalid_token", "invalid_token", "", "", nil},
		reachfive.CodeWrongNonce:                 {401, "invalid_token", "invalid_token", "", "", nil},
		reachfive.CodeWrongAccessToken:           {401, "invalid_token", "invalid_token", "", "", nil},
		reachfive.CodeForbidden:                  {403, "", "access_denied", "", "", nil},
		reachfive.CodeReauthenticationRequired:   {401, stepUp, stepUp, `, max_age="300"`, "", &reachfive.Error{Code: reachfive.CodeReauthenticationRequired, MaxAge: 5 * time.Minute}},
		reachfive.CodeInsufficientAuthentication: {401, stepUp, stepUp, `, acr_values="gold silver"`, "", &reachfive.Error{Code: reachfive.CodeInsufficientAuthentication, ACRValues: []string{"gold", "silver"}}},
		reachfive.CodeRevoked:                    {401, stepUp, stepUp, `, max_age="60"`, "", &reachfive.Error{Code: reachfive.CodeRevoked, MaxAge: time.Minute}},
		reachfive.CodeRevocationsUnavailable:     {503, "", "temporarily_unavailable", "", "3", &reachfive.Error{Code: reachfive.CodeRevocationsUnavailable, RetryAfter: 2001 * time.Millisecond}},
		reachfive.CodeKeysUnavailable:            {503, "", "temporarily_unavailable", "", "3", &reachfive.Error{Code: reachfive.CodeKeysUnavailable, RetryAfter: 2001 * time.Millisecond}},
	}
	if all := allCodes(t); len(all) != len(table) || len(all) == 0 {
		t.Errorf("the table has %d Codes, errors.go %d", len(table), len(all))
	}
	for _, code := range slices.Sorted(maps.Keys(table)) {
		want := table[code]
		err := want.err
		if err == nil {
			err = &reachfive.Error{Code: code, Claim: "SECRET-CLAIM"}
		}
		t.Run(string(code), func(t *testing.T) {
			h := reachfive.Middleware(refuseWith(err), reachfive.Realm("api"))(http.HandlerFunc(whoAmI))
			got := send(t, h, get("Bearer x"))

			if got.StatusCode != want.status || code.HTTPStatus() != want.status {
				t.Errorf("status %d, HTTPStatus %d, want %d", got.StatusCode, code.HTTPStatus(), want.status)
			}
			var body map[string]string
			if err := json.Unmarshal([]byte(got.body), &body); err != nil || len(body) != 2 {
				t.Fatalf("body %q: %v", got.body, err)
			}
			description := body["error_description"]
			if body["error"] != want.bodyError || !strings.HasPrefix(description, string(code)+": ") {
				t.Errorf("body %s", got.body)
			}
			if strings.ContainsAny(description, "\"\\\n") || strings.Contains(got.body, "SECRET") {
				t.Errorf("description %q is not fit for a challenge", description)
			}
			var challenges []string
			switch want.challengeError {
			case "":
			case "-":
				challenges = []string{`Bearer realm="api"`}
			default:
				challenges = []string{`Bearer realm="api", error="` + want.challengeError + `", error_description="` + description + `"` + want.params}
			}
			if got := got.Header["Www-Authenticate"]; !slices.Equal(got, challenges) {
				t.Errorf("challenges %q, want %q", got, challenges)
			}
			for name, value := range map[string]string{
				"Cache-Control": "no-store", "Content-Type": "application/json",
				"X-Content-Type-Options": "nosniff", "Retry-After": want.retryAfter,
			} {
				if got := got.Header.Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}

			again := send(t, reachfive.Middleware(refuseWith(code))(http.HandlerFunc(whoAmI)), get("Bearer y"))
			if again.body != got.body {
				t.Errorf("a bare Code answers %s, an Error %s", again.body, got.body)
			}

			// Over the wire net/http drops a body anyway: ask the handler.
			head := httptest.NewRecorder()
			r := get("Bearer x")
			r.Method = http.MethodHead
			h.ServeHTTP(head, r)
			if head.Code != want.status || head.Body.Len() != 0 || !slices.Equal(head.Header()["Www-Authenticate"], challenges) {
				t.Errorf("HEAD: status %d, %d bytes, challenges %q", head.Code, head.Body.Len(), head.Header()["Www-Authenticate"])
			}
		})
	}
}

func TestWiringMistakesPanic(t *testing.T) {
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
		"https:app.example.com", "//app.example.com", " https://app.example.com", "https://[127.0.0.1]",
	} {
		mistakes["origin "+origin] = option(func() reachfive.MiddlewareOption { return reachfive.TrustedOrigins(origin) })
	}
	for name, wire := range mistakes {
		t.Run(name, func(t *testing.T) {
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
			got := send(t, h, tt.request)
			if got.StatusCode != tt.status || tt.body != "" && got.body != tt.body {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
		})
	}
}

func TestOptionalLetsVisitorsPassAndNoBadToken(t *testing.T) {
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
			got := send(t, tt.handler, get(tt.authorization...))
			if got.StatusCode != tt.status || tt.body != "" && got.body != tt.body {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
		})
	}
}

func TestChecksForAddsChecksOfTheRequest(t *testing.T) {
	wantSubject := func(header string) reachfive.MiddlewareOption {
		return reachfive.ChecksFor(func(r *http.Request) ([]reachfive.Check, error) {
			return []reachfive.Check{func(_ context.Context, u *reachfive.User) error {
				if u.Subject != r.Header.Get(header) {
					return reachfive.CodeWrongNonce
				}
				return nil
			}}, nil
		})
	}
	h := protect(whoAmI, wantSubject("X-One"), wantSubject("X-Two"))
	r := func(one, two string) *http.Request {
		return with(with(get("Bearer a.b.c"), "X-One", one), "X-Two", two)
	}
	for _, tt := range []struct {
		one, two string
		want     reachfive.Code
	}{{"a.b.c", "a.b.c", ""}, {"", "a.b.c", reachfive.CodeWrongNonce}, {"a.b.c", "", reachfive.CodeWrongNonce}} {
		if got := send(t, h, r(tt.one, tt.two)); got.code(t) != tt.want {
			t.Errorf("%q %q: %d %s", tt.one, tt.two, got.StatusCode, got.body)
		}
	}
}

func TestChecksForErrors(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
	}{
		{"a plain error", errors.New("SECRET dsn"), 500},
		{"an Error", &reachfive.Error{Code: reachfive.CodeWrongNonce}, 401},
		{"a nil *Error", (*reachfive.Error)(nil), 500},
		{"a Code", reachfive.CodeForbidden, 403},
		{"an Error of an unknown Code", &reachfive.Error{Code: "SECRET"}, 500},
		{"a deadline of its own", context.DeadlineExceeded, 500},
		{"a cancellation of its own", context.Canceled, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var told error
			opts := []reachfive.MiddlewareOption{reachfive.ChecksFor(func(*http.Request) ([]reachfive.Check, error) { return nil, tt.err })}
			got := send(t, protect(whoAmI, opts...), get("Bearer a.b.c"))
			if got.StatusCode != tt.status || strings.Contains(got.body, "SECRET") {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
			opts = append(opts, reachfive.OnError(func(_ http.ResponseWriter, _ *http.Request, err error) { told = err }))
			send(t, protect(whoAmI, opts...), get("Bearer a.b.c"))
			if told != tt.err { //nolint:errorlint // the very error, not one that wraps it
				t.Errorf("OnError was told %v", told)
			}
		})
	}
	t.Run("no token, no call", func(t *testing.T) {
		h := protect(whoAmI, reachfive.Optional(), reachfive.ChecksFor(func(*http.Request) ([]reachfive.Check, error) {
			return nil, errors.New("called")
		}))
		if got := send(t, h, get()); got.body != "visitor" {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
	})
}

func TestMiddlewareNeverPassesWithoutAUser(t *testing.T) {
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

func TestMiddlewareAnswersTheEndOfTheRequestsOwnContext(t *testing.T) {
	own := verifierFunc(func(ctx context.Context, _ string, _ ...reachfive.Check) (*reachfive.User, error) {
		return nil, ctx.Err()
	})
	// The fetch of the keys ran out of time; the request did not.
	fetch := refuseWith(errors.Join(reachfive.CodeKeysUnavailable, context.Canceled))
	deadline, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name       string
		ctx        context.Context
		verifier   reachfive.TokenVerifier
		status     int
		retryAfter string
		body       bool
	}{
		{"deadline", deadline, own, 503, "1", true},
		{"canceled", canceled, own, 499, "", false},
		{"the fetch canceled", t.Context(), fetch, 503, "1", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			reachfive.Middleware(tt.verifier)(http.HandlerFunc(whoAmI)).ServeHTTP(w, get("Bearer a.b.c").WithContext(tt.ctx))
			if w.Code != tt.status || w.Header().Get("Retry-After") != tt.retryAfter || (w.Body.Len() > 0) != tt.body {
				t.Errorf("%d, Retry-After %q, body %s", w.Code, w.Header().Get("Retry-After"), w.Body)
			}
			if w.Header().Get("Www-Authenticate") != "" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", w.Header())
			}
		})
	}
}

func TestRetryAfterIsInWholeSecondsFromOne(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "1", 0: "1", 1: "1", time.Second: "1", time.Second + 1: "2", 90 * time.Second: "90",
	} {
		err := &reachfive.Error{Code: reachfive.CodeKeysUnavailable, RetryAfter: d}
		got := send(t, reachfive.Middleware(refuseWith(err))(http.HandlerFunc(whoAmI)), get("Bearer a.b.c"))
		if got.Header.Get("Retry-After") != want {
			t.Errorf("%v: %q, want %q", d, got.Header.Get("Retry-After"), want)
		}
	}
}

func TestChallengesSayWhatASignInMustBring(t *testing.T) {
	const prefix = `, error="insufficient_user_authentication", error_description="`
	tests := []struct {
		name string
		err  *reachfive.Error
		want string // what follows the description
	}{
		{"max_age", &reachfive.Error{Code: reachfive.CodeReauthenticationRequired, MaxAge: 90 * time.Second}, `, max_age="90"`},
		{"max_age rounded down", &reachfive.Error{Code: reachfive.CodeReauthenticationRequired, MaxAge: 1999 * time.Millisecond}, `, max_age="1"`},
		{"max_age 0", &reachfive.Error{Code: reachfive.CodeReauthenticationRequired}, `, max_age="0"`},
		{"acr_values", &reachfive.Error{Code: reachfive.CodeInsufficientAuthentication, ACRValues: []string{"urn:a", "urn:b"}}, `, acr_values="urn:a urn:b"`},
		{"no acr_values", &reachfive.Error{Code: reachfive.CodeInsufficientAuthentication}, ``},
		{"an acr value to be escaped", &reachfive.Error{Code: reachfive.CodeInsufficientAuthentication, ACRValues: []string{`a"b\c`}}, `, acr_values="a\"b\\c"`},
		{"acr values that no list can hold", &reachfive.Error{Code: reachfive.CodeInsufficientAuthentication, ACRValues: []string{"a b", "", "c\r\nSet-Cookie: x"}}, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, reachfive.Middleware(refuseWith(tt.err))(http.HandlerFunc(whoAmI)), get("Bearer a.b.c"))
			challenge := got.Header.Get("Www-Authenticate")
			_, rest, ok := strings.Cut(challenge, prefix)
			_, params, closed := strings.Cut(rest, `"`)
			if !ok || !closed || params != tt.want {
				t.Errorf("challenge %s, want its end %s", challenge, tt.want)
			}
		})
	}
}

func TestRealmIsQuotedSafely(t *testing.T) {
	for realm, want := range map[string]string{
		"":            `Bearer realm=""`,
		"my api":      `Bearer realm="my api"`,
		`a", error="`: `Bearer realm="a\", error=\""`,
		`back\slash`:  `Bearer realm="back\\slash"`,
	} {
		got := send(t, protect(whoAmI, reachfive.Realm(realm)), get())
		if challenge := got.Header.Get("Www-Authenticate"); challenge != want {
			t.Errorf("%q: %s", realm, challenge)
		}
	}
}

func TestOnErrorReplacesTheBodyAndFindsTheHeadersSet(t *testing.T) {
	h := reachfive.Middleware(refuseWith(&reachfive.Error{Code: reachfive.CodeKeysUnavailable, RetryAfter: 7 * time.Second}),
		reachfive.OnError(func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "sorry: "+string(reachfive.CodeOf(err)), reachfive.CodeOf(err).HTTPStatus())
		}))(http.HandlerFunc(whoAmI))
	got := send(t, h, get("Bearer a.b.c"))
	if got.StatusCode != http.StatusServiceUnavailable || got.body != "sorry: keys_unavailable\n" || got.Header.Get("Retry-After") != "7" || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %q %v", got.StatusCode, got.body, got.Header)
	}
	got = send(t, h, get())
	if got.StatusCode != http.StatusUnauthorized || got.body != "sorry: missing_token\n" || got.Header.Get("Www-Authenticate") != `Bearer realm="reachfive"` {
		t.Errorf("%d %q %v", got.StatusCode, got.body, got.Header)
	}
}

func TestOnErrorFindsWhyAnOriginIsNotTrusted(t *testing.T) {
	request := func() *http.Request {
		return with(with(postForm("idtoken=a.b.c"), "Sec-Fetch-Site", "cross-site"), "Origin", "https://evil.example")
	}
	cause := http.NewCrossOriginProtection().Check(request())
	if cause == nil {
		t.Fatal("net/http finds nothing wrong")
	}
	var told error
	h := protect(whoAmI, reachfive.TokenFrom(reachfive.FromForm("idtoken")),
		reachfive.OnError(func(_ http.ResponseWriter, _ *http.Request, err error) { told = err }))
	h.ServeHTTP(httptest.NewRecorder(), request())
	if !errors.Is(told, reachfive.CodeUntrustedOrigin) || !errors.Is(told, cause) {
		t.Errorf("OnError was told %v", told)
	}
}

func TestAcceptedResponsesAreTheHandlersOwn(t *testing.T) {
	got := send(t, protect(whoAmI), get("Bearer a.b.c"))
	for _, name := range []string{"Cache-Control", "Www-Authenticate", "X-Content-Type-Options", "Access-Control-Allow-Origin", "Vary"} {
		if value, ok := got.Header[name]; ok {
			t.Errorf("%s: %q", name, value)
		}
	}
}

func TestRequireChecksTheUserOfTheMiddlewareAroundIt(t *testing.T) {
	verified := 0
	v := verifierFunc(func(ctx context.Context, idToken string, checks ...reachfive.Check) (*reachfive.User, error) {
		verified++
		return acceptAll(ctx, idToken, checks...)
	})
	no := func(err error) reachfive.Check {
		return func(context.Context, *reachfive.User) error { return err }
	}
	cause := errors.New("SECRET: not an administrator")
	told := error(nil)
	onError := reachfive.OnError(func(w http.ResponseWriter, _ *http.Request, err error) {
		told = err
		w.WriteHeader(http.StatusTeapot)
	})
	wrap := func(check []reachfive.Check, opts ...reachfive.MiddlewareOption) http.Handler {
		return reachfive.Middleware(v, opts...)(reachfive.Require(check...)(http.HandlerFunc(whoAmI)))
	}
	checks := func(c ...reachfive.Check) []reachfive.Check { return c }
	tests := []struct {
		name      string
		handler   http.Handler
		request   *http.Request
		status    int
		challenge string
	}{
		{"all hold", wrap(checks(no(nil))), get("Bearer a.b.c"), 200, ""},
		{"no checks, a user", wrap(nil), get("Bearer a.b.c"), 200, ""},
		{"a plain error", wrap(checks(no(nil), no(cause))), get("Bearer a.b.c"), 403, ""},
		{
			"an Error", wrap(checks(no(reachfive.CodeReauthenticationRequired)), reachfive.Realm("pay")), get("Bearer a.b.c"), 401,
			`Bearer realm="pay", error="insufficient_user_authentication", error_description="reauthentication_required: a more recent sign-in is required", max_age="0"`,
		},
		{"a visitor", wrap(nil, reachfive.Optional(), reachfive.Realm("pay")), get(), 401, `Bearer realm="pay"`},
		{"OnError", wrap(checks(no(cause)), onError), get("Bearer a.b.c"), http.StatusTeapot, ""},
		{"a user put in between", reachfive.Middleware(v, reachfive.Optional(), onError)(withUser(reachfive.Require(no(cause))(http.HandlerFunc(whoAmI)))), get(), http.StatusTeapot, ""},
		{"no Middleware", reachfive.Require()(http.HandlerFunc(whoAmI)), get("Bearer a.b.c"), 401, `Bearer realm="reachfive"`},
		{"no Middleware, a user", withUser(reachfive.Require(no(nil))(http.HandlerFunc(whoAmI))), get(), 200, ""},
		{"no Middleware, a refused user", withUser(reachfive.Require(no(cause))(http.HandlerFunc(whoAmI))), get(), 403, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, tt.handler, tt.request)
			if got.StatusCode != tt.status || got.Header.Get("Www-Authenticate") != tt.challenge || strings.Contains(got.body, "SECRET") {
				t.Errorf("%d %s, challenge %s", got.StatusCode, got.body, got.Header.Get("Www-Authenticate"))
			}
		})
	}
	if !errors.Is(told, cause) || !errors.Is(told, reachfive.CodeForbidden) || strings.Contains(told.Error(), "SECRET") {
		t.Errorf("OnError was told %v", told)
	}
	if verified != 5 {
		t.Errorf("%d verifications for 5 tokens", verified)
	}
}

// withUser signs everybody in, as a handler's test does.
func withUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(reachfive.ContextWithUser(r.Context(), &reachfive.User{Subject: "ann"})))
	})
}

func TestRequireAnswersTheEndOfTheRequestsOwnContext(t *testing.T) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	check := func(ctx context.Context, _ *reachfive.User) error { return ctx.Err() }
	w := httptest.NewRecorder()
	withUser(reachfive.Require(check)(http.HandlerFunc(whoAmI))).ServeHTTP(w, get().WithContext(ctx))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestContextCarriesTheUser(t *testing.T) {
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

func TestAVisitorOfAnInnerMiddlewareKeepsTheOuterUser(t *testing.T) {
	inner := protect(whoAmI, reachfive.TokenFrom(reachfive.FromCookie("id")), reachfive.Optional())
	outer := reachfive.Middleware(verifierFunc(acceptAll))(inner)
	if got := send(t, outer, get("Bearer a.b.c")); got.body != "a.b.c" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

// F39 of the fault list: the middleware adds nothing to a panic, and a
// goroutine that outlives its handler may go on reading the user.
func TestMiddlewareIsTransparentToPanicsAndGoroutines(t *testing.T) {
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
