package reachfive_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// cached is a tenant and a Verifier with a token cache, which counts its hits.
type cached struct {
	*reachfivetest.Tenant
	verifier *reachfive.Verifier
	hits     atomic.Int64
}

// newCached makes them for a bubble, where a fetch has its five seconds however
// long the machine is busy.
func newCached(tb testing.TB, tenantOpts []reachfivetest.Option, opts ...reachfive.Option) *cached {
	tb.Helper()
	c := &cached{Tenant: reachfivetest.NewTenant(tb, append([]reachfivetest.Option{
		reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()...),
	}, tenantOpts...)...)}
	c.verifier = c.Verifier(append([]reachfive.Option{
		reachfive.WithTokenCache(100),
		reachfive.WithObserver(reachfive.Observer{VerifyDone: func(_ context.Context, e reachfive.VerifyEvent) {
			if e.CacheHit {
				c.hits.Add(1)
			}
		}}),
	}, opts...)...)
	return c
}

// verify tells also whether the cache knew the token.
func (c *cached) verify(tb testing.TB, token string, checks ...reachfive.Check) (_ *reachfive.User, hit bool, _ reachfive.Code) {
	tb.Helper()
	before := c.hits.Load()
	u, err := c.verifier.Verify(tb.Context(), token, checks...)
	if err == nil {
		require.NotNil(tb, u)
	} else {
		require.Nil(tb, u)
	}
	return u, c.hits.Load() > before, reachfive.CodeOf(err)
}

// wantHit fails the test unless the cache knows the token and it is good.
func (c *cached) wantHit(tb testing.TB, token string) {
	tb.Helper()
	_, hit, code := c.verify(tb, token)
	require.Empty(tb, code)
	require.True(tb, hit, "the cache should know the token")
}

// wantMiss fails the test unless the token is good and new to the cache.
func (c *cached) wantMiss(tb testing.TB, token string) {
	tb.Helper()
	_, hit, code := c.verify(tb, token)
	require.Empty(tb, code)
	require.False(tb, hit, "the cache should not know the token")
}

func TestTokenCacheIsOffUnlessAskedFor(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := newCached(t, nil, reachfive.WithTokenCache(0))
		token := c.Token()
		c.wantMiss(t, token)
		c.wantMiss(t, token)
	})
}

func TestTokenCacheLooksAtTheTimesOnEveryHit(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	for _, algorithm := range []struct {
		name string
		opts []reachfivetest.Option
	}{
		{"RS256", nil},
		{"HS256", []reachfivetest.Option{reachfivetest.WithHS256()}},
	} {
		for _, tt := range []struct {
			name   string
			claims map[string]any
			later  time.Duration
			want   reachfive.Code
		}{
			{"in its last second", nil, time.Hour + 4*time.Second, ""},
			{"at its expiry, leeway included", nil, time.Hour + 5*time.Second, reachfive.CodeExpired},
			{"clock set back to a minute before iat", nil, -time.Minute, ""},
			{"clock set back further", nil, -61 * time.Second, reachfive.CodeNotYetValid},
			{"clock set back further than nbf", map[string]any{"iat": start.Unix() - 3600, "nbf": start.Unix()}, -61 * time.Second, reachfive.CodeNotYetValid},
			{"clock set back further than auth_time", map[string]any{"iat": start.Unix() - 3600, "auth_time": start.Unix()}, -61 * time.Second, reachfive.CodeInvalidClaim},
		} {
			t.Run(algorithm.name+" "+tt.name, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					now := start
					clock := func() time.Time { return now }
					c := newCached(t, append([]reachfivetest.Option{reachfivetest.WithClock(clock)}, algorithm.opts...),
						reachfive.WithLeeway(5*time.Second))
					mods := []reachfivetest.Mod{reachfivetest.Claim("exp", start.Add(time.Hour).Unix()), reachfivetest.WithoutClaim("auth_time")}
					for name, value := range tt.claims {
						mods = append(mods, reachfivetest.Claim(name, value))
					}
					token := c.Token(mods...)
					c.wantMiss(t, token)
					now = start.Add(tt.later)
					_, hit, code := c.verify(t, token)
					assert.True(t, hit)
					assert.Equal(t, tt.want, code)
					if tt.want != reachfive.CodeExpired { // what has expired goes
						now = start
						c.wantHit(t, token)
					}
				})
			})
		}
	}
}

func TestTokenCacheRunsEveryCheckOnEveryHit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		now := time.Unix(1_700_000_000, 0)
		var ran int
		refuse := errors.New("not today")
		var verdict error
		c := newCached(t, []reachfivetest.Option{reachfivetest.WithClock(func() time.Time { return now })},
			reachfive.WithChecks(func(context.Context, *reachfive.User) error { ran++; return verdict }))
		token := c.Token(reachfivetest.Claim("nonce", "n-0S6"))

		_, hit, code := c.verify(t, token, reachfive.Nonce("n-0S6"), reachfive.MaxAge(time.Minute))
		assert.False(t, hit)
		assert.Empty(t, code)
		for n, tt := range []struct {
			name  string
			check reachfive.Check
			want  reachfive.Code
		}{
			{"the same nonce", reachfive.Nonce("n-0S6"), ""},
			{"another nonce", reachfive.Nonce("n-0S7"), reachfive.CodeWrongNonce},
			{"signed in lately", reachfive.MaxAge(time.Minute), ""},
			{"a method not used", reachfive.AMR("hwk"), reachfive.CodeInsufficientAuthentication},
		} {
			_, hit, code := c.verify(t, token, tt.check)
			assert.True(t, hit, tt.name)
			assert.Equal(t, tt.want, code, tt.name)
			assert.Equal(t, n+2, ran, tt.name)
		}
		now = now.Add(2 * time.Minute)
		_, hit, code = c.verify(t, token, reachfive.MaxAge(time.Minute))
		assert.True(t, hit)
		assert.Equal(t, reachfive.CodeReauthenticationRequired, code)
		verdict = refuse
		_, hit, code = c.verify(t, token)
		assert.True(t, hit)
		assert.Equal(t, reachfive.CodeForbidden, code)
	})
}

func TestTokenCacheHandsOutAUserThatIsTheCallersOwn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		claims := map[string]any{
			"amr": []string{"pwd", "otp"}, "address": map[string]any{"locality": "Paris"},
			"custom_fields": map[string]any{"tier": "gold"}, "email": "john.doe@example.com",
		}
		c := newCached(t, nil)
		var mods []reachfivetest.Mod
		for name, value := range claims {
			mods = append(mods, reachfivetest.Claim(name, value))
		}
		token := c.Token(mods...)
		pristine, err := c.Verifier().Verify(t.Context(), token)
		require.NoError(t, err)
		want, err := json.Marshal(pristine)
		require.NoError(t, err)

		for n := range 4 { // the first fills the cache
			u, hit, code := c.verify(t, token, func(_ context.Context, u *reachfive.User) error {
				u.Nickname = "changed by a Check"
				return nil
			})
			require.Empty(t, code)
			require.Equal(t, n > 0, hit)
			require.Equal(t, "changed by a Check", u.Nickname)
			u.Nickname = pristine.Nickname
			got, err := json.Marshal(u)
			require.NoError(t, err)
			assert.JSONEq(t, string(want), string(got))
			var all map[string]any
			require.NoError(t, u.Claims(&all))
			assert.Equal(t, claims["email"], all["email"])

			u.Subject, u.Email, u.EmailVerified = "somebody-else", "somebody@else.example", true
			u.Audience[0], u.AMR[0], u.AMR[1] = "x", "x", "x"
			u.Address.Locality, u.Address.Country = "x", "x"
			for i := range u.CustomFields {
				u.CustomFields[i] = 'x'
			}
			u.ExpiresAt = u.ExpiresAt.Add(time.Hour)
		}
	})
}

func TestTokenCacheKeepsOnlyWhatWasAccepted(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := newCached(t, nil)
		c.wantMiss(t, c.Token())
		good := c.Token(reachfivetest.Claim("nonce", "a"))
		for _, tt := range []struct {
			name, token string
			want        reachfive.Code
		}{
			{"expired", c.Token(reachfivetest.Expired()), reachfive.CodeExpired},
			{"another audience", c.Token(reachfivetest.OtherAudience()), reachfive.CodeWrongAudience},
			{"another issuer", c.Token(reachfivetest.OtherIssuer()), reachfive.CodeWrongIssuer},
			{"another key", c.Token(reachfivetest.WrongKey()), reachfive.CodeInvalidSignature},
			{"changed", c.Token(reachfivetest.Tampered()), reachfive.CodeInvalidSignature},
			{"unsigned", c.Token(reachfivetest.Unsigned()), reachfive.CodeMalformedToken},
			{"no sub", c.Token(reachfivetest.WithoutClaim("sub")), reachfive.CodeMissingClaim},
			{"not yet", c.Token(reachfivetest.IssuedAt(time.Now().Add(time.Hour))), reachfive.CodeNotYetValid},
		} {
			for range 3 {
				_, hit, code := c.verify(t, tt.token)
				assert.False(t, hit, tt.name)
				assert.Equal(t, tt.want, code, tt.name)
			}
		}
		c.wantMiss(t, good) // what resembles it has not brought it in
		c.wantHit(t, good)
	})
}

func TestTokenCacheDropsTheTokenThatWasUnusedForLongest(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := newCached(t, nil, reachfive.WithTokenCache(3))
		token := make([]string, 5)
		for i := range token {
			token[i] = c.Token(reachfivetest.Claim("nonce", fmt.Sprint(i)))
		}
		for _, i := range []int{0, 1, 2} {
			c.wantMiss(t, token[i])
		}
		c.wantHit(t, token[0])
		c.wantMiss(t, token[3]) // 1 has to go
		c.wantMiss(t, token[4]) // 2 has to go
		c.wantHit(t, token[0])
		c.wantHit(t, token[3])
		c.wantMiss(t, token[1])
	})
}

func TestTokenCacheIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := newCached(t, nil, reachfive.WithTokenCache(20))
		tokens := make([]string, 30)
		for i := range tokens {
			if i == 15 {
				c.Rotate()
			}
			tokens[i] = c.Token(reachfivetest.Claim("sub", fmt.Sprint(i)), reachfivetest.Claim("amr", []string{"pwd"}))
		}
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for n := range 200 {
					i := (n*(worker+1) + worker) % len(tokens)
					u, err := c.verifier.Verify(t.Context(), tokens[i])
					if !assert.NoError(t, err) || !assert.Equal(t, fmt.Sprint(i), u.Subject) {
						return
					}
					u.Subject, u.AMR[0], u.Audience[0] = "changed", "changed", "changed"
					if n == 100 && worker == 0 {
						assert.NoError(t, c.verifier.Refresh(t.Context()))
					}
				}
			})
		}
		wg.Wait()
		assert.Positive(t, c.hits.Load())
	})
}
