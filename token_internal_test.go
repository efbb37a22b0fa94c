package reachfive

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/internal/keycache"
	"github.com/reachfive-community/reachfive/internal/reference"
)

// These tests are about what a caller cannot see: what a Verifier remembers of a
// token, and what it forgets.

const clientSecret = "a secret of these tests and of nothing else"

// clocked is a Verifier with a clock that the test moves.
type clocked struct {
	*Verifier
	now time.Time
}

func newClocked(t *testing.T, opts ...Option) *clocked {
	t.Helper()
	r := &clocked{now: time.Unix(1_700_000_000, 0)}
	v, err := New("acme.reach5.net", "client", append([]Option{WithClock(func() time.Time { return r.now })}, opts...)...)
	require.NoError(t, err)
	r.Verifier = v
	return r
}

// knows gives an RS256 Verifier these keys, which never age.
func (r *clocked) knows(t *testing.T, jwks ...string) *keySet {
	t.Helper()
	set, err := parseKeySet([]byte(`{"keys":[` + strings.Join(jwks, ",") + `]}`))
	require.NoError(t, err)
	r.keys = &tenantKeys{fixed: &keycache.Snapshot{Keys: set}}
	return set
}

// signingInput is the token up to its signature; it is good for so long.
func (r *clocked) signingInput(t *testing.T, header string, lives time.Duration, sub string) string {
	t.Helper()
	payload, err := json.Marshal(map[string]any{
		"iss": "https://acme.reach5.net", "aud": "client", "sub": sub,
		"iat": r.now.Unix(), "exp": r.now.Add(lives).Unix(),
	})
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload)
}

func (r *clocked) hs256(t *testing.T, lives time.Duration, sub string) string {
	t.Helper()
	input := r.signingInput(t, `{"alg":"HS256"}`, lives, sub)
	return input + "." + base64.RawURLEncoding.EncodeToString(reference.HMAC([]byte(clientSecret), input))
}

func (r *clocked) rs256(t *testing.T, key *rsa.PrivateKey, header string) string {
	t.Helper()
	input := r.signingInput(t, header, time.Hour, "s")
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	require.NoError(t, err)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func newRSAKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return key
}

func publicJWK(kid string, key *rsa.PrivateKey) string {
	encode := base64.RawURLEncoding.EncodeToString
	return fmt.Sprintf(`{"kty":"RSA","kid":%q,"n":%q,"e":%q}`, kid,
		encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes()))
}

func (r *clocked) accepts(t *testing.T, token string) {
	t.Helper()
	_, err := r.Verify(t.Context(), token)
	require.NoError(t, err)
}

func TestHitsAloneDropATokenThatHasExpired(t *testing.T) {
	t.Parallel()
	r := newClocked(t, WithClientSecret(clientSecret), WithTokenCache(10))
	brief, lasting := r.hs256(t, time.Minute, "brief"), r.hs256(t, time.Hour, "lasting")
	r.accepts(t, brief)
	r.accepts(t, lasting)
	require.Equal(t, 2, r.tokens.len())
	for range 12 {
		r.now = r.now.Add(10 * time.Second)
		r.accepts(t, lasting)
	}
	assert.Equal(t, 1, r.tokens.len())
}

func TestMissesAloneDropATokenThatHasExpired(t *testing.T) {
	t.Parallel()
	r := newClocked(t, WithClientSecret(clientSecret), WithTokenCache(100))
	r.accepts(t, r.hs256(t, time.Minute, "brief"))
	for n := range 12 {
		r.now = r.now.Add(10 * time.Second)
		r.accepts(t, r.hs256(t, time.Hour, fmt.Sprint(n)))
	}
	assert.Equal(t, 12, r.tokens.len())
}

func TestATokenWhoseKeyIsGoneLeavesTheCache(t *testing.T) {
	t.Parallel()
	r := newClocked(t, WithTokenCache(10))
	before, after := newRSAKey(t), newRSAKey(t)
	r.knows(t, publicJWK("k", before))
	token := r.rs256(t, before, `{"alg":"RS256","kid":"k"}`)
	r.accepts(t, token)
	r.accepts(t, token)
	require.Equal(t, 1, r.tokens.len())

	r.knows(t, publicJWK("k", after))
	_, err := r.Verify(t.Context(), token)
	require.ErrorIs(t, err, CodeInvalidSignature)
	assert.Zero(t, r.tokens.len())
}

func TestTheKeyOfTheLastTokenWithoutAKIDIsTriedFirst(t *testing.T) {
	t.Parallel()
	r := newClocked(t)
	keys := []*rsa.PrivateKey{newRSAKey(t), newRSAKey(t)}
	set := r.knows(t, publicJWK("a", keys[0]), publicJWK("b", keys[1]))
	r.accepts(t, r.rs256(t, keys[1], `{"alg":"RS256","kid":"b"}`))
	assert.Nil(t, set.lastWithoutKID.Load(), "this one had a kid")
	for _, n := range []int{1, 0, 1} {
		r.accepts(t, r.rs256(t, keys[n], `{"alg":"RS256"}`))
		assert.Same(t, set.keys[n], set.lastWithoutKID.Load())
	}
	_, err := r.Verify(t.Context(), r.rs256(t, newRSAKey(t), `{"alg":"RS256","kid":"a"}`))
	require.ErrorIs(t, err, CodeInvalidSignature)
	assert.Same(t, set.keys[1], set.lastWithoutKID.Load())

	_, err = r.Verify(t.Context(), r.rs256(t, keys[1], `{"alg":"RS256","kid":"a"}`))
	require.ErrorIs(t, err, CodeInvalidSignature, "a good signature of another key than the one that the token names")
}

// It is serial, because it counts allocations: those tell how many keys were tried.
func TestATokenWithoutAKIDIsTriedWithTheLikeliestKeyFirstAndWithEachOnce(t *testing.T) {
	r := newClocked(t)
	keys := []*rsa.PrivateKey{newRSAKey(t), newRSAKey(t)}
	set := r.knows(t, publicJWK("a", keys[0]), publicJWK("b", keys[1]))
	match := func(signer *rsa.PrivateKey) float64 {
		signed, signature := cutLast(t, r.rs256(t, signer, `{"alg":"RS256"}`))
		return testing.AllocsPerRun(10, func() { set.match(r.signature, "", signed, signature) })
	}
	stranger := newRSAKey(t)
	both := match(stranger)
	one := match(keys[1]) // from the second call on it is the likeliest
	assert.Less(t, one, both*3/4, "the second of the set is tried first")
	assert.InDelta(t, both, match(stranger), one/2, "no key is tried twice")
}

// cutLast returns what the token's signature is over, and the signature.
func cutLast(t *testing.T, token string) (signed, signature []byte) {
	t.Helper()
	dot := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	require.NoError(t, err)
	return []byte(token[:dot]), signature
}

func (m *headerMemo) len() int {
	if known := m.known.Load(); known != nil {
		return len(*known)
	}
	return 0
}

func TestTheHeaderMemoGetsAHeaderOnceAndWithAGoodSignature(t *testing.T) {
	t.Parallel()
	r := newClocked(t, WithClientSecret(clientSecret))
	token := r.hs256(t, time.Hour, "s")
	_, err := r.Verify(t.Context(), token+"AAAA")
	require.ErrorIs(t, err, CodeInvalidSignature)
	assert.Zero(t, r.headers.len())
	r.accepts(t, token)
	first := r.headers.known.Load()
	assert.Equal(t, 1, r.headers.len())
	r.accepts(t, r.hs256(t, time.Hour, "another"))
	assert.Same(t, first, r.headers.known.Load(), "the second token found its header there")
}

func TestTheHeaderMemoGetsNoHeaderOfAKeyThatIsNotTheSigners(t *testing.T) {
	t.Parallel()
	key := newRSAKey(t)
	r := newClocked(t)
	r.knows(t, publicJWK("k", key))
	for _, header := range []string{`{"alg":"RS256","kid":"k"}`, `{"alg":"RS256","kid":"made up"}`, `{"alg":"RS256"}`} {
		_, err := r.Verify(t.Context(), r.rs256(t, newRSAKey(t), header))
		require.Error(t, err)
	}
	assert.Zero(t, r.headers.len())
	r.accepts(t, r.rs256(t, key, `{"alg":"RS256","kid":"k"}`))
	assert.Equal(t, 1, r.headers.len())
}

func TestTheHeaderMemoHoldsSixteenHeadersAndStartsAgainWhenFull(t *testing.T) {
	t.Parallel()
	var m headerMemo
	put := func(n int) { m.put(fmt.Sprint("header ", n), joseHeader{kid: fmt.Sprint(n)}) }
	for n := range 16 {
		put(n)
		assert.Equal(t, n+1, m.len())
	}
	for n := range 16 {
		h, known := m.get(fmt.Sprint("header ", n))
		assert.True(t, known)
		assert.Equal(t, fmt.Sprint(n), h.kid)
	}
	// A tenant that has rotated its keys for years must not end up without a memo.
	put(16)
	assert.Equal(t, 1, m.len())
	_, known := m.get("header 16")
	assert.True(t, known)
}

func TestTheHeaderMemoHoldsNoHeaderOfMoreThan512Bytes(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{512: 1, 513: 0, 600: 0} {
		var m headerMemo
		m.put(strings.Repeat("A", size), joseHeader{})
		assert.Equal(t, want, m.len(), size)
	}
}

// A substring of a token would keep the whole token alive.
func TestTheHeaderMemoKeepsCopies(t *testing.T) {
	t.Parallel()
	token := strings.Repeat("a token ", 100)
	segment, kid := token[:100], token[200:210]
	var m headerMemo
	m.put(segment, joseHeader{kid: kid})
	require.Equal(t, 1, m.len())
	for stored, h := range *m.known.Load() {
		assert.Equal(t, segment, stored)
		assert.Equal(t, kid, h.kid)
		assert.NotSame(t, unsafe.StringData(segment), unsafe.StringData(stored))
		assert.NotSame(t, unsafe.StringData(kid), unsafe.StringData(h.kid))
	}
}
