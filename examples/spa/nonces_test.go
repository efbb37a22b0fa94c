package spa_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/examples/spa"
)

func TestOnlyTheBrowserThatStartedCanSignIn(t *testing.T) {
	t.Parallel()
	v := newVisitor(t)
	token := v.token(v.nonce())
	for name, forged := range map[string]string{
		"another sign-in's nonce": v.token("another"),
		"no nonce":                v.tenant.Token(),
	} {
		assert.Equal(t, http.StatusUnauthorized, v.post(forged).status, name)
	}
	require.Equal(t, http.StatusOK, v.post(token).status)
	assert.Equal(t, http.StatusNoContent, v.signOut().status)

	stolen := v.token(v.nonce())
	v.forgetCookies()
	assert.Equal(t, string(reachfive.CodeWrongNonce), v.post(stolen).reason(), "another browser, without a nonce")
	v.nonce()
	assert.Equal(t, string(reachfive.CodeWrongNonce), v.post(stolen).reason(), "another browser, with its own nonce")
	assert.Equal(t, http.StatusUnauthorized, v.me().status)
}

func TestATokenOpensOneSession(t *testing.T) {
	t.Parallel()
	v := newVisitor(t)
	token := v.token(v.nonce())
	secret := v.cookie("sign-in")
	statuses := map[int]int{}
	for range 3 {
		v.forgetCookies()
		v.setCookie("sign-in", secret) // whatever the backend told the browser to delete
		res := v.post(token)
		statuses[res.status]++
		if res.status != http.StatusOK {
			assert.Equal(t, string(reachfive.CodeWrongNonce), res.reason())
			assert.Contains(t, res.header.Get("WWW-Authenticate"), `error="invalid_token"`)
			assert.Equal(t, http.StatusUnauthorized, v.me().status)
		}
	}
	assert.Equal(t, map[int]int{http.StatusOK: 1, http.StatusUnauthorized: 2}, statuses)
}

func TestANonceLastsTenMinutesWhateverTheBrowserKeeps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		after  time.Duration
		status int
	}{
		{10*time.Minute - time.Second, http.StatusOK},
		{10 * time.Minute, http.StatusUnauthorized},
	} {
		t.Run(tt.after.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(v *visitor) {
				nonce := v.nonce()
				secret := v.cookie("sign-in")
				time.Sleep(tt.after)
				v.setCookie("sign-in", secret) // the browser's own has no time left
				assert.Equal(v, tt.status, v.post(v.token(nonce)).status)
			})
		})
	}
}

// anyNonce is a store with a fault: it knows every nonce.
type anyNonce struct{ spa.Nonces }

func (anyNonce) Take(context.Context, string) (bool, error) { return true, nil }

// Everybody can compute the nonce that belongs to an empty cookie.
func TestAnEmptyCookieIsNoProofOfAnything(t *testing.T) {
	t.Parallel()
	v := newVisitorWith(t, anyNonce{spa.NewNonces()})
	digest := sha256.Sum256(nil)
	v.setCookie("sign-in", "")
	res := v.post(v.token(base64.RawURLEncoding.EncodeToString(digest[:])))
	assert.Equal(t, http.StatusUnauthorized, res.status)
	assert.Equal(t, string(reachfive.CodeWrongNonce), res.reason())
}

// brokenNonces is a store that does not answer.
type brokenNonces struct{}

func (brokenNonces) Add(context.Context, string, time.Time) error { return errors.New("no store") }

func (brokenNonces) Take(context.Context, string) (bool, error) {
	return false, errors.New("no store")
}

type addsButNeverTakes struct {
	brokenNonces
	added spa.Nonces
}

func (n addsButNeverTakes) Add(ctx context.Context, nonce string, expires time.Time) error {
	return n.added.Add(ctx, nonce, expires)
}

func TestAStoreThatDoesNotAnswerIsNoVerdictOnTheUser(t *testing.T) {
	t.Parallel()
	v := newVisitorWith(t, brokenNonces{})
	start := v.send("POST", "/session/nonce", "", "")
	v = newVisitorWith(t, addsButNeverTakes{added: spa.NewNonces()})
	signIn := v.post(v.token(v.nonce()))
	for _, res := range []answer{start, signIn} {
		assert.Equal(t, http.StatusServiceUnavailable, res.status)
		assert.NotEmpty(t, res.header.Get("Retry-After"))
		assert.NotContains(t, res.body, "no store")
	}
	assert.Equal(t, http.StatusUnauthorized, v.me().status)
}

func TestOneOfManyTakesANonce(t *testing.T) {
	t.Parallel()
	nonces := spa.NewNonces()
	require.NoError(t, nonces.Add(t.Context(), "n", time.Now().Add(time.Hour)))
	var taken sync.Map
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if ok, err := nonces.Take(t.Context(), "n"); ok && err == nil {
				taken.Store(i, true)
			}
		})
	}
	all.Wait()
	count := 0
	taken.Range(func(any, any) bool { count++; return true })
	assert.Equal(t, 1, count)
}

func TestNoncesInMemoryAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 100_000
		nonces := spa.NewNonces()
		add := func(name int) error {
			return nonces.Add(t.Context(), strconv.Itoa(name), time.Now().Add(10*time.Minute))
		}
		for i := range limit {
			require.NoError(t, add(i))
		}
		require.Error(t, add(limit))
		taken, err := nonces.Take(t.Context(), "7")
		require.NoError(t, err)
		assert.True(t, taken, "a full store still takes")
		require.NoError(t, add(limit), "a nonce that was taken makes room")
		require.Error(t, add(limit+1))
		time.Sleep(10 * time.Minute)
		require.NoError(t, add(limit+1), "expired nonces make room")
		taken, err = nonces.Take(t.Context(), "1")
		require.NoError(t, err)
		assert.False(t, taken, "and are forgotten")
	})
}
