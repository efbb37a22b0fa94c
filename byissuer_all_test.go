package reachfive_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// twoTenants are tenants in memory that take two seconds to answer, and an
// IssuerVerifier for both.
func twoTenants(t *testing.T) (a, b *reachfivetest.Tenant, v *reachfive.IssuerVerifier) {
	t.Helper()
	a = memoryTenant(t, reachfivetest.WithName("a.localhost"))
	b = memoryTenant(t, reachfivetest.WithName("b.localhost"))
	a.SetDelay(2 * time.Second)
	b.SetDelay(2 * time.Second)
	return a, b, byIssuer(t, a.Verifier(), b.Verifier())
}

func TestByIssuerAsksAllVerifiersAtOnce(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(*reachfive.IssuerVerifier, context.Context) error{
		"Refresh":     (*reachfive.IssuerVerifier).Refresh,
		"HealthCheck": (*reachfive.IssuerVerifier).HealthCheck,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				a, b, v := twoTenants(t)
				start := time.Now()
				require.NoError(t, call(v, t.Context()))
				assert.Equal(t, 2*time.Second, time.Since(start))
				assert.Equal(t, []int{1, 1}, []int{a.JWKSRequests(), b.JWKSRequests()})
				// With fresh keys, only Refresh fetches again.
				require.NoError(t, call(v, t.Context()))
				want := map[string]int{"Refresh": 2, "HealthCheck": 1}[name]
				assert.Equal(t, []int{want, want}, []int{a.JWKSRequests(), b.JWKSRequests()})
				for _, tenant := range []*reachfivetest.Tenant{a, b} {
					_, err := v.Verify(t.Context(), tenant.Token())
					require.NoError(t, err)
				}
			})
			inBubble(t, func(t *testing.T) {
				a, b, v := twoTenants(t)
				b.SetDown(true)
				err := call(v, t.Context())
				assert.Equal(t, reachfive.CodeKeysUnavailable, reachfive.CodeOf(err))
				require.ErrorContains(t, err, b.Domain)
				assert.NotContains(t, err.Error(), a.Domain)
				_, err = v.Verify(t.Context(), a.Token())
				require.NoError(t, err, "the other tenant goes on")
				a.SetDown(true)
				if err = v.Refresh(t.Context()); assert.ErrorContains(t, err, a.Domain) {
					assert.ErrorContains(t, err, b.Domain)
				}
			})
			inBubble(t, func(t *testing.T) {
				_, _, v := twoTenants(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				require.ErrorIs(t, call(v, ctx), context.DeadlineExceeded)
			})
		})
	}
}

func TestByIssuerHasTheStatusOfEachVerifier(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		a, b, v := twoTenants(t)
		_, err := v.Verify(t.Context(), b.Token())
		require.NoError(t, err)
		statuses := v.Statuses()
		require.Len(t, statuses, 2)
		assert.Equal(t, "https://"+a.Domain, statuses[0].Issuer)
		assert.Equal(t, "https://"+b.Domain, statuses[1].Issuer)
		assert.Empty(t, statuses[0].Keys)
		assert.Len(t, statuses[1].Keys, 1)
		assert.Zero(t, a.JWKSRequests(), "Statuses uses no network")
	})
}

func TestByIssuerClosesEachVerifier(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		a, b, v := twoTenants(t)
		_, err := v.Verify(t.Context(), a.Token())
		require.NoError(t, err)
		require.NoError(t, v.Close())
		require.NoError(t, v.Close(), "again")
		_, err = v.Verify(t.Context(), a.Token())
		require.NoError(t, err, "from the keys that are known")
		_, err = v.Verify(t.Context(), b.Token())
		assert.Equal(t, reachfive.CodeKeysUnavailable, reachfive.CodeOf(err))
		assert.Zero(t, b.JWKSRequests())
	})
}

func TestByIssuerReportsATokenThatNoVerifierIsForOnce(t *testing.T) {
	t.Parallel()
	a := memoryTenant(t, reachfivetest.WithName("a.localhost"), reachfivetest.WithHS256())
	b := memoryTenant(t, reachfivetest.WithName("b.localhost"), reachfivetest.WithHS256())
	var first, second verifyEvents
	v := byIssuer(t, a.Verifier(first.option()), b.Verifier(second.option()))
	tests := []struct {
		name, token string
		want        reachfive.Code
	}{
		{"no token", "", reachfive.CodeMissingToken},
		{"malformed", "a.b", reachfive.CodeMalformedToken},
		{"malformed, of another issuer", a.Token(reachfivetest.Header("crit", []string{"x"}), reachfivetest.OtherIssuer()), reachfive.CodeMalformedToken},
		{"another algorithm", a.Token(reachfivetest.RS256()), reachfive.CodeUnsupportedAlgorithm},
		{"another issuer", a.Token(reachfivetest.OtherIssuer()), reachfive.CodeWrongIssuer},
		{"another audience", b.Token(reachfivetest.OtherAudience()), reachfive.CodeWrongAudience},
	}
	for _, tt := range tests {
		first, second = nil, nil
		_, err := v.Verify(t.Context(), tt.token)
		require.Equal(t, tt.want, reachfive.CodeOf(err), tt.name)
		require.Len(t, first, 1, tt.name)
		assert.Empty(t, second, tt.name)
		assert.Positive(t, first[0].Duration, tt.name)
		assert.Less(t, first[0].Duration, time.Hour, tt.name)
		first[0].Duration = 0
		assert.Equal(t, reachfive.VerifyEvent{Code: tt.want}, first[0], tt.name)
	}

	// The chosen Verifier reports for itself, accepted or refused.
	first, second = nil, nil
	_, err := v.Verify(t.Context(), b.Token())
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), b.Token(reachfivetest.Expired()))
	require.ErrorIs(t, err, reachfive.CodeExpired)
	assert.Empty(t, first)
	require.Len(t, second, 2)
	assert.Equal(t, "https://"+b.Domain, second[1].Issuer)

	// Nobody listens to the first.
	v = byIssuer(t, a.Verifier(), b.Verifier(second.option()))
	_, err = v.Verify(t.Context(), "a.b")
	require.ErrorIs(t, err, reachfive.CodeMalformedToken)
	assert.Len(t, second, 2)
}
