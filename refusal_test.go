package reachfive_test

import (
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reachfive-community/reachfive"
)

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

// In the table, challengeError "-" means a challenge without an error, and ""
// no challenge.
func TestMiddlewareAnswersEveryCodeAsTheTableSays(t *testing.T) {
	t.Parallel()
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
			t.Parallel()
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

func TestMiddlewareAnswersTheEndOfTheRequestsOwnContext(t *testing.T) {
	t.Parallel()
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
			t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
		{"a negative max_age", &reachfive.Error{Code: reachfive.CodeReauthenticationRequired, MaxAge: -time.Second}, ``},
		{"acr values beside those that no list can hold", &reachfive.Error{Code: reachfive.CodeInsufficientAuthentication, ACRValues: []string{"a", "b c", "", "d\n", "e"}}, `, acr_values="a e"`},
		{"acr values that no list can hold", &reachfive.Error{Code: reachfive.CodeInsufficientAuthentication, ACRValues: []string{"a b", "", "c\r\nSet-Cookie: x"}}, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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

func TestOnRefusalSeesEveryRefusalAndChangesNoAnswer(t *testing.T) {
	t.Parallel()
	plain := errors.New("SECRET")
	failing := reachfive.ChecksFor(func(*http.Request) ([]reachfive.Check, error) { return nil, plain })
	no := func(context.Context, *reachfive.User) error { return plain }
	form := reachfive.TokenFrom(reachfive.FromForm("idtoken"))
	wrap := func(v verifierFunc, next http.Handler, opts ...reachfive.MiddlewareOption) func(...reachfive.MiddlewareOption) http.Handler {
		return func(more ...reachfive.MiddlewareOption) http.Handler {
			return reachfive.Middleware(v, append(opts, more...)...)(next)
		}
	}
	handler := http.HandlerFunc(whoAmI)
	tests := []struct {
		name    string
		handler func(...reachfive.MiddlewareOption) http.Handler
		request func() *http.Request
		want    error // nil: nothing was refused
	}{
		{"accepted", wrap(acceptAll, handler), func() *http.Request { return get("Bearer a.b.c") }, nil},
		{"a visitor", wrap(acceptAll, handler, reachfive.Optional()), func() *http.Request { return get() }, nil},
		{"no token", wrap(acceptAll, handler), func() *http.Request { return get() }, reachfive.CodeMissingToken},
		{"a malformed header", wrap(acceptAll, handler), func() *http.Request { return get("Bearer") }, reachfive.CodeInvalidRequest},
		{"a large form", wrap(acceptAll, handler, form), func() *http.Request { return postForm(strings.Repeat("x", 65<<10)) }, reachfive.CodeBodyTooLarge},
		{"another type", wrap(acceptAll, handler, form), func() *http.Request { return with(postForm("{}"), "Content-Type", "application/json") }, reachfive.CodeWrongContentType},
		{"another origin", wrap(acceptAll, handler, form), func() *http.Request { return with(postForm("idtoken=a"), "Sec-Fetch-Site", "cross-site") }, reachfive.CodeUntrustedOrigin},
		{"an error of ChecksFor", wrap(acceptAll, handler, failing), func() *http.Request { return get("Bearer a.b.c") }, plain},
		{"a bad token", wrap(refuseWith(reachfive.CodeExpired), handler), func() *http.Request { return get("Bearer a.b.c") }, reachfive.CodeExpired},
		{"no keys", wrap(refuseWith(reachfive.CodeKeysUnavailable), handler), func() *http.Request { return get("Bearer a.b.c") }, reachfive.CodeKeysUnavailable},
		{"Require, a check", wrap(acceptAll, reachfive.Require(no)(handler)), func() *http.Request { return get("Bearer a.b.c") }, reachfive.CodeForbidden},
		{"Require, a visitor", wrap(acceptAll, reachfive.Require()(handler), reachfive.Optional()), func() *http.Request { return get() }, reachfive.CodeMissingToken},
		{"an inner Middleware", wrap(acceptAll, protect(whoAmI, form)), func() *http.Request { return get("Bearer a.b.c") }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var first, second, answered []error
			hooks := []reachfive.MiddlewareOption{
				reachfive.OnRefusal(func(r *http.Request, err error) {
					first = append(first, err)
					if r.URL.Path != "/" {
						t.Errorf("told of a request for %s", r.URL.Path)
					}
				}),
				reachfive.OnRefusal(func(_ *http.Request, err error) { second = append(second, err) }),
			}
			want := send(t, tt.handler(), tt.request())
			got := send(t, tt.handler(hooks...), tt.request())
			want.Header.Del("Date")
			got.Header.Del("Date")
			if got.StatusCode != want.StatusCode || got.body != want.body || !maps.EqualFunc(got.Header, want.Header, slices.Equal) {
				t.Errorf("answered %d %s %v, without a function %d %s %v", got.StatusCode, got.body, got.Header, want.StatusCode, want.body, want.Header)
			}
			send(t, tt.handler(append(hooks, reachfive.OnError(func(_ http.ResponseWriter, _ *http.Request, err error) {
				answered = append(answered, err)
			}))...), tt.request())
			if tt.want == nil {
				if first != nil || second != nil {
					t.Errorf("told of %v", first)
				}
				return
			}
			// Two requests were refused.
			if len(first) != 2 || len(second) != 2 || len(answered) != 1 {
				t.Fatalf("told %d and %d times", len(first), len(second))
			}
			if !errors.Is(first[0], tt.want) || first[1] != second[1] || first[1] != answered[0] { //nolint:errorlint // the very error
				t.Errorf("told of %v and %v, OnError of %v", first, second, answered)
			}
		})
	}
}

func TestAcceptedResponsesAreTheHandlersOwn(t *testing.T) {
	t.Parallel()
	got := send(t, protect(whoAmI), get("Bearer a.b.c"))
	for _, name := range []string{"Cache-Control", "Www-Authenticate", "X-Content-Type-Options", "Access-Control-Allow-Origin", "Vary"} {
		if value, ok := got.Header[name]; ok {
			t.Errorf("%s: %q", name, value)
		}
	}
}

func TestChallengeOfABadTokenAsksForNoStrongerSignIn(t *testing.T) {
	t.Parallel()
	err := &reachfive.Error{Code: reachfive.CodeExpired, MaxAge: time.Minute, ACRValues: []string{"gold"}}
	got := send(t, reachfive.Middleware(refuseWith(err))(http.HandlerFunc(whoAmI)), get("Bearer a.b.c"))
	if challenge := got.Header.Get("Www-Authenticate"); !strings.HasSuffix(challenge, `error_description="expired: the token has expired"`) {
		t.Error(challenge)
	}
}
