package reachfivetest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTenantTokensVerifyOverTLSAndInMemory(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opts []reachfivetest.Option
	}{
		{"RS256 over TLS", nil},
		{"RS256 in memory", []reachfivetest.Option{reachfivetest.InMemory()}},
		{"RS256 under a name of its own", []reachfivetest.Option{reachfivetest.WithName("acme.reach5.net")}},
		{"RS256 without kids", []reachfivetest.Option{reachfivetest.WithoutKIDs()}},
		{"HS256 over TLS", []reachfivetest.Option{reachfivetest.WithHS256()}},
		{"HS256 in memory", []reachfivetest.Option{reachfivetest.WithHS256(), reachfivetest.InMemory()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tenant := reachfivetest.NewTenant(t, tt.opts...)
			user, err := tenant.Verifier().Verify(t.Context(), tenant.Token())
			require.NoError(t, err)
			assert.Equal(t, tenant.Issuer(), user.Issuer)
			assert.Equal(t, []string{tenant.ClientID}, user.Audience)
			assert.Equal(t, "John Doe", user.Name)
			assert.Equal(t, "password", user.AuthType)
		})
	}
}

func TestTenantServesDiscovery(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	v := tenant.Verifier(reachfive.WithDiscovery())
	_, err := v.Verify(t.Context(), tenant.Token())
	require.NoError(t, err)
	assert.Equal(t, 1, tenant.JWKSRequests())
}

func TestTenantWorksInASynctestBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
		v := tenant.Verifier()
		token := tenant.Token()
		_, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		time.Sleep(24 * time.Hour)
		_, err = v.Verify(t.Context(), token)
		assert.Equal(t, reachfive.CodeExpired, reachfive.CodeOf(err))
		_, err = v.Verify(t.Context(), tenant.Token())
		require.NoError(t, err)
	})
}

func TestClientTrustsTheTenantAloneUnderItsNames(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.WithName("acme.reach5.net"))
	_, port, _ := strings.Cut(tenant.Domain, ":")
	for host, want := range map[string]bool{
		"acme.reach5.net": true, "localhost": true, "127.0.0.1": true, "other.reach5.net": false,
	} {
		res, err := get(t, tenant.Client(), "https://"+host+":"+port+"/jwks.json")
		if !want {
			require.Error(t, err, host)
			continue
		}
		require.NoError(t, err, host)
		assert.Equal(t, http.StatusOK, res.status, host)
	}
	other := reachfivetest.NewTenant(t)
	_, err := get(t, other.Client(), "https://127.0.0.1:"+port+"/jwks.json")
	require.NoError(t, err, "every name and port is the client's own tenant")
	_, err = get(t, http.DefaultClient, "https://127.0.0.1:"+port+"/jwks.json")
	require.ErrorContains(t, err, "certificate")
}

func TestStartReportsEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	_, err := reachfivetest.Start(
		reachfivetest.WithName("Acme"),
		reachfivetest.WithClientID(""),
		reachfivetest.WithClientSecret(""),
		reachfivetest.WithClock(nil),
		reachfivetest.WithKeyBits(12),
		reachfivetest.WithKeys(nil),
		reachfivetest.WithCacheControl("a\r\nb"),
		reachfivetest.WithRedirectURIs("/callback"),
		nil,
	)
	require.Error(t, err)
	for _, option := range []string{
		"WithName", "WithClientID", "WithClientSecret", "WithClock", "WithKeyBits", "WithKeys", "WithCacheControl", "WithRedirectURIs",
	} {
		assert.ErrorContains(t, err, option)
	}
}

func TestCloseReturnsTheMistakesOfATenantWithoutTest(t *testing.T) {
	t.Parallel()
	tenant, err := reachfivetest.Start(reachfivetest.InMemory())
	require.NoError(t, err)
	assert.Empty(t, tenant.Token(reachfivetest.Claim("hook", func() {})))
	assert.Empty(t, tenant.Token(reachfivetest.SignedBy("key-9")))
	tenant.RemoveKey("key-9")
	tenant.ReplaceKey("key-9")
	assert.Empty(t, tenant.AddUser("", nil))
	assert.Nil(t, tenant.Verifier(reachfive.WithLeeway(-1)))
	err = tenant.Close()
	for _, part := range []string{"claims", "key-9", "RemoveKey", "ReplaceKey", "AddUser", "WithLeeway"} {
		require.ErrorContains(t, err, part)
	}
	assert.Equal(t, err.Error(), tenant.Close().Error(), "closing again does no more")
}

func TestNothingPrintsTheTenantsSecret(t *testing.T) {
	t.Parallel()
	const secret = "a secret that nothing should print"
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithClientSecret(secret))
	tenant.AddUser(secret, map[string]any{"email": "jane@example.com"})
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("started", "tenant", tenant)
	encoded, err := json.Marshal(tenant)
	require.NoError(t, err)
	for _, text := range []string{
		fmt.Sprint(tenant), fmt.Sprintf("%+v %#v %q %d", tenant, tenant, tenant, tenant),
		fmt.Sprintf("%+v", struct{ T *reachfivetest.Tenant }{tenant}), logged.String(), string(encoded),
	} {
		assert.NotContains(t, text, secret)
		assert.Contains(t, text, "tenant.localhost")
	}
}

func TestCloseAbortsRequestsInProgress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opts []reachfivetest.Option
	}{
		{"over TLS", nil},
		{"in memory", []reachfivetest.Option{reachfivetest.InMemory()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tenant, err := reachfivetest.Start(tt.opts...)
			require.NoError(t, err)
			tenant.SetDelay(time.Hour)
			failed := make(chan error, 1)
			arrived := tenant.JWKSRequests()
			go func() {
				_, err := get(t, tenant.Client(), tenant.Issuer()+"/jwks.json")
				failed <- err
			}()
			require.Eventually(t, func() bool { return tenant.JWKSRequests() > arrived }, 5*time.Second, time.Millisecond)
			require.NoError(t, tenant.Close())
			require.Error(t, <-failed)
			_, err = get(t, tenant.Client(), tenant.Issuer()+"/jwks.json")
			require.Error(t, err, "it stays closed")
		})
	}
}

// reply is a response with its whole body.
type reply struct {
	status int
	header http.Header
	body   string
}

func get(t *testing.T, client *http.Client, url string) (reply, error) {
	t.Helper()
	return send(t.Context(), t, client, http.MethodGet, url, "", "")
}
