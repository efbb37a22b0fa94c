package reachfive_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// The tests below stand in docs/testing.md, letter by letter.

func callAPI(api http.Handler, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w
}

func TestProfileNeedsAGoodToken(t *testing.T) {
	tenant := reachfivetest.NewTenant(t)
	api, err := newAPI(tenant.Domain, tenant.ClientID, reachfive.WithHTTPClient(tenant.Client()))
	require.NoError(t, err)

	good := tenant.Token(reachfivetest.Claim("sub", "AVqvOB58Fg6nZfQ0ZqXt"))
	assert.Equal(t, "Signed in as: AVqvOB58Fg6nZfQ0ZqXt\n", callAPI(api, "/profile", good).Body.String())
	assert.Equal(t, 401, callAPI(api, "/profile", tenant.Token(reachfivetest.Expired())).Code)
	assert.Equal(t, 401, callAPI(api, "/profile", tenant.Token(reachfivetest.WrongKey())).Code)
}

func TestProfileServesThroughAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory()) // no socket, so time is the bubble's
		api, err := newAPI(tenant.Domain, tenant.ClientID, reachfive.WithHTTPClient(tenant.Client()))
		require.NoError(t, err)
		require.Equal(t, 200, callAPI(api, "/profile", tenant.Token()).Code)

		tenant.SetDown(true)
		time.Sleep(12 * time.Hour)
		assert.Equal(t, 200, callAPI(api, "/profile", tenant.Token()).Code)
		time.Sleep(13 * time.Hour)
		assert.Equal(t, 503, callAPI(api, "/profile", tenant.Token()).Code)
	})
}

func TestPayOutKnowsTheUser(t *testing.T) {
	user := reachfivetest.NewUser(t, map[string]any{"sub": "AVqvOB58Fg6nZfQ0ZqXt", "email_verified": true})
	r := httptest.NewRequest(http.MethodPost, "/payout", nil)
	w := httptest.NewRecorder()
	payOut(w, r.WithContext(reachfive.ContextWithUser(r.Context(), user)))
	assert.Equal(t, 204, w.Code)
}
