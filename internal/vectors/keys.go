package vectors

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // to see it refused
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
)

// keySets adds which key a token may be verified with.
func (g *generator) keySets() {
	g.in("keys", "Which key of a JWK Set verifies a token, and which keys of a set are fit to. All of this is about RS256.")
	one, two := g.jwk("1"), g.jwk("2")
	s1, s2 := g.by("1"), g.by("2")
	withKID := func(s signer, kid string) string {
		return s.token(s.header().with("kid", kid).String(), claims().String())
	}
	withoutKID := func(s signer) string { return s.token(s.header().without("kid").String(), claims().String()) }
	add := func(rule, mutation, want, jwks, token string) {
		g.add(Vector{Rule: rule, Mutation: mutation, Algorithm: rs256, JWKS: jwks, Token: token, Want: want})
	}
	kid := func(key object, kid string) object { return key.with("kid", `"`+kid+`"`) }

	g.set("two keys", kid(one, "rsa-1"), kid(two, "rsa-2"))
	add("3.3 kid", "the first key's", Accept, "two keys", withKID(s1, `"rsa-1"`))
	add("3.3 kid", "the second key's", Accept, "two keys", withKID(s2, `"rsa-2"`))
	add("3.3 kid", "escaped", Accept, "two keys", withKID(s2, `"rsa\u002d2"`))
	add("3.3 kid", "of the other key", badSignature, "two keys", withKID(s2, `"rsa-1"`))
	add("3.3 kid", "of no key", unknownKey, "two keys", withKID(s1, `"rsa-3"`))
	add("3.3 kid", "in capitals", unknownKey, "two keys", withKID(s1, `"RSA-1"`))
	add("3.3 kid", "with a space", unknownKey, "two keys", withKID(s1, `"rsa-1 "`))
	add("3.3 kid", "a path", unknownKey, "two keys", withKID(s1, `"../../../dev/null"`))
	add("3.3 kid", "SQL", unknownKey, "two keys", withKID(s1, `"' OR 1=1 --"`))

	g.set("two keys of one kid", kid(one, "twice"), kid(two, "twice"))
	add("3.3 two keys of one kid", "the first signed", Accept, "two keys of one kid", withKID(s1, `"twice"`))
	add("3.3 two keys of one kid", "the second signed", Accept, "two keys of one kid", withKID(s2, `"twice"`))
	add("3.3 two keys of one kid", "neither signed", badSignature, "two keys of one kid", withKID(g.by("attacker"), `"twice"`))

	g.set("keys without kid", one, two)
	g.set("a key without kid beside one with", kid(one, "rsa-1"), two)
	g.set("keys with a null kid", one.with("kid", "null"))
	add("3.3 keys without kid", "a token with a kid that no key bears", Accept, "keys without kid", withKID(s2, `"any"`))
	add("3.3 keys without kid", "a null kid is none", Accept, "keys with a null kid", withKID(s1, `"any"`))
	add("3.3 keys without kid", "beside a key with another kid", Accept, "a key without kid beside one with", withKID(s2, `"any"`))
	add("3.3 keys without kid", "not for a kid that another key bears", badSignature, "a key without kid beside one with", withKID(s2, `"rsa-1"`))
	add("3.3 keys without kid", "not with the key of another kid", badSignature, "a key without kid beside one with", withKID(s1, `"any"`))

	add("3.3 token without kid", "one key", Accept, defaultKeySet, withoutKID(s1))
	add("3.3 token without kid", "the first of two keys", Accept, "two keys", withoutKID(s1))
	add("3.3 token without kid", "the second of two keys", Accept, "two keys", withoutKID(s2))
	add("3.3 token without kid", "of two keys without kid", Accept, "keys without kid", withoutKID(s2))
	add("3.3 token without kid", "no key fits", badSignature, "two keys", withoutKID(g.by("attacker")))
	add("8.8 token without kid that no key fits", "one key", badSignature, defaultKeySet, withoutKID(s2))
	add("8.8 token without kid that no key fits", "it fits", Accept, defaultKeySet, withoutKID(s1))

	many := func(before int, name func(i int) string, last object) []object {
		var keys []object
		for i := range before {
			key := stranger(i)
			if name != nil {
				key = kid(key, name(i))
			}
			keys = append(keys, key)
		}
		return append(keys, last)
	}
	numbered := func(i int) string { return fmt.Sprintf("k%d", i) }
	same := func(int) string { return "same" }
	g.set("the 16th of its kind signs", many(15, numbered, kid(one, "rsa-1"))...)
	g.set("the 17th of its kind signs", many(16, numbered, kid(one, "rsa-1"))...)
	g.set("the 16th of one kid signs", many(15, same, kid(one, "same"))...)
	g.set("the 17th of one kid signs", many(16, same, kid(one, "same"))...)
	add("3.3 sixteen candidates", "the 16th key for a token without kid", Accept, "the 16th of its kind signs", withoutKID(s1))
	add("3.3 sixteen candidates", "the 17th key for a token without kid", badSignature, "the 17th of its kind signs", withoutKID(s1))
	add("3.3 sixteen candidates", "the 17th key by its kid", Accept, "the 17th of its kind signs", withKID(s1, `"rsa-1"`))
	add("3.3 sixteen candidates", "the 16th of one kid", Accept, "the 16th of one kid signs", withKID(s1, `"same"`))
	add("3.3 sixteen candidates", "the 17th of one kid", badSignature, "the 17th of one kid signs", withKID(s1, `"same"`))

	g.admission(kid(one, "rsa-1"), kid(two, "odd"))
}

// admission adds sets with a key that is odd: if it is admitted, it verifies
// the token; if not, it costs the good key beside it nothing.
func (g *generator) admission(good, odd object) {
	const rule = "5 admission"
	text := func(o object, name string) string {
		i := slices.IndexFunc(o, func(m member) bool { return m.name == name })
		return strings.Trim(o[i].value, `"`)
	}
	standard := strings.NewReplacer("-", "+", "_", "/")
	try := func(mutation, want, signedBy string, key object) {
		g.set(mutation, key, good)
		s := g.by(signedBy)
		g.add(Vector{
			Rule: rule, Mutation: mutation, Algorithm: rs256, JWKS: mutation, Want: want,
			Token: s.token(s.header().with("kid", `"odd"`).String(), claims().String()),
		})
	}
	try("a plain key", Accept, "2", odd)
	for mutation, m := range map2(
		"use sig", member{"use", `"sig"`}, "alg RS256", member{"alg", `"RS256"`}, "kid escaped", member{"kid", `"o\u0064d"`},
		"key_ops verify", member{"key_ops", `["verify"]`}, "key_ops sign and verify", member{"key_ops", `["sign","verify"]`},
		"a member nobody knows", member{"x", `{"a":[1]}`}, "a certificate", member{"x5c", `["MIIB"]`},
	) {
		try(mutation, Accept, "2", odd.with(m.name, m.value))
	}
	for mutation, m := range map2(
		"use null", member{"use", `null`}, "alg null", member{"alg", `null`}, "key_ops null", member{"key_ops", `null`}, "a null private exponent", member{"d", `null`},
		"use enc", member{"use", `"enc"`}, "use in capitals", member{"use", `"SIG"`}, "use empty", member{"use", `""`}, "use an array", member{"use", `["sig"]`},
		"alg RS512", member{"alg", `"RS512"`}, "alg PS256", member{"alg", `"PS256"`}, "alg RSA-OAEP", member{"alg", `"RSA-OAEP"`}, "alg a number", member{"alg", `256`},
		"key_ops sign alone", member{"key_ops", `["sign"]`}, "key_ops encrypt", member{"key_ops", `["encrypt"]`}, "key_ops empty", member{"key_ops", `[]`},
		"key_ops a string", member{"key_ops", `"verify"`}, "key_ops with a number", member{"key_ops", `["verify",1]`},
		"kty oct", member{"kty", `"oct"`}, "kty in small letters", member{"kty", `"rsa"`}, "kty AKP", member{"kty", `"AKP"`}, "kty null", member{"kty", `null`},
		"the private exponent", member{"d", `"AQAB"`}, "a prime", member{"p", `"AQAB"`}, "a symmetric key", member{"k", `"AQAB"`},
		"n null", member{"n", `null`}, "n a number", member{"n", `1`}, "n empty", member{"n", `""`},
		"n in standard base64", member{"n", `"` + standard.Replace(text(odd, "n")) + `"`},
		"n with padding", member{"n", `"` + text(odd, "n") + `=="`},
		"n with a line feed", member{"n", `"` + text(odd, "n") + `\n"`},
		"e null", member{"e", `null`}, "e with a leading zero", member{"e", `"AAEAAQ"`}, "e one", member{"e", `"AQ"`}, "e zero", member{"e", `"AA"`}, "e even", member{"e", `"AQAC"`},
		"e of 65 bits that end as 65537 does", member{"e", `"AQAAAAAAAQAB"`}, "e of 32 bits", member{"e", `"gAAAAQ"`},
		"kid empty", member{"kid", `""`}, "kid a number", member{"kid", `1`},
	) {
		try(mutation, unknownKey, "2", odd.with(m.name, m.value))
	}
	try("n absent", unknownKey, "2", odd.without("n"))
	try("e absent", unknownKey, "2", odd.without("e"))
	try("kty absent", unknownKey, "2", odd.without("kty"))
	try("a member twice", unknownKey, "2", odd.add("e", `"AQAB"`))
	try("n even", unknownKey, "2", odd.with("n", `"`+b64(even(text(odd, "n")))+`"`))
	try("1024 bits", unknownKey, "1024", g.jwk("1024").with("kid", `"odd"`))
	try("exponent 3", unknownKey, "e3", g.jwk("e3").with("kid", `"odd"`))
}

func even(n string) []byte {
	text, err := base64.RawURLEncoding.DecodeString(n)
	if err != nil {
		panic(err) // made here
	}
	text[len(text)-1] &^= 1
	return text
}

// map2 ranges over pairs of a name and a member, in their order.
func map2(pairs ...any) func(yield func(string, member) bool) {
	return func(yield func(string, member) bool) {
		for i := 0; i < len(pairs); i += 2 {
			if !yield(pairs[i].(string), pairs[i+1].(member)) { //nolint:forcetypeassert // made here
				return
			}
		}
	}
}

// signature adds what is not the signature.
func (g *generator) signature() {
	g.in("signature", "The signature: over these very bytes, by this very key, and before anything of the payload counts.")
	const rule = "3.4 signature"
	g.both(rule, "the good one", Accept, func(s signer) string { return s.good() })
	resigned := func(mutation, want string, change func(s signer, signature []byte) []byte) {
		g.both(rule, mutation, want, func(s signer) string {
			t := cut(s.good(), 2)
			return t + "." + b64(change(s, s.sign(t)))
		})
	}
	resigned("its first bit changed", badSignature, func(_ signer, b []byte) []byte { b[0] ^= 0x80; return b })
	resigned("its last bit changed", badSignature, func(_ signer, b []byte) []byte { b[len(b)-1] ^= 1; return b })
	resigned("its last byte missing", badSignature, func(_ signer, b []byte) []byte { return b[:len(b)-1] })
	resigned("its first byte missing", badSignature, func(_ signer, b []byte) []byte { return b[1:] })
	resigned("a zero byte after it", badSignature, func(_ signer, b []byte) []byte { return append(b, 0) })
	resigned("a zero byte before it", badSignature, func(_ signer, b []byte) []byte { return append([]byte{0}, b...) })
	resigned("half of it", badSignature, func(_ signer, b []byte) []byte { return b[:len(b)/2] })
	resigned("twice", badSignature, func(_ signer, b []byte) []byte { return append(b, b...) })
	resigned("zeros", badSignature, func(_ signer, b []byte) []byte { return make([]byte, len(b)) })
	resigned("ones", badSignature, func(_ signer, b []byte) []byte { return []byte(strings.Repeat("\xff", len(b))) })
	resigned("one zero byte", badSignature, func(signer, []byte) []byte { return []byte{0} })
	resigned("over the payload alone", badSignature, func(s signer, _ []byte) []byte { return s.sign(b64([]byte(claims().String()))) })
	resigned("over the decoded segments", badSignature, func(s signer, _ []byte) []byte {
		return s.sign(s.header().String() + "." + claims().String())
	})
	g.both(rule, "of another token", badSignature, func(s signer) string {
		other := s.token(s.header().String(), claims().with("sub", `"other"`).String())
		return cut(s.good(), 2) + other[strings.LastIndexByte(other, '.'):]
	})
	g.both(rule, "a claim changed after it", badSignature, func(s signer) string {
		t := s.good()
		return b64([]byte(s.header().String())) + "." + b64([]byte(claims().with("sub", `"other"`).String())) + t[strings.LastIndexByte(t, '.'):]
	})
	g.both(rule, "a header member added after it", badSignature, func(s signer) string {
		t := s.good()
		return b64([]byte(s.header().with("x", "1").String())) + t[strings.IndexByte(t, '.'):]
	})
	g.both(rule, "by somebody else", badSignature, func(s signer) string {
		if s.alg == rs256 {
			return g.by("attacker").good()
		}
		return bySecret(attackersSecret).good()
	})

	g.hmacs(rule)
	g.rsaSignatures(rule)

	const first = "3.4 before the payload"
	for mutation, text := range ordered(
		"no JSON", "}", "expired", claims().with("exp", "1").String(), "another issuer", claims().with("iss", `"https://other.example"`).String(),
		"no sub", claims().without("sub").String(), "a member twice", claims().add("sub", `"x"`).String(),
	) {
		g.both(first, "a bad signature, and a payload with "+mutation, badSignature, func(s signer) string {
			return cut(s.token(s.header().String(), text), 2) + s.good()[strings.LastIndexByte(s.good(), '.'):]
		})
	}
	g.both(first, "a good signature, and a good payload", Accept, func(s signer) string { return s.good() })
}

// hmacs adds HS256 with what is not the secret, or not SHA-256.
func (g *generator) hmacs(rule string) {
	add := func(mutation, want string, s signer) {
		g.add(Vector{Rule: rule, Mutation: mutation, Algorithm: hs256, Want: want, Token: s.good()})
	}
	add("by the secret without its last byte", badSignature, bySecret(secret[:len(secret)-1]))
	add("by the secret and a NUL byte", Accept, bySecret(secret+"\x00"))
	g.file.Vectors[len(g.file.Vectors)-1].Comment = "HMAC fills a key up with zeros (RFC 2104 section 2): to HMAC these are one key"
	add("by the secret and a line feed", badSignature, bySecret(secret+"\n"))
	add("by the secret in base64url", badSignature, bySecret(b64([]byte(secret))))
	add("by an empty secret", badSignature, bySecret(""))
	add("by the client ID", badSignature, bySecret(clientID))
	hash := func(s signer, sum func(text string) []byte) signer { s.sign = sum; return s }
	add("HMAC with SHA-512, cut to size", badSignature, hash(bySecret(secret), func(text string) []byte {
		mac := hmac.New(sha512.New, []byte(secret))
		mac.Write([]byte(text))
		return mac.Sum(nil)[:32]
	}))
	add("SHA-256 without a key", badSignature, hash(bySecret(secret), func(text string) []byte {
		sum := sha256.Sum256([]byte(text))
		return sum[:]
	}))
}

// rsaSignatures adds RS256 with what is not PKCS #1 v1.5 over SHA-256, and the
// public key taken for a secret.
func (g *generator) rsaSignatures(rule string) {
	key := g.rsa["1"]
	der := x509.MarshalPKCS1PublicKey(&key.PublicKey)
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic(err) // a fixed key
	}
	for mutation, secret := range ordered(
		"HMAC by the public key in DER", string(der), "HMAC by the public key in PEM", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})),
		"HMAC by the modulus", string(key.N.Bytes()), "HMAC by the JWK", g.jwk("1").String(),
	) {
		confused := bySecret(secret)
		g.add(Vector{Rule: "3.2 alg", Mutation: mutation, Algorithm: rs256, Want: unsupported, Token: confused.good()})
		g.add(Vector{
			Rule: rule, Mutation: mutation + " under alg RS256", Algorithm: rs256, Want: badSignature,
			Token: confused.token(g.by("1").header().String(), claims().String()),
		})
	}
	add := func(mutation string, sign func(text []byte) ([]byte, error)) {
		s := g.by("1")
		s.sign = func(signed string) []byte {
			signature, err := sign([]byte(signed))
			if err != nil {
				panic(err)
			}
			return signature
		}
		g.add(Vector{Rule: rule, Mutation: mutation, Algorithm: rs256, Want: badSignature, Token: s.good()})
	}
	add("over SHA-512", func(text []byte) ([]byte, error) {
		sum := sha512.Sum512(text)
		return rsa.SignPKCS1v15(nil, key, crypto.SHA512, sum[:])
	})
	add("over SHA-1", func(text []byte) ([]byte, error) {
		sum := sha1.Sum(text) //nolint:gosec // to see it refused
		return rsa.SignPKCS1v15(nil, key, crypto.SHA1, sum[:])
	})
	add("over a hash of no name", func(text []byte) ([]byte, error) {
		sum := sha256.Sum256(text)
		return rsa.SignPKCS1v15(nil, key, 0, sum[:])
	})
	add("PSS", func(text []byte) ([]byte, error) {
		sum := sha256.Sum256(text)
		return rsa.SignPSS(zeros{}, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: 32})
	})
}

// zeros is a source of salt that is always the same.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
