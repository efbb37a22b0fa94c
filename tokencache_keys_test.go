package reachfive_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestTokenCacheOutlivesRefreshesOfTheSameKeys(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := newCached(t, []reachfivetest.Option{reachfivetest.WithCacheControl("max-age=60")})
		token := c.Token()
		c.wantMiss(t, token)
		for n := 1; n <= 1000; n++ {
			if n%100 == 0 {
				time.Sleep(time.Minute)
			}
			c.wantHit(t, token)
		}
		assert.Equal(t, 11, c.JWKSRequests())
	})
}

func TestTokenCacheEndsTheTokensOfARemovedKeyOnTheNextCall(t *testing.T) {
	t.Parallel()
	for _, kids := range []struct {
		name string
		opts []reachfivetest.Option
		want reachfive.Code
	}{
		{"keys with a kid", nil, reachfive.CodeUnknownKey},
		{"keys without", []reachfivetest.Option{reachfivetest.WithoutKIDs()}, reachfive.CodeInvalidSignature},
	} {
		t.Run(kids.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := newCached(t, kids.opts)
				removed := c.KID()
				old := c.Token()
				c.Rotate()
				current := c.Token()
				c.wantMiss(t, old)
				c.wantMiss(t, current)
				c.wantHit(t, old)

				c.RemoveKey(removed)
				c.wantHit(t, old) // nobody has told us yet
				require.NoError(t, c.verifier.Refresh(t.Context()))
				for range 3 {
					_, hit, code := c.verify(t, old)
					assert.False(t, hit)
					assert.Equal(t, kids.want, code)
				}
				c.wantHit(t, current)
			})
		})
	}
}

func TestTokenCacheNoticesARemovedKeyByItself(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := newCached(t, []reachfivetest.Option{reachfivetest.WithCacheControl("max-age=60")})
		removed, token := c.KID(), c.Token()
		c.Rotate()
		c.wantMiss(t, token)
		c.RemoveKey(removed)
		time.Sleep(time.Minute)
		_, hit, code := c.verify(t, token)
		assert.False(t, hit)
		assert.Equal(t, reachfive.CodeUnknownKey, code)
	})
}

func TestTokenCacheVerifiesAnewWhenTheKIDNamesAnotherKey(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := newCached(t, nil)
		kid := c.KID()
		before := c.Token()
		c.wantMiss(t, before)
		c.ReplaceKey(kid)
		require.NoError(t, c.verifier.Refresh(t.Context()))

		_, hit, code := c.verify(t, before)
		assert.False(t, hit)
		assert.Equal(t, reachfive.CodeInvalidSignature, code)
		after := c.Token()
		c.wantMiss(t, after)
		c.wantHit(t, after)
	})
}

func TestTokenCacheVerifiesAnewWhenTheKeyHasAnotherKID(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := newCached(t, nil)
		kid, token, jwk := c.KID(), c.Token(), map[string]any{}
		require.NoError(t, json.Unmarshal([]byte(c.JWK(kid)), &jwk))
		c.wantMiss(t, token)
		jwk["kid"] = "renamed"
		renamed, err := json.Marshal(jwk)
		require.NoError(t, err)
		c.PublishRaw(string(renamed))
		c.RemoveKey(kid)
		require.NoError(t, c.verifier.Refresh(t.Context()))
		_, hit, code := c.verify(t, token)
		assert.False(t, hit)
		assert.Equal(t, reachfive.CodeUnknownKey, code)
	})
}

func TestTokenCacheVerifiesAnewWhenTheKeyHasLostItsKID(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := newCached(t, nil)
		kid, token := c.KID(), c.Token()
		c.wantMiss(t, token)
		c.wantHit(t, token)
		c.PublishRaw(strings.Replace(c.JWK(kid), `"kid":"`+kid+`",`, "", 1))
		c.RemoveKey(kid)
		require.NoError(t, c.verifier.Refresh(t.Context()))
		c.wantMiss(t, token)
		c.wantHit(t, token)
	})
}

func TestTokenCacheServesNothingOnceTheKeysServeNoMore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := newCached(t, nil, reachfive.WithMaxStale(time.Hour))
		token := c.Token()
		c.wantMiss(t, token)
		c.SetDown(true)
		time.Sleep(59 * time.Minute)
		c.wantHit(t, token)
		time.Sleep(time.Minute)
		for range 3 {
			_, hit, code := c.verify(t, token)
			assert.False(t, hit)
			assert.Equal(t, reachfive.CodeKeysUnavailable, code)
		}
		c.SetDown(false)
		time.Sleep(time.Minute) // at most, until backoff ends
		c.wantHit(t, token)
	})
}

// A key without kid stands in for a kid that no key has. When a key takes the
// kid over, the token goes the whole road, and is refused as it would be there.
func TestCachedTokenWhoseKIDIsAnotherKeysNowIsVerifiedAnew(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := newCached(t, nil)
		old := c.KID()
		bare := strings.Replace(c.JWK(old), `"kid":"`+old+`",`, "", 1)
		require.NotContains(t, bare, "kid")
		token := c.Token(reachfivetest.SignedBy(old), reachfivetest.KID("A"))
		named := strings.Replace(c.JWK(c.Rotate()), `"kid":"`+c.KID()+`"`, `"kid":"A"`, 1)
		c.RemoveKey(old)

		c.PublishRaw(bare)
		c.wantMiss(t, token)
		c.wantHit(t, token)
		c.PublishRaw(bare, named)
		require.NoError(t, c.verifier.Refresh(t.Context()))
		_, hit, code := c.verify(t, token)
		assert.False(t, hit)
		assert.Equal(t, reachfive.CodeInvalidSignature, code)
	})
}
