package vectors

import "strings"

// header adds the rules of the JOSE header.
func (g *generator) header() {
	g.in("header", "The JOSE header: one strict JSON object, the configured alg and no other, nothing that changes what the token means. Every token is signed by the right key.")
	g.set("a key with a long kid", g.jwk("1").with("kid", `"`+strings.Repeat("k", 256)+`"`))
	g.strictJSON("3.2", signer.header, func(s signer, text string) string { return s.token(text, claims().String()) })

	g.algorithms()
	with := func(name, value string) func(object) string {
		return func(h object) string { return h.with(name, value).String() }
	}

	for mutation, value := range ordered("JWT", `"JWT"`, "jwt", `"jwt"`, "Jwt", `"Jwt"`, "escaped JWT", `"\u004aWT"`) {
		g.headerOf("3.2 typ", mutation, Accept, with("typ", value))
	}
	g.headerOf("3.2 typ", "absent", Accept, func(h object) string { return h.without("typ").String() })
	for mutation, value := range ordered(
		"of an access token", `"at+jwt"`, "of a logout token", `"logout+jwt"`, "of a DPoP proof", `"dpop+jwt"`, "JOSE", `"JOSE"`,
		"empty", `""`, "null", `null`, "a number", `1`, "an array", `["JWT"]`, "with a space", `"JWT "`, "as a media type", `"application/jwt"`, "true", `true`,
	) {
		g.headerOf("3.2 typ", mutation, malformed, with("typ", value))
	}

	for mutation, value := range ordered(
		"an extension nobody knows", `["x"]`, "a claim", `["exp"]`, "b64", `["b64"]`, "empty", `[]`, "null", `null`, "a string", `"exp"`, "a registered name", `["alg"]`,
	) {
		g.headerOf("3.2 crit", mutation, malformed, with("crit", value))
	}
	g.headerOf("3.2 crit", "in other letters", Accept, with("CRIT", `["x"]`))
	for mutation, value := range ordered("false", `false`, "true", `true`, "null", `null`) {
		g.headerOf("3.2 b64", mutation, malformed, with("b64", value))
	}
	g.headerOf("3.2 b64", "in other letters", Accept, with("B64", `false`))
	for mutation, value := range ordered("JWT", `"JWT"`, "empty", `""`, "null", `null`, "JSON", `"json"`) {
		g.headerOf("3.2 cty", mutation, malformed, with("cty", value))
	}
	g.headerOf("3.2 cty", "in other letters", Accept, with("ctY", `"JWT"`))
	for mutation, value := range ordered("DEF", `"DEF"`, "empty", `""`, "null", `null`) {
		g.headerOf("3.2 zip", mutation, malformed, with("zip", value))
	}
	g.headerOf("3.2 zip", "in other letters", Accept, with("Zip", `"DEF"`))

	g.embeddedKeys()
	g.kids()
}

// algorithms adds what alg may be: exactly what is configured, though the
// signature be good by that.
func (g *generator) algorithms() {
	const rule = "3.2 alg"
	configured := func(alg string) func(*Vector) {
		return func(v *Vector) {
			if v.Algorithm == alg {
				v.Want = Accept
			}
		}
	}
	for _, alg := range []string{hs256, rs256} {
		g.both(rule, alg, unsupported, func(s signer) string {
			return s.token(s.header().with("alg", `"`+alg+`"`).String(), claims().String())
		}, configured(alg))
	}
	for mutation, value := range ordered(
		"none", `"none"`, "None", `"None"`, "NONE", `"NONE"`, "HS384", `"HS384"`, "HS512", `"HS512"`, "RS384", `"RS384"`, "RS512", `"RS512"`,
		"PS256", `"PS256"`, "ES256", `"ES256"`, "EdDSA", `"EdDSA"`, "RSA-OAEP", `"RSA-OAEP"`, "dir", `"dir"`,
		"empty", `""`, "null", `null`, "a number", `256`, "true", `true`, "an object", `{}`,
	) {
		g.headerOf(rule, mutation, unsupported, func(h object) string { return h.with("alg", value).String() })
	}
	g.headerOf(rule, "absent", unsupported, func(h object) string { return h.without("alg").String() })
	g.headerOf(rule, "in small letters", unsupported, func(h object) string {
		return h.with("alg", strings.ToLower(h[1].value)).String()
	})
	g.headerOf(rule, "in an array", unsupported, func(h object) string { return h.with("alg", "["+h[1].value+"]").String() })
	g.headerOf(rule, "with a space", unsupported, func(h object) string { return h.with("alg", `" `+h[1].value[1:]).String() })
	g.headerOf(rule, "with NUL", unsupported, func(h object) string {
		return h.with("alg", strings.TrimSuffix(h[1].value, `"`)+`\u0000"`).String()
	})
	g.headerOf(rule, "under another name", unsupported, func(h object) string { return h.without("alg").with("Alg", h[1].value).String() })
	g.headerOf(rule, "escaped", Accept, func(h object) string { return h.with("alg", `"\u00`+hex2(h[1].value[1])+h[1].value[2:]).String() })
}

func hex2(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}

// embeddedKeys adds keys that a token brings along. They are never used,
// neither by the attacker's token nor by the good one.
func (g *generator) embeddedKeys() {
	const rule = "3.2 the token's own key"
	jwk := g.jwk("attacker").with("kid", `"`+defaultKID+`"`).String()
	for _, m := range []member{
		{"jwk", jwk},
		{"jku", `"https://attacker.example/jwks.json"`},
		{"x5u", `"https://attacker.example/cert.pem"`},
		{"x5c", `["MIIB"]`},
		{"x5t", `"AAAA"`},
		{"jwk", `null`},
	} {
		mutation := m.name
		if m.value == "null" {
			mutation += " null"
		}
		g.headerOf(rule, mutation+" beside a good signature", Accept, func(h object) string { return h.with(m.name, m.value).String() })
		g.both(rule, mutation+" and the attacker's signature", badSignature, func(s signer) string {
			attacker := bySecret(attackersSecret)
			if s.alg == rs256 {
				attacker = g.by("attacker")
			}
			return attacker.token(s.header().with(m.name, m.value).String(), claims().String())
		})
	}
}

// kids adds what a kid may be, whether it is used or not.
func (g *generator) kids() {
	const rule = "3.2 kid"
	long := strings.Repeat("k", 256)
	g.headerOf(rule, "absent", Accept, func(h object) string { return h.without("kid").String() })
	g.both(rule, "of 256 bytes", Accept, func(s signer) string {
		return s.token(s.header().with("kid", `"`+long+`"`).String(), claims().String())
	}, func(v *Vector) {
		if v.Algorithm == rs256 {
			v.JWKS = "a key with a long kid"
		}
	})
	for mutation, value := range ordered(
		"of 257 bytes", `"k`+long+`"`, "of 256 characters in 257 bytes", `"`+long[1:]+`é"`, "empty", `""`, "null", `null`,
		"a number", `1`, "an array", `["`+defaultKID+`"]`, "an object", `{}`, "false", `false`,
	) {
		g.headerOf(rule, mutation, malformed, func(h object) string { return h.with("kid", value).String() })
	}
	for mutation, kid := range ordered("of no key", `"nobody"`, "of an RSA key", `"`+defaultKID+`"`) {
		g.add(Vector{
			Rule: "8.3 HS256 kid", Mutation: mutation, Algorithm: hs256, Want: Accept,
			Comment: "HS256 has one key, whatever the token calls it",
			Token:   bySecret(secret).token(bySecret(secret).header().with("kid", kid).String(), claims().String()),
		})
	}
	g.add(Vector{
		Rule: "8.3 HS256 kid", Mutation: "of no form", Algorithm: hs256, Want: malformed,
		Comment: "not used, and still of the form that a kid has",
		Token:   bySecret(secret).token(bySecret(secret).header().with("kid", `{}`).String(), claims().String()),
	})
}
