package reachfivetest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestNewUserIsTheUserThatAVerifierReturns(t *testing.T) {
	t.Parallel()
	user := reachfivetest.NewUser(t, map[string]any{
		"iss": "https://acme.reach5.net", "email": userAddress, "email_verified": true,
		"custom_fields": map[string]any{"tier": "gold"}, "roles": []string{"admin"},
	})
	assert.Equal(t, "https://acme.reach5.net", user.Issuer)
	assert.Equal(t, userAddress, user.Email)
	assert.WithinDuration(t, time.Now(), user.AuthTime, time.Minute)
	assert.JSONEq(t, `{"tier":"gold"}`, string(user.CustomFields))
	var own struct {
		Roles []string `json:"roles"`
	}
	require.NoError(t, user.Claims(&own))
	assert.Equal(t, []string{"admin"}, own.Roles)
	assert.NoError(t, reachfive.MaxAge(time.Minute)(t.Context(), user), "checks go by time.Now")
}

func TestNewUserAcceptsAnyAudience(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		aud  any
		want []string
	}{
		{nil, []string{"AtnY5xDg4fbanentihip"}},
		{"web", []string{"web"}},
		{[]string{"web", "ios"}, []string{"web", "ios"}},
	} {
		claims := map[string]any{}
		if tt.aud != nil {
			claims["aud"] = tt.aud
		}
		assert.Equal(t, tt.want, reachfivetest.NewUser(t, claims).Audience)
	}
}

func TestNewUserFailsTheTestOfClaimsThatNobodyWouldAccept(t *testing.T) {
	t.Parallel()
	for name, claims := range map[string]map[string]any{
		"expired":           {"exp": time.Now().Add(-time.Hour).Unix()},
		"no subject":        {"sub": ""},
		"odd e-mail":        {"email": 7},
		"no audience":       {"aud": []string{}},
		"odd audience":      {"aud": 7},
		"no JSON form":      {"hook": func() {}},
		"not JSON's aud":    {"aud": func() {}},
		"issuer by http":    {"iss": "http://acme.reach5.net"},
		"an access token's": {"scope": "openid"},
	} {
		t.Run(name, func(t *testing.T) {
			probe := &probe{TB: t}
			func() {
				defer func() { _ = recover() }()
				reachfivetest.NewUser(probe, claims)
			}()
			assert.Contains(t, probe.fatal, "NewUser")
			assert.NotContains(t, probe.fatal, "eyJ")
		})
	}
}

func TestNewTenantFailsTheTestOfWrongOptionsAndMistakes(t *testing.T) {
	t.Parallel()
	p := &probe{TB: t}
	func() {
		defer func() { _ = recover() }()
		reachfivetest.NewTenant(p, reachfivetest.WithName("Acme"))
	}()
	assert.Contains(t, p.fatal, "WithName")
	tenant := reachfivetest.NewTenant(p, reachfivetest.InMemory())
	tenant.RemoveKey("key-9")
	tenant.AddUser("p", map[string]any{"email": userAddress})
	assert.Empty(t, tenant.AddUser("p", map[string]any{"email": userAddress}))
	assert.Empty(t, tenant.AddUser("p", map[string]any{"name": "John Doe"}))
	assert.Len(t, p.errors, 3)
}

// probe is a test that may fail.
type probe struct {
	testing.TB
	fatal  string
	errors []string
}

func (p *probe) Helper() {}

func (p *probe) Error(args ...any) { p.errors = append(p.errors, fmt.Sprint(args...)) }

func (p *probe) Fatal(args ...any) {
	p.fatal = fmt.Sprint(args...)
	panic("the test ends here")
}
