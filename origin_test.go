package reachfive_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/reachfive-community/reachfive"
)

func TestMiddlewareChecksTheOriginOfFormsAndCookies(t *testing.T) {
	t.Parallel()
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
			t.Parallel()
			got := send(t, protect(whoAmI, tt.opts...), tt.request)
			if code := got.code(t); code != tt.want {
				t.Errorf("%d %s, want code %q", got.StatusCode, got.body, tt.want)
			}
		})
	}
}

// A page of any origin can open a WebSocket to any host, and the browser sends
// the cookies along.
func TestAnUpgradeWithAnAmbientTokenNeedsATrustedOrigin(t *testing.T) {
	t.Parallel()
	const own, trusted, evil = "https://api.example.com", "https://app.example.com", "https://evil.example"
	sources := reachfive.TokenFrom(reachfive.FromBearer(), reachfive.FromCookie("id"), reachfive.FromForm("idtoken"))
	trust := reachfive.TrustedOrigins(trusted)
	upgrade := func(method, origin string) *http.Request {
		r := httptest.NewRequest(method, own+"/", nil)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		return r
	}
	cookie := func(r *http.Request) *http.Request { return with(r, "Cookie", "id=a.b.c") }
	extendedConnect := func(origin string) *http.Request {
		r := upgrade(http.MethodConnect, origin)
		r.Host = "api.example.com"
		r.Header.Del("Connection")
		r.Header.Del("Upgrade")
		r.Header[":protocol"] = []string{"websocket"}
		return r
	}
	form := func(origin string) *http.Request {
		r := postForm("idtoken=a.b.c")
		r.Host = "api.example.com"
		r.Header.Set("Upgrade", "websocket")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		return r
	}
	tests := []struct {
		name    string
		request *http.Request
		opts    []reachfive.MiddlewareOption
		want    reachfive.Code
	}{
		{"our own page", cookie(upgrade("GET", own)), nil, ""},
		{"our own page, fetch metadata", with(cookie(upgrade("GET", own)), "Sec-Fetch-Site", "same-origin"), nil, ""},
		{"a trusted page", cookie(upgrade("GET", trusted)), nil, ""},
		{"a trusted page, fetch metadata", with(cookie(upgrade("GET", trusted)), "Sec-Fetch-Site", "cross-site"), nil, ""},
		{"another page", cookie(upgrade("GET", evil)), nil, reachfive.CodeUntrustedOrigin},
		{"another page, fetch metadata", with(cookie(upgrade("GET", evil)), "Sec-Fetch-Site", "cross-site"), nil, reachfive.CodeUntrustedOrigin},
		{"a page of the same site", with(cookie(upgrade("GET", "https://x.example.com")), "Sec-Fetch-Site", "same-site"), nil, reachfive.CodeUntrustedOrigin},
		{"a sandboxed frame", cookie(upgrade("GET", "null")), nil, reachfive.CodeUntrustedOrigin},
		{"no Origin", cookie(upgrade("GET", "")), nil, reachfive.CodeUntrustedOrigin},
		{"no Origin, fetch metadata", with(cookie(upgrade("GET", "")), "Sec-Fetch-Site", "same-origin"), nil, reachfive.CodeUntrustedOrigin},
		{"no Connection", with(cookie(httptest.NewRequest(http.MethodGet, own+"/", nil)), "Upgrade", "websocket"), nil, reachfive.CodeUntrustedOrigin},
		{"OPTIONS", cookie(upgrade("OPTIONS", evil)), nil, reachfive.CodeUntrustedOrigin},
		{"HTTP/2, our own page", cookie(extendedConnect(own)), nil, ""},
		{"HTTP/2, another page", cookie(extendedConnect(evil)), nil, reachfive.CodeUntrustedOrigin},
		{"HTTP/2, no Origin", cookie(extendedConnect("")), nil, reachfive.CodeUntrustedOrigin},
		{"a form of our own page", form(own), nil, ""},
		{"a form without Origin", form(""), nil, reachfive.CodeUntrustedOrigin},
		{"a form of another page", form(evil), nil, reachfive.CodeUntrustedOrigin},
		{"another page, optional sign-in", cookie(upgrade("GET", evil)), []reachfive.MiddlewareOption{reachfive.Optional()}, reachfive.CodeUntrustedOrigin},
		{"another page, any origin allowed", cookie(upgrade("GET", evil)), []reachfive.MiddlewareOption{reachfive.InsecureAnyOrigin()}, ""},
		{"another page with Bearer", with(upgrade("GET", evil), "Authorization", "Bearer a.b.c"), nil, ""},
		{"another page without a token", upgrade("GET", evil), nil, reachfive.CodeMissingToken},
		{"no upgrade, another page", with(cookie(httptest.NewRequest(http.MethodGet, own+"/", nil)), "Origin", evil), nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			method := tt.request.Method
			h := protect(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != method {
					t.Errorf("the handler got a %s", r.Method)
				}
				whoAmI(w, r)
			}, append(tt.opts, sources, trust)...)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, tt.request)
			got := answer{w.Result(), w.Body.String()}
			if code := got.code(t); code != tt.want {
				t.Errorf("%d %s, want code %q", got.StatusCode, got.body, tt.want)
			}
		})
	}
}

func TestTrustedOriginsAreWrittenAsABrowserWritesThem(t *testing.T) {
	t.Parallel()
	tests := []struct{ configured, sent string }{
		{"https://app.example.com", "https://app.example.com"},
		{"HTTPS://App.Example.COM", "https://app.example.com"},
		{"https://app.example.com:443", "https://app.example.com"},
		{"http://app.example.com:80", "http://app.example.com"},
		{"http://app.example.com:443", "http://app.example.com:443"},
		{"https://app.example.com:80", "https://app.example.com:80"},
		{"https://app.example.com:08443", "https://app.example.com:8443"},
		{"http://[::1]:3000", "http://[::1]:3000"},
		{"https://[::1]:443", "https://[::1]"},
		{"capacitor://localhost", "capacitor://localhost"},
		{"https://zz-09_aa.example:65535", "https://zz-09_aa.example:65535"},
	}
	for _, tt := range tests {
		t.Run(tt.configured, func(t *testing.T) {
			t.Parallel()
			h := protect(whoAmI, reachfive.TokenFrom(reachfive.FromForm("idtoken")), reachfive.TrustedOrigins(tt.configured))
			r := with(with(postForm("idtoken=a.b.c"), "Sec-Fetch-Site", "cross-site"), "Origin", tt.sent)
			if got := send(t, h, r); got.StatusCode != http.StatusOK {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
		})
	}
}

func TestOnErrorFindsWhyAnOriginIsNotTrusted(t *testing.T) {
	t.Parallel()
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
