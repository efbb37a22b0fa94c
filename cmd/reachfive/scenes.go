package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// play is the demonstration, from the sign-in to the provider's outage. It is
// an error if something could not be tried at all; what was answered is the
// transcript's.
func play(ctx context.Context, out *transcript, visitor *browser, api string) error {
	out.section("1. John Doe signs in: password, then code exchange with PKCE")
	token, err := visitor.signInStepwise(ctx, out.answer)
	if err != nil {
		return err
	}
	client := noRedirects(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}})
	calls := &caller{client: client, api: api, out: out}

	out.section("2. The API takes the ID token")
	calls.form(ctx, "idtoken form", token, nil, expectation{http.StatusOK, "signed in as John Doe"})
	calls.bearer(ctx, "Bearer token", token, expectation{http.StatusOK, "called as John Doe"})

	tenant := visitor.tenant
	foreign, err := otherTenantsToken(tenant)
	if err != nil {
		return err
	}
	out.section("3. The API refuses what only looks like one")
	calls.bearer(ctx, "no token", "", refused(reachfive.CodeMissingToken))
	calls.bearer(ctx, "expired token", tenant.Token(reachfivetest.Expired()), refused(reachfive.CodeExpired))
	calls.bearer(ctx, "another client's token", tenant.Token(reachfivetest.OtherAudience()), refused(reachfive.CodeWrongAudience))
	calls.bearer(ctx, "another tenant's token", foreign, refused(reachfive.CodeInvalidSignature))
	calls.bearer(ctx, "tampered token", tamper(token), refused(reachfive.CodeInvalidSignature))
	calls.bearer(ctx, "unsigned token", tenant.Token(reachfivetest.Unsigned()), refused(reachfive.CodeMalformedToken))
	calls.form(ctx, "idtoken form, sent by another site", token,
		http.Header{"Origin": {"https://other.example"}, "Sec-Fetch-Site": {"cross-site"}}, refused(reachfive.CodeUntrustedOrigin))

	out.section("4. The tenant changes its key, then goes down")
	tenant.Rotate()
	calls.bearer(ctx, "token of the new key, at once", tenant.Token(), expectation{http.StatusOK, "called as John Doe"})
	tenant.SetDown(true)
	calls.bearer(ctx, "token of the old key, tenant down", token, expectation{http.StatusOK, "called as John Doe"})
	tenant.SetDown(false)
	return calls.err
}

// refused is the answer that the middleware gives for code: the description
// begins with it.
func refused(code reachfive.Code) expectation {
	return expectation{code.HTTPStatus(), string(code)}
}

// caller calls the API and keeps the first error of doing so.
type caller struct {
	client *http.Client
	api    string
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

func (c *caller) tell(route, sent string, got reply, err error, want expectation) {
	if err != nil {
		if c.err == nil {
			c.err = err
		}
		return
	}
	c.out.answer(route+"  "+sent, got, want)
}

// otherTenantsToken is a good token, of another tenant, for a client of the
// same name.
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
