package reachfive_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/internal/reference"
	"github.com/reachfive-community/reachfive/internal/vectors"
)

// These targets verify whole tokens. They sign the fuzzer's headers and payloads,
// so that it reaches the steps behind the signature.

// fuzzNow is the time at which the vectors are verified.
const fuzzNow = 1512140000

// seedTexts returns the headers and payloads of the vectors: first those of
// accepted tokens, which good counts, then the others.
func seedTexts(t testing.TB, algorithm string) (seeds [][2][]byte, good int) {
	t.Helper()
	var refused [][2][]byte
	for _, file := range vectorFiles(t) {
		for _, v := range file.Vectors {
			segments := strings.Split(v.Token, ".")
			if v.Algorithm != algorithm || len(segments) != 3 {
				continue
			}
			header, err := base64.RawURLEncoding.DecodeString(segments[0])
			payload, err2 := base64.RawURLEncoding.DecodeString(segments[1])
			if err != nil || err2 != nil {
				continue
			}
			if v.Want == vectors.Accept {
				seeds = append(seeds, [2][]byte{header, payload})
			} else {
				refused = append(refused, [2][]byte{header, payload})
			}
		}
	}
	return append(seeds, refused...), len(seeds)
}

// target signs tokens and verifies them, with the Verifier and with the reference
// implementation.
type target struct {
	v         *reachfive.Verifier
	reference reference.Config
	sign      func(signed string) []byte
}

func (f *target) token(header, payload []byte) string {
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return signed + "." + base64.RawURLEncoding.EncodeToString(f.sign(signed))
}

func (f *target) run(t *testing.T, header, payload []byte) {
	token := f.token(header, payload)
	user, err := f.v.Verify(t.Context(), token)
	require.Equal(t, f.reference.Verify(token), refusalOf(err), "header %q payload %q", header, payload)
	if err != nil {
		require.Nil(t, user)
		return
	}
	var claims map[string]json.RawMessage
	require.NoError(t, user.Claims(&claims))
	want, ok := reference.Object(payload)
	require.True(t, ok)
	assert.Len(t, claims, len(want))
	// Another text of the same signature is another token.
	broken := []byte(token)
	broken[len(broken)-2] ^= 'A' ^ 'B'
	_, err = f.v.Verify(t.Context(), string(broken))
	require.Error(t, err)
}

// refusalOf is the verdict of a Verifier as the reference implementation tells it.
func refusalOf(err error) reference.Refusal {
	if refusal, ok := errors.AsType[*reachfive.Error](err); ok {
		return reference.Refusal{Code: string(refusal.Code), Claim: refusal.Claim}
	}
	return reference.Refusal{}
}

func newTarget(t testing.TB, algorithm string, opts ...reachfive.Option) *target {
	t.Helper()
	now := func() time.Time { return time.Unix(fuzzNow, 0) }
	oracle := reference.Config{
		Issuer: "https://" + testDomain, Audiences: []string{testClient}, Algorithm: algorithm, Now: now(),
	}
	if algorithm == "HS256" {
		oracle.Secret = []byte(testSecret)
		v, err := reachfive.New(testDomain, testClient, append(opts, reachfive.WithClock(now), reachfive.WithClientSecret(testSecret))...)
		require.NoError(t, err)
		return &target{v, oracle, hs256Signature}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	oracle.Key = &key.PublicKey
	document := fmt.Appendf(nil, `{"keys":[{"kty":"RSA","n":%q,"e":%q}]}`,
		base64.RawURLEncoding.EncodeToString(key.N.Bytes()), base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()))
	v, err := reachfive.New(testDomain, testClient, append(opts, reachfive.WithClock(now), reachfive.WithJWKS(document))...)
	require.NoError(t, err)
	return &target{v, oracle, func(signed string) []byte {
		sum := sha256.Sum256([]byte(signed))
		signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		if err != nil {
			panic(err) // a key just made
		}
		return signature
	}}
}

func FuzzVerifyHS256(f *testing.F) { fuzzVerify(f, "HS256") }

func FuzzVerifyRS256(f *testing.F) { fuzzVerify(f, "RS256") }

func fuzzVerify(f *testing.F, algorithm string) {
	f.Helper()
	seeds, _ := seedTexts(f, algorithm)
	for i, seed := range seeds {
		// Each signature takes a millisecond, and HS256 has the same payloads.
		if !testing.Short() || algorithm == "HS256" || i%8 == 0 {
			f.Add(seed[0], seed[1])
		}
	}
	target := newTarget(f, algorithm)
	f.Fuzz(target.run)
}

// A target that refuses everything would find nothing.
func TestFuzzTargetsAcceptTheirGoodSeeds(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"HS256", "RS256"} {
		seeds, good := seedTexts(t, algorithm)
		target, accepted := newTarget(t, algorithm), 0
		for _, seed := range seeds[:good] {
			if _, err := target.v.Verify(t.Context(), target.token(seed[0], seed[1])); err == nil {
				accepted++
			}
		}
		t.Logf("%s: %d seeds, %d of them good, %d of these accepted", algorithm, len(seeds), good, accepted)
		assert.Greater(t, good, 100)
		assert.GreaterOrEqual(t, 2*accepted, good)
	}
}
