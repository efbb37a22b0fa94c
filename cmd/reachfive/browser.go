package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

// redirectURI is the page that receives the code. Nothing serves it: the code is
// read from the Location header.
const redirectURI = "http://localhost/callback"

// requestTimeout limits every request; all of them stay on this machine.
const requestTimeout = 10 * time.Second

// browser does what a page with ReachFive's SDK does: it signs a user in with a
// password and exchanges the code with PKCE.
type browser struct {
	tenant   *reachfivetest.Tenant
	email    string
	password string
}

// reply is the part of a response that the transcript needs.
type reply struct {
	status int
	reason string // of a refusal, from the body
	body   []byte
	header http.Header
}

// signInStepwise signs the user in, calls tell for each step, and returns the ID
// token.
func (b *browser) signInStepwise(ctx context.Context, tell func(string, reply, expectation)) (string, error) {
	client := noRedirects(b.tenant.Client())
	issuer := b.tenant.Issuer()
	ok := expectation{status: http.StatusOK}

	got, err := postJSON(ctx, client, issuer+"/identity/v1/password/login", map[string]string{
		"client_id": b.tenant.ClientID,
		"scope":     "openid profile email",
		"email":     b.email,
		"password":  b.password,
	})
	if err != nil {
		return "", err
	}
	tkn := got.member("tkn")
	tell("POST tenant/identity/v1/password/login", got.saying("password accepted"), ok)
	if tkn == "" {
		return "", fmt.Errorf("the tenant rejected the password: %d %s", got.status, got.reason)
	}

	verifier := rand.Text() + rand.Text() // 52 characters; RFC 7636 section 4.1 wants 43 or more
	digest := sha256.Sum256([]byte(verifier))
	state := rand.Text()
	got, err = get(ctx, client, issuer+"/oauth/authorize?"+url.Values{
		"client_id":             {b.tenant.ClientID},
		"response_type":         {"code"},
		"redirect_uri":          {redirectURI},
		"scope":                 {"openid profile email"},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(digest[:])},
		"code_challenge_method": {"S256"},
		"state":                 {state},
		"tkn":                   {tkn},
	}.Encode(), nil)
	if err != nil {
		return "", err
	}
	back, err := url.Parse(got.header.Get("Location"))
	if err != nil || back.Query().Get("state") != state || back.Query().Get("code") == "" {
		return "", fmt.Errorf("the tenant issued no code: status %d", got.status)
	}
	tell("GET  tenant/oauth/authorize", got.saying("code issued, bound to the PKCE challenge"), expectation{status: http.StatusFound})

	got, err = postJSON(ctx, client, issuer+"/oauth/token", map[string]string{
		"client_id":     b.tenant.ClientID,
		"grant_type":    "authorization_code",
		"code":          back.Query().Get("code"),
		"code_verifier": verifier,
		"redirect_uri":  redirectURI,
	})
	if err != nil {
		return "", err
	}
	idToken := got.member("id_token")
	tell("POST tenant/oauth/token", got.saying("ID token issued"), ok)
	if idToken == "" {
		return "", fmt.Errorf("the tenant rejected the code: %d %s", got.status, got.reason)
	}
	return idToken, nil
}

// saying sets the text to show for an answer that is not a refusal.
func (r reply) saying(text string) reply {
	if r.reason == "" {
		r.reason = text
	}
	return r
}

// kids lists the kids of a JWK Set.
func (r reply) kids() []string {
	var set struct {
		Keys []struct {
			KID string `json:"kid"`
		} `json:"keys"`
	}
	if json.Unmarshal(r.body, &set) != nil {
		return nil
	}
	var kids []string
	for _, key := range set.Keys {
		kids = append(kids, key.KID)
	}
	return kids
}

// member is a string member of a JSON body, or "".
func (r reply) member(name string) string {
	var body map[string]any
	if json.Unmarshal(r.body, &body) != nil {
		return ""
	}
	text, _ := body[name].(string)
	return text
}

func get(ctx context.Context, client *http.Client, target string, header http.Header) (reply, error) {
	return send(ctx, client, http.MethodGet, target, header, nil)
}

func postJSON(ctx context.Context, client *http.Client, target string, body map[string]string) (reply, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return reply{}, err
	}
	return send(ctx, client, http.MethodPost, target, http.Header{"Content-Type": {"application/json;charset=UTF-8"}}, text)
}

func postForm(ctx context.Context, client *http.Client, target string, header http.Header, form url.Values) (reply, error) {
	header = header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(ctx, client, http.MethodPost, target, header, []byte(form.Encode()))
}

// send makes one request, and reads the reason of a refusal from the body.
func send(ctx context.Context, client *http.Client, method, target string, header http.Header, body []byte) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	maps.Copy(req.Header, header)
	res, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	got := reply{status: res.StatusCode, body: text, header: res.Header}
	if got.status >= http.StatusBadRequest {
		got.reason = strings.TrimSpace(got.member("error_description"))
		if got.reason == "" {
			got.reason = http.StatusText(got.status)
		}
	}
	return got, err
}

// noRedirects returns client, which from now on returns redirects instead of
// following them.
func noRedirects(client *http.Client) *http.Client {
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}
