package reachfive_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// A URL may hold a password: in its user information, or in its query.
func TestKeyURLShowsNoCredentials(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := new(memoryStore)
		w := newFixture(t)
		transport := w.Client().Transport
		keys := roundTripper(func(r *http.Request) (*http.Response, error) {
			assert.Equal(t, "https://me:hunter2@keys.example/set?token=hunter2", r.URL.String())
			r = r.Clone(r.Context())
			r.URL.Host, r.URL.Path = "tenant.localhost", "/jwks.json"
			return transport.RoundTrip(r)
		})
		verifier := func(jwksURL string) *reachfive.Verifier {
			return w.verifier(reachfive.WithJWKSURL(jwksURL), reachfive.WithKeyStore(store),
				reachfive.WithHTTPClient(&http.Client{Transport: keys}))
		}
		const secret = "https://me:hunter2@keys.example/set?token=hunter2"
		w.v = verifier(secret)
		assert.Equal(t, "https://keys.example/set", w.v.Status().JWKSURL)
		w.accepts(w.Token())
		synctest.Wait()
		w.SetDown(true)
		unavailable(t, w.v.Refresh(t.Context()))
		require.NoError(t, w.v.Close())
		assert.Equal(t, "https://keys.example/set", w.v.Status().JWKSURL)
		assert.Contains(t, store.load(), `"https://keys.example/set"`)

		// The record is still that of exactly this URL.
		w.v = verifier(secret)
		w.accepts(w.Token())
		shown := fmt.Sprintf("%+v", w.v.Status()) + store.load() + strings.Join(w.logged(), "\n")
		assert.NotContains(t, shown, "hunter2")
		assert.NotContains(t, shown, "me:")
	})
}

func TestKeyStoreRecordOfAURLWithOtherCredentialsIsNotUsed(t *testing.T) {
	t.Parallel()
	for _, other := range []string{
		"https://keys.example/set?tenant=b", "https://keys.example/set", "https://b:c@keys.example/set?tenant=a",
	} {
		inBubble(t, func(t *testing.T) {
			store := new(memoryStore)
			w := newFixture(t)
			m := &metadata{next: w.Client().Transport}
			verifier := func(jwksURL string) *reachfive.Verifier {
				return w.verifier(reachfive.WithJWKSURL(jwksURL), reachfive.WithKeyStore(store),
					reachfive.WithHTTPClient(&http.Client{Transport: m}))
			}
			w.v = verifier("https://keys.example/set?tenant=a")
			w.accepts(w.Token())
			synctest.Wait()
			require.NoError(t, w.v.Close())
			w.SetDown(true)
			w.v = verifier(other)
			w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
			assert.Contains(t, strings.Join(w.logged(), "\n"), "another JWKS URL")
		})
	}
}
