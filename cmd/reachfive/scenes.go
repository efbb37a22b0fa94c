package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive/internal/explain"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// provider is what the demonstration changes of the tenant.
type provider interface {
	Rotate() string
	SetDown(down bool)
}

// play plays the demonstration, from the sign-in to the tenant's outage. It
// returns an error if something could not be tried; the transcript counts the
// answers that were not as expected.
func play(ctx context.Context, out *transcript, visitor *browser, api string, tenant provider) error {
	out.section("1. John Doe signs in: password, then code exchange with PKCE")
	token, err := visitor.signInStepwise(ctx, out.answer)
	if err != nil {
		return err
	}
	client := noRedirects(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}})
	calls := &caller{client: client, api: api, out: out, tenant: visitor.tenant}

	out.section("2. The API accepts the ID token")
	accepted := expectation{http.StatusOK, "called as John Doe"}
	calls.form(ctx, "idtoken form", token, nil, expectation{http.StatusOK, "signed in as John Doe"})
	calls.bearer(ctx, "Bearer token", token, accepted)

	foreign, err := otherTenantsToken(visitor.tenant)
	if err != nil {
		return err
	}
	out.section("3. The API refuses every other token")
	calls.bearer(ctx, "no token", "", refused(reachfive.CodeMissingToken))
	calls.bearer(ctx, "expired token", visitor.tenant.Token(reachfivetest.Expired()), refused(reachfive.CodeExpired))
	calls.bearer(ctx, "another client's token", visitor.tenant.Token(reachfivetest.OtherAudience()), refused(reachfive.CodeWrongAudience))
	calls.bearer(ctx, "another tenant's token", foreign, refused(reachfive.CodeInvalidSignature))
	calls.bearer(ctx, "tampered token", tamper(token), refused(reachfive.CodeInvalidSignature))
	calls.bearer(ctx, "unsigned token", visitor.tenant.Token(reachfivetest.Unsigned()), refused(reachfive.CodeMalformedToken))
	calls.form(ctx, "idtoken form from another site", token,
		http.Header{"Origin": {"https://other.example"}, "Sec-Fetch-Site": {"cross-site"}}, refused(reachfive.CodeUntrustedOrigin))

	// The tenant's own answers show that it has changed: without them a
	// rotation or an outage that did not happen would look the same.
	out.section("4. The tenant rotates its key, then goes down")
	before := calls.keySet(ctx, "", expectation{http.StatusOK, explain.KID(token)})
	tenant.Rotate()
	calls.keySet(ctx, "after the rotation", expectation{http.StatusOK, before + ", "}) // and at least one more
	rotated := visitor.tenant.Token()
	calls.bearer(ctx, "token of "+explain.KID(rotated)+", at once", rotated, accepted)
	tenant.SetDown(true)
	calls.keySet(ctx, "tenant down", expectation{http.StatusServiceUnavailable, ""})
	calls.bearer(ctx, "token of "+explain.KID(token)+", tenant down", token, accepted)
	tenant.SetDown(false)
	return calls.err
}

// refused is the middleware's answer for code: its description begins with it.
func refused(code reachfive.Code) expectation {
	return expectation{code.HTTPStatus(), string(code)}
}

// caller calls the API and the tenant, and keeps the first error of doing so.
type caller struct {
	client *http.Client
	api    string
	tenant *reachfivetest.Tenant
	out    *transcript
	err    error
}

// bearer calls GET /me.
func (c *caller) bearer(ctx context.Context, sent, token string, want expectation) {
	var header http.Header
	if token != "" {
		header = http.Header{"Authorization": {"Bearer " + token}}
	}
	got, err := get(ctx, c.client, c.api+"/me", header)
	c.tell("GET  api/me", sent, got.saying("called as "+got.member("name")), err, want)
}

// form calls POST /session.
func (c *caller) form(ctx context.Context, sent, token string, header http.Header, want expectation) {
	got, err := postForm(ctx, c.client, c.api+"/session", header, url.Values{"idtoken": {token}})
	c.tell("POST api/session", sent, got.saying("signed in as "+string(got.body)), err, want)
}

// keySet calls GET /jwks.json of the tenant, and returns the kids that it lists.
func (c *caller) keySet(ctx context.Context, when string, want expectation) string {
	got, err := get(ctx, c.tenant.Client(), c.tenant.Issuer()+"/jwks.json", nil)
	kids := strings.Join(got.kids(), ", ")
	c.tell("GET  tenant/jwks.json", when, got.saying(kids), err, want)
	return kids
}

func (c *caller) tell(route, sent string, got reply, err error, want expectation) {
	if err != nil {
		if c.err == nil {
			c.err = err
		}
		return
	}
	c.out.answer(strings.TrimSpace(route+"  "+sent), got, want)
}

// otherTenantsToken is a good token of another tenant, for a client of the same
// ID.
func otherTenantsToken(tenant *reachfivetest.Tenant) (string, error) {
	other, err := reachfivetest.Start(reachfivetest.InMemory(),
		reachfivetest.WithName("other.example"), reachfivetest.WithClientID(tenant.ClientID))
	if err != nil {
		return "", err
	}
	token := other.Token()
	return token, other.Close()
}

// tamper changes one letter of the token's payload.
func tamper(token string) string {
	at := strings.IndexByte(token, '.') + 10
	letter := byte('A')
	if token[at] == letter {
		letter = 'B'
	}
	return token[:at] + string(letter) + token[at+1:]
}
