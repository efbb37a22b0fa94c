package reachfivetest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

const (
	callback    = "https://app.example.com/callback?from=here"
	verifier    = "a-code-verifier-of-forty-three-characters-or-more"
	formType    = "application/x-www-form-urlencoded"
	jsonType    = "application/json;charset=UTF-8"
	secretWord  = "a password of a test"
	userAddress = "john.doe@example.com"
)

// visit is a visitor of one tenant, whose steps a test can change.
type visit struct {
	*testing.T
	tenant *reachfivetest.Tenant
	sub    string
}

func newVisit(t *testing.T, opts ...reachfivetest.Option) *visit {
	t.Helper()
	tenant := reachfivetest.NewTenant(t, append([]reachfivetest.Option{reachfivetest.InMemory()}, opts...)...)
	sub := tenant.AddUser(secretWord, map[string]any{
		"email": userAddress, "name": "John Doe", "phone_number": "+33612345678", "custom_fields": map[string]any{"tier": "gold"},
	})
	require.NotEmpty(t, sub)
	return &visit{t, tenant, sub}
}

func (v *visit) post(path, contentType, body string) reply {
	v.Helper()
	res, err := send(v.Context(), v.T, v.tenant.Client(), http.MethodPost, v.tenant.Issuer()+path, contentType, body)
	require.NoError(v, err)
	return res
}

func (v *visit) login(change map[string]string) reply {
	v.Helper()
	return v.post("/identity/v1/password/login", jsonType, asJSON(v.T, with(map[string]string{
		"client_id": v.tenant.ClientID, "scope": "openid profile email phone", "email": userAddress, "password": secretWord,
	}, change)))
}

// authorize returns the parameters of the redirect.
func (v *visit) authorize(change map[string]string) (reply, url.Values) {
	v.Helper()
	digest := sha256.Sum256([]byte(verifier))
	query := url.Values{}
	for name, value := range with(map[string]string{
		"client_id": v.tenant.ClientID, "response_type": "code", "redirect_uri": callback, "state": "s-1", "nonce": "n-1",
		"scope": "openid profile email", "tkn": member(v.T, v.login(nil), "tkn"),
		"code_challenge": base64.RawURLEncoding.EncodeToString(digest[:]), "code_challenge_method": "S256",
	}, change) {
		query.Set(name, value)
	}
	res, err := get(v.T, v.tenant.Client(), v.tenant.Issuer()+"/oauth/authorize?"+query.Encode())
	require.NoError(v, err)
	back, err := url.Parse(res.header.Get("Location"))
	require.NoError(v, err)
	return res, back.Query()
}

func (v *visit) code(change map[string]string) string {
	v.Helper()
	res, back := v.authorize(change)
	require.Equal(v, http.StatusFound, res.status, res.body)
	require.NotEmpty(v, back.Get("code"), back.Encode())
	return back.Get("code")
}

func (v *visit) exchange(code string, change map[string]string) reply {
	v.Helper()
	return v.post("/oauth/token", jsonType, asJSON(v.T, v.grant(code, change)))
}

func (v *visit) grant(code string, change map[string]string) map[string]string {
	return with(map[string]string{
		"client_id": v.tenant.ClientID, "grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": callback,
	}, change)
}

func TestASignInEndsWithTokensOfTheUser(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	res := v.exchange(v.code(nil), nil)
	require.Equal(t, http.StatusOK, res.status, res.body)
	assert.Equal(t, "no-store", res.header.Get("Cache-Control"))
	assert.Equal(t, "Bearer", member(t, res, "token_type"))
	assert.Contains(t, res.body, `"expires_in":86400`)

	user, err := v.tenant.Verifier().Verify(t.Context(), member(t, res, "id_token"),
		reachfive.Nonce("n-1"), reachfive.AccessTokenHash(member(t, res, "access_token")), reachfive.MaxAge(time.Minute))
	require.NoError(t, err)
	assert.Equal(t, v.sub, user.Subject)
	assert.Equal(t, userAddress, user.Email)
	assert.Equal(t, "John Doe", user.Name)
	assert.Empty(t, user.PhoneNumber, "phone was not asked for")
	assert.JSONEq(t, `{"tier":"gold"}`, string(user.CustomFields))

	_, err = v.tenant.Verifier().Verify(t.Context(), member(t, res, "access_token"))
	assert.Equal(t, reachfive.CodeInvalidClaim, reachfive.CodeOf(err), "an access token is no ID token")
}

func TestTheRedirectKeepsStateAndTheCallbacksOwnQuery(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	_, back := v.authorize(nil)
	assert.Equal(t, "s-1", back.Get("state"))
	assert.Equal(t, "here", back.Get("from"))
}

func TestLoginTakesEachIdentifierAndRefusesTheRestAsReachFiveDoes(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	assert.Equal(t, 200, v.login(map[string]string{"email": "John.Doe@Example.com"}).status)
	assert.Equal(t, 200, v.login(map[string]string{"email": "", "phone_number": "+33612345678"}).status)
	for name, change := range map[string]map[string]string{
		"wrong password": {"password": "another"},
		"no password":    {"password": ""},
		"unknown user":   {"email": "jane.doe@example.com"},
		"nobody":         {"email": ""},
	} {
		res := v.login(change)
		assert.Equal(t, 401, res.status, name)
		assert.Equal(t, "invalid_grant", member(t, res, "error"), name)
		assert.Equal(t, "Invalid email or password", member(t, res, "error_description"), name)
		assert.Equal(t, "Invalid email or password", member(t, res, "error_user_msg"), name)
		assert.Equal(t, "error.invalidEmailOrPassword", member(t, res, "error_message_key"), name)
		assert.NotEmpty(t, member(t, res, "error_id"), name)
	}
	assert.Equal(t, 401, v.login(map[string]string{"client_id": "another"}).status)
	assert.Equal(t, 400, v.post("/identity/v1/password/login", jsonType, "{").status)
}

func TestAuthorizeReturnsErrorsInTheRedirect(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	for name, tt := range map[string]struct {
		change map[string]string
		want   string
	}{
		"not signed in":   {map[string]string{"tkn": "x"}, "login_required"},
		"another type":    {map[string]string{"response_type": "token"}, "unsupported_response_type"},
		"another mode":    {map[string]string{"response_mode": "fragment"}, "invalid_request"},
		"plain challenge": {map[string]string{"code_challenge_method": "plain"}, "invalid_request"},
		"short challenge": {map[string]string{"code_challenge": "x"}, "invalid_request"},
	} {
		res, back := v.authorize(tt.change)
		assert.Equal(t, http.StatusFound, res.status, name)
		assert.Equal(t, tt.want, back.Get("error"), name)
		assert.Equal(t, "s-1", back.Get("state"), name)
		assert.Empty(t, back.Get("code"), name)
	}
}

func TestAuthorizeRedirectsOnlyToTheClientsURIs(t *testing.T) {
	t.Parallel()
	v := newVisit(t, reachfivetest.WithRedirectURIs(callback))
	for name, change := range map[string]map[string]string{
		"another client":   {"client_id": "another"},
		"another redirect": {"redirect_uri": "https://other.example/"},
		"no redirect":      {"redirect_uri": ""},
	} {
		res, _ := v.authorize(change)
		assert.GreaterOrEqual(t, res.status, 400, name)
		assert.Empty(t, res.header.Get("Location"), name)
	}
	anywhere := newVisit(t)
	res, _ := anywhere.authorize(map[string]string{"redirect_uri": "/callback"})
	assert.Equal(t, 400, res.status, "a relative one is nobody's")
}

func TestATknWorksOnceAndForFiveMinutes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	v := newVisit(t, reachfivetest.WithClock(func() time.Time { return now }))
	tkn := member(t, v.login(nil), "tkn")
	v.code(map[string]string{"tkn": tkn})
	_, back := v.authorize(map[string]string{"tkn": tkn})
	assert.Equal(t, "login_required", back.Get("error"))
	late := member(t, v.login(nil), "tkn")
	now = now.Add(5 * time.Minute)
	_, back = v.authorize(map[string]string{"tkn": late})
	assert.Equal(t, "login_required", back.Get("error"))
}

func TestACodeIsBoundToItsVerifierItsRedirectAndOneUse(t *testing.T) {
	t.Parallel()
	now := time.Now()
	v := newVisit(t, reachfivetest.WithClock(func() time.Time { return now }))
	for name, change := range map[string]map[string]string{
		"another verifier": {"code_verifier": verifier + "x"},
		"no verifier":      {"code_verifier": ""},
		"another redirect": {"redirect_uri": "https://app.example.com/"},
		"another code":     {"code": "x"},
		// The secret does not replace the verifier.
		"secret for the verifier": {"code_verifier": "", "client_secret": v.tenant.ClientSecret},
	} {
		code := v.code(nil)
		res := v.exchange(code, change)
		assert.Equal(t, 400, res.status, name)
		assert.Equal(t, "invalid_grant", member(t, res, "error"), name)
		if name != "another code" {
			assert.Equal(t, 400, v.exchange(code, nil).status, "%s: the code is spent", name)
		}
	}
	code := v.code(nil)
	assert.Equal(t, 200, v.exchange(code, nil).status)
	assert.Equal(t, 400, v.exchange(code, nil).status)
	late := v.code(nil)
	now = now.Add(time.Minute)
	assert.Equal(t, 400, v.exchange(late, nil).status)
}

func TestAServerExchangesByFormWithItsSecret(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	form := func(change map[string]string) string {
		values := url.Values{}
		for name, value := range v.grant(v.code(map[string]string{"code_challenge": "\x00"}), change) {
			values.Set(name, value)
		}
		return values.Encode()
	}
	assert.Equal(t, 200, v.post("/oauth/token", formType, form(map[string]string{"client_secret": v.tenant.ClientSecret})).status)
	assert.Equal(t, 401, v.post("/oauth/token", formType, form(map[string]string{"client_secret": "another"})).status)
	assert.Equal(t, 400, v.post("/oauth/token", formType, form(nil)).status, "neither challenge nor secret")
	assert.Equal(t, 400, v.post("/oauth/token", "text/plain", form(nil)).status)
	assert.Equal(t, 400, v.post("/oauth/token", jsonType, "{").status)
	assert.Equal(t, 401, v.exchange("x", map[string]string{"client_id": "another"}).status)
	assert.Equal(t, "unsupported_grant_type", member(t, v.exchange("x", map[string]string{"grant_type": "password"}), "error"))
}

func TestARefreshTokenWorksOnceAndKeepsTheSignIn(t *testing.T) {
	t.Parallel()
	now := time.Now()
	v := newVisit(t, reachfivetest.WithClock(func() time.Time { return now }))
	first := member(t, v.exchange(v.code(nil), nil), "refresh_token")
	signedIn := now
	now = now.Add(time.Hour)
	refresh := func(token string) reply {
		return v.exchange("", map[string]string{"grant_type": "refresh_token", "refresh_token": token})
	}
	res := refresh(first)
	require.Equal(t, 200, res.status, res.body)
	user, err := v.tenant.Verifier().Verify(t.Context(), member(t, res, "id_token"))
	require.NoError(t, err)
	assert.Equal(t, signedIn.Unix(), user.AuthTime.Unix())
	assert.Equal(t, now.Unix(), user.IssuedAt.Unix())
	assert.Empty(t, user.Nonce)
	assert.Equal(t, 400, refresh(first).status)
	assert.Equal(t, 200, refresh(member(t, res, "refresh_token")).status)
}

func TestWithoutOpenIDThereIsNoIDToken(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	res := v.exchange(v.code(map[string]string{"scope": "profile"}), nil)
	assert.Equal(t, 200, res.status)
	assert.NotContains(t, res.body, "id_token")
}

func TestUnknownPathsAndMethodsAreJSONErrors(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	assert.Equal(t, "not_found", member(t, v.post("/oauth/authorize", jsonType, ""), "error"))
	assert.Equal(t, "not_found", member(t, v.post("/nowhere", jsonType, ""), "error"))
}

// with returns m with changes; a NUL removes a member.
func with(m, change map[string]string) map[string]string {
	maps.Copy(m, change)
	maps.DeleteFunc(m, func(_, value string) bool { return value == "\x00" })
	return m
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

func member(t *testing.T, res reply, name string) string {
	t.Helper()
	var body map[string]any
	require.NoError(t, json.Unmarshal([]byte(res.body), &body), res.body)
	text, _ := body[name].(string)
	return text
}
