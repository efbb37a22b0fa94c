package reachfivetest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// as makes the visitor's requests those of another client.
func as(clientID string) map[string]string { return map[string]string{"client_id": clientID} }

func newVisitOfThreeClients(t *testing.T) *visit {
	t.Helper()
	return newVisit(t, reachfivetest.WithClientID("web"), reachfivetest.WithClients("ios", "android"))
}

// codeOf signs in to a client up to the code.
func (v *visit) codeOf(clientID string) string {
	v.Helper()
	return v.code(map[string]string{"client_id": clientID, "tkn": member(v.T, v.login(as(clientID)), "tkn")})
}

func TestEachClientSignsInAndGetsTokensOfItsOwn(t *testing.T) {
	t.Parallel()
	v := newVisitOfThreeClients(t)
	webAndIOS := v.tenant.Verifier(reachfive.WithAudiences("ios"))
	for client, want := range map[string]reachfive.Code{"web": "", "ios": "", "android": reachfive.CodeWrongAudience} {
		config := v.fetch("GET", "/identity/v1/config?client_id="+client, nil)
		assert.Equal(t, http.StatusOK, config.status, client)
		res := v.exchange(v.codeOf(client), as(client))
		require.Equal(t, http.StatusOK, res.status, res.body)
		user, err := webAndIOS.Verify(t.Context(), member(t, res, "id_token"))
		assert.Equal(t, want, reachfive.CodeOf(err), client)
		if err == nil {
			assert.Equal(t, []string{client}, user.Audience)
			assert.Equal(t, v.sub, user.Subject)
		}
		next := v.post("/oauth/token", jsonType, asJSON(t, map[string]string{
			"client_id": client, "grant_type": "refresh_token", "refresh_token": member(t, res, "refresh_token"),
		}))
		require.Equal(t, http.StatusOK, next.status, next.body)
		_, err = webAndIOS.Verify(t.Context(), member(t, next, "id_token"))
		assert.Equal(t, want, reachfive.CodeOf(err), client)
	}
	for _, path := range []string{"/identity/v1/config?client_id=windows", "/oauth/authorize?client_id=windows"} {
		assert.Equal(t, http.StatusUnauthorized, v.fetch("GET", path, nil).status, path)
	}
	assert.Equal(t, http.StatusUnauthorized, v.login(as("windows")).status)
}

func TestCodesAndTokensAreBoundToTheirClient(t *testing.T) {
	t.Parallel()
	v := newVisitOfThreeClients(t)
	_, back := v.authorize(map[string]string{"client_id": "ios"}) // with a tkn of web
	assert.Equal(t, "login_required", back.Get("error"))

	res := v.exchange(v.codeOf("web"), as("ios"))
	assert.Equal(t, http.StatusBadRequest, res.status)
	assert.Equal(t, "invalid_grant", member(t, res, "error"))

	tokens := v.tokens()
	refresh := map[string]string{"client_id": "ios", "grant_type": "refresh_token", "refresh_token": member(t, tokens, "refresh_token")}
	assert.Equal(t, http.StatusBadRequest, v.post("/oauth/token", jsonType, asJSON(t, refresh)).status)

	// RFC 7009 section 2.1.
	access := member(t, tokens, "access_token")
	bearer := map[string]string{"Authorization": "Bearer " + access}
	revoke := func(client string) int {
		return v.post("/oauth/revoke", jsonType, asJSON(t, map[string]string{"client_id": client, "token": access})).status
	}
	assert.Equal(t, http.StatusBadRequest, revoke("ios"))
	assert.Equal(t, http.StatusOK, v.fetch("GET", "/identity/v1/userinfo", bearer).status)
	assert.Equal(t, http.StatusNoContent, revoke("web"))
	assert.Equal(t, http.StatusUnauthorized, v.fetch("GET", "/identity/v1/userinfo", bearer).status)
}

func TestOnlyTheFirstClientHasASecret(t *testing.T) {
	t.Parallel()
	v := newVisitOfThreeClients(t)
	for client, want := range map[string]int{"web": http.StatusOK, "ios": http.StatusUnauthorized} {
		code := v.codeOf(client)
		res := v.exchange(code, map[string]string{"client_id": client, "client_secret": v.tenant.ClientSecret})
		assert.Equal(t, want, res.status, client)
	}
}

func TestASignUpBelongsToItsClient(t *testing.T) {
	t.Parallel()
	v := newVisitOfThreeClients(t)
	signup := `{"client_id":"ios","scope":"openid","data":{"email":"jane@example.com","password":"a password"}}`
	tkn := member(t, v.post("/identity/v1/signup", jsonType, signup), "tkn")
	_, back := v.authorize(map[string]string{"tkn": tkn})
	assert.Equal(t, "login_required", back.Get("error"))
}

func TestWrongClientsAreMistakes(t *testing.T) {
	t.Parallel()
	for says, opts := range map[string][]reachfivetest.Option{
		`"" is empty or used twice`:      {reachfivetest.WithClients("")},
		`"ios" is empty or used twice`:   {reachfivetest.WithClients("ios", "ios")},
		`"web" is empty or used twice`:   {reachfivetest.WithClientID("web"), reachfivetest.WithClients("web")},
		"cannot be combined with WithHS": {reachfivetest.WithClients("ios"), reachfivetest.WithHS256()},
		"an option is nil":               {nil},
	} {
		_, err := reachfivetest.Start(opts...)
		require.ErrorContains(t, err, says)
	}
	tenant, err := reachfivetest.Start(reachfivetest.InMemory())
	require.NoError(t, err)
	assert.Empty(t, tenant.Token(reachfivetest.ForClient("another")))
	require.ErrorContains(t, tenant.Close(), `ForClient: the tenant has no client "another"`)
}
