package reachfive_test

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// oddKey returns the members of an RSA key of that many bits, whose private key
// nobody has: an odd number is enough for a modulus that is only looked at.
func oddKey(bits int) string {
	n := new(big.Int).SetBit(new(big.Int), bits-1, 1)
	for i := range bits - 2 {
		n.SetBit(n, i, rand.UintN(2))
	}
	n.SetBit(n, 0, 1)
	return `"kty":"RSA","e":"AQAB","n":"` + base64.RawURLEncoding.EncodeToString(n.Bytes()) + `"`
}

func TestKeyHas2048To8192Bits(t *testing.T) {
	t.Parallel()
	for bits, used := range map[int]bool{2047: false, 2048: true, 2049: true, 8191: true, 8192: true, 8193: false} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newFixture(t)
				w.PublishRaw(`{"kid":"odd",` + oddKey(bits) + `}`)
				require.NoError(t, w.v.Refresh(t.Context()))
				s := w.v.Status()
				if !used {
					assert.Len(t, s.Keys, 1)
					assert.EqualValues(t, 1, s.SkippedKeys)
					return
				}
				require.Len(t, s.Keys, 2)
				assert.Equal(t, reachfive.KeyStatus{ID: "odd", Bits: bits, Thumbprint: s.Keys[1].Thumbprint}, s.Keys[1])
			})
		})
	}
}

// What one token may cost is bounded, whatever the provider publishes.
func TestKeysBeyondTheSixteenthAreNotTriedForOneToken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		keys   string // before the other members of each published key
		signed []reachfivetest.Mod
	}{
		{"keys without kid, a token with one", ``, []reachfivetest.Mod{reachfivetest.KID("named")}},
		{"keys without kid, a token without", ``, []reachfivetest.Mod{reachfivetest.NoKID()}},
		{"keys of one kid, a token of that", `"kid":"key-1",`, nil},
		{"keys of some kid, a token without", `"kid":"other",`, []reachfivetest.Mod{reachfivetest.NoKID()}},
	} {
		for others, want := range map[int]reachfive.Code{15: "", 16: reachfive.CodeInvalidSignature} {
			t.Run(fmt.Sprintf("%s, after %d others", tt.name, others), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					w := newFixture(t)
					own := strings.Replace(w.JWK("key-1"), `"kid":"key-1",`, tt.keys, 1)
					set := ""
					for range others {
						set += `{` + tt.keys + oddKey(2048) + `},`
					}
					w.OnJWKS(document(`{"keys":[` + set + own + `]}`))
					w.refuses(w.Token(tt.signed...), want)
					assert.Len(t, w.v.Status().Keys, others+1)
				})
			})
		}
	}
}
