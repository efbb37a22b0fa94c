package reachfive_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestKeyDocumentIsTakenWhateverItsContentType(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		set := `{"keys":[` + w.JWK(w.KID()) + `]}`
		w.OnJWKS(answering(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(rw, set)
		}))
		w.accepts(w.Token())
	})
}

func TestKeyDocumentIsOneAndNothingAfterIt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		set := `{"keys":[` + w.JWK(w.KID()) + `]}`
		for _, tt := range []struct {
			document string
			good     bool
		}{
			{set, true},
			{" \r\n" + set + "\n\t ", true},
			{`{"other":[{"keys":[]}],` + set[1:], true},
			{set + `{}`, false},
			{set + `x`, false},
			{set[:len(set)-1], false},
			{set + "\x00", false},
			{`["keys",[` + w.JWK(w.KID()) + `]]`, false},
			{`{"keys":{},"keys":[` + w.JWK(w.KID()) + `]}`, false},
			{`{"keys":` + w.JWK(w.KID()) + `}`, false},
		} {
			w.OnJWKS(document(tt.document))
			v := w.verifier()
			err := v.Refresh(t.Context())
			assert.Equal(t, tt.good, err == nil, tt.document)
			if !tt.good {
				assert.Equal(t, "no JWK Set", v.Status().LastError, tt.document)
			}
		}
	})
}

func TestKeyDocumentMayHaveExactlyTheLargestSize(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		set := `{"keys":[` + w.JWK(w.KID()) + `]}`
		w.OnJWKS(document(set + strings.Repeat(" ", 512<<10-len(set))))
		require.NoError(t, w.v.Refresh(t.Context()))
		w.OnJWKS(document(set + strings.Repeat(" ", 512<<10-len(set)+1)))
		unavailable(t, w.v.Refresh(t.Context()))
		assert.Equal(t, "document too large", w.v.Status().LastError)
	})
}

func TestKeyAdmissionIsKeyByKey(t *testing.T) {
	t.Parallel()
	weak := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeyBits(1024))
	strong := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()...))
	jwk := strong.JWK(strong.KID())
	member := func(name, value string) string {
		if start := strings.Index(jwk, `"`+name+`":"`); start >= 0 {
			end := start + len(name) + 4 + strings.Index(jwk[start+len(name)+4:], `"`) + 1
			return jwk[:start] + `"` + name + `":` + value + jwk[end:]
		}
		return `{"` + name + `":` + value + `,` + jwk[1:]
	}
	without := func(name string) string {
		return strings.NewReplacer(`{"`+name+`x":0,`, `{`, `,"`+name+`x":0`, ``).Replace(
			strings.Replace(member(name, "0"), `"`+name+`":0`, `"`+name+`x":0`, 1))
	}
	large := base64.RawURLEncoding.EncodeToString(append([]byte{1, 0, 0, 0, 0}, 0, 1, 0, 1)) // 2^64 + 65537
	for _, tt := range []struct {
		name string
		jwk  string
		used bool
	}{
		{"as it is", jwk, true},
		{"without use", without("use"), true},
		{"without alg", without("alg"), true},
		{"without kid", without("kid"), true},
		{"unknown members", member("x5t#S256", `"AAAA"`), true},
		{"key_ops with verify", member("key_ops", `["verify"]`), true},
		{"use null", member("use", `null`), false},
		{"alg null", member("alg", `null`), false},
		{"use enc", member("use", `"enc"`), false},
		{"use a number", member("use", `1`), false},
		{"alg PS256", member("alg", `"PS256"`), false},
		{"alg RS512", member("alg", `"RS512"`), false},
		{"alg rs256", member("alg", `"rs256"`), false},
		{"alg none", member("alg", `"none"`), false},
		{"key_ops encrypt", member("key_ops", `["encrypt"]`), false},
		{"key_ops empty", member("key_ops", `[]`), false},
		{"key_ops a string", member("key_ops", `"verify"`), false},
		{"kid empty", member("kid", `""`), false},
		{"kid a number", member("kid", `1`), false},
		{"kid of 257 bytes", member("kid", `"`+strings.Repeat("k", 257)+`"`), false},
		{"e 3", member("e", `"Aw"`), false},
		{"e 1", member("e", `"AQ"`), false},
		{"e 65536", member("e", `"AQAA"`), false},
		{"e beyond 64 bits", member("e", `"`+large+`"`), false},
		{"e 2^31 + 1", member("e", `"gAAAAQ"`), false},
		{"e with a leading zero", member("e", `"AAEAAQ"`), false},
		{"e padded", member("e", `"AQAB===="`), false},
		{"without e", without("e"), false},
		{"without n", without("n"), false},
		{"n with a line break", strings.Replace(jwk, `"n":"`, `"n":"\n`, 1), false},
		{"1024 bits", weak.JWK(weak.KID()), false},
		{"with a private member", member("d", `"AQAB"`), false},
		{"with other primes", member("oth", `[]`), false},
		{"with a secret", member("k", `"c2VjcmV0"`), false},
		{"kty oct", `{"kty":"oct","kid":"key-1","k":"` + strings.Repeat("A", 43) + `","alg":"HS256"}`, false},
		{"kty EC", `{"kty":"EC","crv":"P-256","kid":"key-1","x":"AA","y":"AA"}`, false},
		{"kty AKP", `{"kty":"AKP","alg":"ML-DSA-65","pub":"AA","kid":"key-1"}`, false},
		{"kty missing", without("kty"), false},
		{"kty rsa", member("kty", `"rsa"`), false},
		{"a member twice", `{"kid":"x",` + jwk[1:], false},
		{"no object", `42`, false},
		{"bad UTF-8", member("kid", "\"\xff\""), false},
		{"too deep", member("x", strings.Repeat("[", 20)+strings.Repeat("]", 20)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, beside := range []bool{false, true} {
				keys, skipped := 0, 1
				if beside {
					keys++
				}
				if tt.used {
					keys, skipped = keys+1, skipped-1
				}
				inBubble(t, func(t *testing.T) {
					w := newFixture(t)
					good := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()[7]))
					set := tt.jwk
					if beside {
						set += "," + strings.Replace(good.JWK(good.KID()), "key-1", "good", 1)
					}
					w.OnJWKS(document(`{"keys":[` + set + `]}`))
					err := w.v.Refresh(t.Context())
					if keys == 0 {
						unavailable(t, err)
						return
					}
					require.NoError(t, err)
					s := w.v.Status()
					assert.Len(t, s.Keys, keys)
					assert.Equal(t, uint64(skipped), s.SkippedKeys)
					if beside {
						w.accepts(good.Token(reachfivetest.KID("good")))
					}
					if tt.used {
						w.accepts(strong.Token())
					}
				})
			}
		})
	}
}

func TestKeyExponentIsCanonicalAndAtMostWhatCryptoRSATakes(t *testing.T) {
	t.Parallel()
	modulus := base64.RawURLEncoding.EncodeToString(rsaKeys()[0].N.Bytes())
	for exponent, want := range map[string]int{
		"f____w": 1, "gAAAAQ": 0, // 2^31-1, 2^31+1
		"A0AAAQ": 1, "AAEAAQ": 0, // 0x03400001, and 65537 with a leading zero byte
		"AQAAAQ": 1, "APAAAQ": 0, // 0x01000001, and 0xf00001 with a leading zero byte
		"AQAF": 1, "AQAC": 0, // 65541, which three divides, and 65538
	} {
		w := reachfivetest.NewTenant(t, reachfivetest.InMemory())
		w.OnJWKS(document(fmt.Sprintf(`{"keys":[%s,{"kty":"RSA","kid":"large","n":%q,"e":%q}]}`, w.JWK(w.KID()), modulus, exponent)))
		v := w.Verifier()
		require.NoError(t, v.Refresh(t.Context()))
		assert.Len(t, v.Status().Keys, 1+want, exponent)
		require.NoError(t, v.Close())
	}
}

// The moduli of CVE-2017-15361 are powers of 65537 modulo each of these primes. A
// modulus that is none modulo one of them was not made by that library.
func TestKeyWhoseModulusIsFactorableIsSkipped(t *testing.T) {
	t.Parallel()
	primes := []int64{
		3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
		101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
	}
	product := big.NewInt(1)
	for _, prime := range primes {
		product.Mul(product, big.NewInt(prime))
	}
	// odd returns an odd modulus of 2048 bits that is rest modulo the product.
	odd := func(rest *big.Int) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(3), 2046)
		n.Sub(n, new(big.Int).Mod(n, product)).Add(n, rest)
		if n.Bit(0) == 0 {
			n.Add(n, product)
		}
		return n
	}
	var factorable, other []*big.Int
	for exponent := range int64(20) {
		factorable = append(factorable, odd(new(big.Int).Exp(big.NewInt(65537), big.NewInt(1000+exponent), product)))
	}
	for _, prime := range primes {
		powers := map[int64]bool{}
		for power := int64(1); !powers[power]; power = power * 65537 % prime {
			powers[power] = true
		}
		cofactor := new(big.Int).Div(product, big.NewInt(prime))
		for n := factorable[0]; int64(len(powers)) < prime-1; {
			n = new(big.Int).Add(n, cofactor) // the same modulo all other primes
			if rest := new(big.Int).Mod(n, big.NewInt(prime)).Int64(); rest != 0 && !powers[rest] {
				other = append(other, odd(new(big.Int).Mod(n, product)))
				break
			}
		}
	}
	require.Greater(t, len(other), 15)
	w := reachfivetest.NewTenant(t, reachfivetest.InMemory())
	keys := []string{w.JWK(w.KID())}
	for i, n := range slices.Concat(factorable, other) {
		keys = append(keys, fmt.Sprintf(`{"kty":"RSA","kid":"%d","n":%q,"e":"AQAB"}`, i, base64.RawURLEncoding.EncodeToString(n.Bytes())))
	}
	w.OnJWKS(document(`{"keys":[` + strings.Join(keys, ",") + `]}`))
	v := w.Verifier()
	require.NoError(t, v.Refresh(t.Context()))
	assert.EqualValues(t, len(factorable), v.Status().SkippedKeys)
	assert.Len(t, v.Status().Keys, 1+len(other))
	require.NoError(t, v.Close())
}

func TestKeyOfOddSizesAndSecretsIsNoWayIn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		secret := strings.Repeat("s", 32)
		w.PublishRaw(`{"kty":"oct","kid":"secret","alg":"HS256","k":"` + base64.RawURLEncoding.EncodeToString([]byte(secret)) + `"}`)
		w.accepts(w.Token())
		w.refuses(w.Token(reachfivetest.HS256With(secret), reachfivetest.KID("secret")), reachfive.CodeUnsupportedAlgorithm)
		w.refuses(w.Token(reachfivetest.KID("secret")), reachfive.CodeUnknownKey)
		assert.Equal(t, uint64(1), w.v.Status().SkippedKeys)
	})
}

func TestKeyTwiceUnderOneKIDIsTriedTwice(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		twin := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()[6:]...))
		w.PublishRaw(twin.JWK(twin.KID()))
		w.accepts(w.Token())
		w.accepts(twin.Token())
		assert.Len(t, w.v.Status().Keys, 2)
		w.refuses(w.Token(reachfivetest.WrongKey()), reachfive.CodeInvalidSignature)
		assert.Equal(t, 1, w.requests())
	})
}

func TestKeySetHasAtMostAHundredKeys(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		good := w.JWK(w.KID())
		w.OnJWKS(document(`{"keys":[` + strings.Repeat(`{},`, 99) + good + `]}`))
		require.NoError(t, w.v.Refresh(t.Context()))
		assert.Equal(t, uint64(99), w.v.Status().SkippedKeys)
		w.OnJWKS(document(`{"keys":[` + strings.Repeat(`{},`, 100) + good + `]}`))
		unavailable(t, w.v.Refresh(t.Context()))
		w.OnJWKS(document(`{"keys":[` + good + strings.Repeat(`,{}`, 100_000) + `]}`))
		require.NoError(t, w.v.Refresh(t.Context()))
		assert.Equal(t, uint64(100_000), w.v.Status().SkippedKeys)
	})
}
