package vectors

import (
	"fmt"
	"strings"
)

// payload adds the rules of form of a payload.
func (g *generator) payload() {
	g.in("payload", "The payload: one strict JSON object, at most 16 deep.")
	g.strictJSON("3.5", func(signer) object { return claims() }, func(s signer, text string) string {
		return s.token(s.header().String(), text)
	})
	nest := func(open, inner, shut string, n int) string {
		return claims().with("x", strings.Repeat(open, n)+inner+strings.Repeat(shut, n)).String()
	}
	g.payloadOf("3.5 depth", "arrays to 16", Accept, nest("[", "", "]", 15))
	g.payloadOf("3.5 depth", "arrays to 17", malformed, nest("[", "", "]", 16))
	g.payloadOf("3.5 depth", "objects to 16", Accept, nest(`{"a":`, "1", "}", 15))
	g.payloadOf("3.5 depth", "objects to 17", malformed, nest(`{"a":`, "1", "}", 16))
	g.payloadOf("3.5 depth", "both to 17", malformed, nest(`[{"a":`, "1", "}]", 8))
	g.payloadOf("3.5 depth", "arrays to 4000", malformed, nest("[", "", "]", 4000))
	g.payloadOf("3.5 depth", "braces in a string", Accept, claims().with("x", `"`+strings.Repeat("[{", 40)+`"`).String())
	g.payloadOf("3.5 depth", "ten arrays side by side", Accept, claims().with("x", `[[],[],[],[],[],[],[],[],[],[]]`).String())
}

// parties adds iss, aud and azp.
func (g *generator) parties() {
	g.in("parties", "Who issued the token, and for whom.")
	claim := func(rule, name, want string, pairs ...string) {
		for mutation, value := range ordered(pairs...) {
			g.payloadOf(rule, mutation, want, claims().with(name, value).String())
		}
	}
	claim("3.6 iss", "iss", Accept, "to the letter", `"https://acme.reach5.net"`, "escaped", `"https:\/\/acme.reach5.net"`)
	claim("3.6 iss", "iss", wrongIssuer,
		"a slash at the end", `"https://acme.reach5.net/"`, "http", `"http://acme.reach5.net"`, "no scheme", `"acme.reach5.net"`,
		"capitals", `"https://ACME.reach5.net"`, "a port", `"https://acme.reach5.net:443"`, "a dot at the end", `"https://acme.reach5.net."`,
		"a longer domain", `"https://acme.reach5.net.attacker.example"`, "a shorter domain", `"https://reach5.net"`, "user information", `"https://x@acme.reach5.net"`,
		"a space", `"https://acme.reach5.net "`, "NUL at the end", `"https://acme.reach5.net\u0000"`, "a letter that looks alike", `"https://\u0430cme.reach5.net"`,
		"another tenant", `"https://other.reach5.net"`, "empty", `""`)
	claim("8.1 missing or invalid", "iss", invalidClaim, "iss a number", `1`, "iss an array", `["https://acme.reach5.net"]`, "iss true", `true`, "iss an object", `{}`)

	claim("3.6 aud", "aud", Accept,
		"an array", `["`+clientID+`"]`, "a string", `"`+clientID+`"`, "ours twice", `["`+clientID+`","`+clientID+`"]`, "escaped", `"\u0041tnY5xDg4fbanentihip"`)
	claim("3.6 aud", "aud", wrongAudience,
		"another client", `["`+further+`"]`, "another client as a string", `"`+further+`"`, "ours and another", `["`+clientID+`","`+further+`"]`,
		"another and ours", `["`+further+`","`+clientID+`"]`, "capitals", `["`+strings.ToUpper(clientID)+`"]`, "a part of it", `["`+clientID[:19]+`"]`,
		"more than it", `["`+clientID+`0"]`, "a space", `["`+clientID+` "]`, "both in one string", `"`+clientID+` `+further+`"`, "empty string", `""`,
		"an array of an empty string", `[""]`, "the issuer", `["https://acme.reach5.net"]`, "a wildcard", `["*"]`)
	claim("8.8 an empty aud", "aud", wrongAudience, "an empty array", `[]`)
	claim("8.8 an empty aud", "aud", Accept, "an array of one", `["`+clientID+`"]`)
	claim("3.6 aud", "aud", invalidClaim,
		"a number", `1`, "an object", `{"`+clientID+`":true}`, "an array in an array", `[["`+clientID+`"]]`, "ours and a number", `["`+clientID+`",1]`,
		"ours and null", `["`+clientID+`",null]`, "ours and an array", `["`+clientID+`",[]]`, "true", `true`)
	several := func(mutation, want, value string) {
		g.add(Vector{
			Rule: "3.6 several clients", Mutation: mutation, Algorithm: rs256, Audiences: []string{further}, Want: want,
			Token: g.by("1").token(g.by("1").header().String(), claims().with("aud", value).String()),
		})
	}
	several("the first", Accept, `["`+clientID+`"]`)
	several("the second", Accept, `"`+further+`"`)
	several("both", Accept, `["`+further+`","`+clientID+`"]`)
	several("both and a third", wrongAudience, `["`+further+`","`+clientID+`","third"]`)
	several("a third", wrongAudience, `["third"]`)

	claim("3.6 azp", "azp", Accept, "ours", `"`+clientID+`"`)
	g.payloadOf("3.6 azp", "absent", Accept, claims().String())
	claim("3.6 azp", "azp", wrongAudience, "another client", `"`+further+`"`, "empty", `""`, "capitals", `"`+strings.ToUpper(clientID)+`"`, "a space", `" `+clientID+`"`)
	claim("3.6 azp", "azp", invalidClaim, "a number", `1`, "an array", `["`+clientID+`"]`, "true", `true`)
	claim("8.1 null is absent", "azp", Accept, "azp", `null`)

	for _, name := range []string{"iss", "aud", "exp", "iat", "sub"} {
		g.payloadOf("8.1 missing or invalid", name+" absent", missingClaim, claims().without(name).String())
		g.payloadOf("8.1 missing or invalid", name+" null", invalidClaim, claims().with(name, "null").String())
		g.payloadOf("8.1 missing or invalid", name+" in capitals alone", missingClaim, claims().without(name).with(strings.ToUpper(name), `"x"`).String())
	}
	g.payloadOf("8.1 missing or invalid", "all of them there", Accept, claims().String())
	g.payloadOf("3.7 null", "a required claim", invalidClaim, claims().with("sub", "null").String())
	for _, name := range []string{"nonce", "name", "email", "email_verified", "address", "updated_at", "amr", "custom_fields", "at_hash"} {
		g.payloadOf("3.7 null", "an optional one, "+name, Accept, claims().with(name, "null").String())
	}
}

// times adds exp, iat, nbf and auth_time.
func (g *generator) times() {
	g.in("times", "When the token is good, and how a time is written.")
	claim := func(rule, mutation, want, name, value string, edits ...func(*Vector)) {
		g.payloadOf(rule, mutation, want, claims().with(name, value).String(), edits...)
	}
	at := func(seconds int64) string { return fmt.Sprint(seconds) }
	leeway := func(seconds int64) func(*Vector) { return func(v *Vector) { v.Leeway = seconds } }

	claim("3.6 exp", "in a second", Accept, "exp", at(clock+1))
	claim("3.6 exp", "now", expired, "exp", at(clock))
	claim("3.6 exp", "a second ago", expired, "exp", at(clock-1))
	claim("3.6 exp", "a minute ago", expired, "exp", at(clock-60))
	claim("3.6 exp", "in 1970", expired, "exp", "1")
	claim("3.6 exp", "before iat", expired, "exp", at(issued-1))
	claim("3.6 leeway", "59 of 60 seconds over", Accept, "exp", at(clock-59), leeway(60))
	claim("3.6 leeway", "60 of 60 seconds over", expired, "exp", at(clock-60), leeway(60))
	claim("3.6 leeway", "299 of 300 seconds over", Accept, "exp", at(clock-299), leeway(300))
	claim("3.6 leeway", "300 of 300 seconds over", expired, "exp", at(clock-300), leeway(300))
	claim("3.6 leeway", "iat has none of it", notYetValid, "iat", at(clock+61), leeway(300))
	for name, code := range ordered("iat", notYetValid, "nbf", notYetValid, "auth_time", invalidClaim) {
		rule := "3.6 " + name
		claim(rule, "now", Accept, name, at(clock))
		claim(rule, "a minute ahead", Accept, name, at(clock+60))
		claim(rule, "a minute and a second ahead", code, name, at(clock+61))
		claim(rule, "an hour ahead", code, name, at(clock+3600))
		claim(rule, "in milliseconds", code, name, at(clock * 1000)[:12])
		claim(rule, "in 1970", Accept, name, "1")
	}
	for _, name := range []string{"exp", "iat", "nbf", "auth_time"} {
		const written, inRange = "8.8 a time is an integer", "8.1 range of a time"
		future := at(expiry)
		if name != "exp" {
			future = at(issued)
		}
		claim(written, name+" is", Accept, name, future)
		for mutation, value := range ordered(
			"a fraction", future+".5", "a zero fraction", future+".0", "an exponent", "1e9", "an exponent of zero", future+"e0", "a string", `"`+future+`"`,
			"an RFC 3339 string", `"2017-12-02T14:35:17Z"`, "an array", "["+future+"]", "an object", "{}", "true", "true", "false", "false", "an empty string", `""`,
		) {
			claim(written, name+" is "+mutation, invalidClaim, name, value)
		}
		for mutation, value := range ordered(
			"0", "0", "-0", "-0", "-1", "-1", "the year 10000", "253402300800", "2^63", "9223372036854775808", "2^64 and a good time", "18446744075222065317",
			"a number of 40 digits", strings.Repeat("9", 40), "the least that 64 bits hold", "-9223372036854775808",
		) {
			claim(inRange, name+" is "+mutation, invalidClaim, name, value)
		}
	}
	claim("8.1 range of a time", "exp is the end of the year 9999", Accept, "exp", "253402300799")
	claim("8.1 range of a time", "iat is the end of the year 9999", notYetValid, "iat", "253402300799")
	claim("8.1 range of a time", "iat is 1", Accept, "iat", "1")
	claim("8.1 null is absent", "nbf", Accept, "nbf", "null")
	claim("8.1 null is absent", "auth_time", Accept, "auth_time", "null")
	claim("8.1 null is absent", "exp is required", invalidClaim, "exp", "null")
}

// subject adds sub.
func (g *generator) subject() {
	g.in("subject", "The subject: the one claim that an account is keyed by.")
	claim := func(want string, pairs ...string) {
		for mutation, value := range ordered(pairs...) {
			g.payloadOf("3.6 sub", mutation, want, claims().with("sub", value).String())
		}
	}
	claim(Accept, "a UUID", `"e9ab7d5c-54e0-4a8a-9b0a-6f3a0b8a7a11"`, "one character", `"s"`, "255 bytes", `"`+strings.Repeat("s", 255)+`"`,
		"beyond ASCII", `"é"`, "254 bytes beyond ASCII", `"`+strings.Repeat("é", 127)+`"`, "one space", `" "`)
	claim(invalidClaim, "empty", `""`, "256 bytes", `"`+strings.Repeat("s", 256)+`"`, "256 bytes in 128 characters", `"`+strings.Repeat("é", 128)+`"`,
		"10 kB", `"`+strings.Repeat("s", 10000)+`"`, "NUL", `"a\u0000b"`, "a line feed", `"a\nb"`, "DEL", `"a\u007fb"`, "a C1 control", `"a\u0085b"`,
		"a number", `1`, "an array", `["s"]`, "an object", `{}`, "true", `true`)
}

// kinds adds tokens of the same issuer that are no ID tokens.
func (g *generator) kinds() {
	g.in("kinds", "Tokens of other kinds that an issuer signs with the same key.")
	g.payloadOf("3.6 logout token", "no events", Accept, claims().String())
	for mutation, value := range ordered(
		"events of a logout", `{"http://schemas.openid.net/event/backchannel-logout":{}}`, "events empty", `{}`, "events null", `null`, "events false", `false`,
	) {
		g.payloadOf("3.6 logout token", mutation, invalidClaim, claims().with("events", value).String())
	}
	g.payloadOf("3.6 logout token", "Events in other letters", Accept, claims().with("Events", `{}`).String())
	allow := func(v *Vector) { v.AllowAccessTokenClaims = true }
	for _, name := range []string{"scope", "scp", "client_id"} {
		for mutation, value := range ordered("a string", `"openid"`, "null", `null`, "an array", `["openid"]`, "empty", `""`) {
			g.payloadOf("3.6 access token", name+" "+mutation, invalidClaim, claims().with(name, value).String())
		}
		g.payloadOf("3.6 access token", name+" where it is allowed", Accept, claims().with(name, `"openid"`).String(), allow)
	}
	g.payloadOf("3.6 access token", "events where scope is allowed", invalidClaim, claims().with("events", `{}`).String(), allow)
	g.payloadOf("3.6 access token", "of RFC 9068's shape", invalidClaim,
		claims().with("client_id", `"`+clientID+`"`).with("scope", `"openid profile"`).with("jti", `"1"`).String())
}

// identity adds the claims that tell who the user is, and those that describe.
func (g *generator) identity() {
	g.in("identity", "Claims that tell who the user is have exactly their type; claims that describe may be odd, and are left empty then.")
	for _, c := range []struct{ name, camel, good, other string }{
		{"email", "", `"jane@example.com"`, `""`},
		{"email_verified", "emailVerified", `true`, `false`},
		{"phone_number", "phoneNumber", `"+33612345678"`, `""`},
		{"phone_number_verified", "phoneNumberVerified", `true`, `false`},
	} {
		set := func(mutation, want, name, value string) {
			g.payloadOf("3.7 identity claims", mutation, want, claims().without(c.name).with(name, value).String())
		}
		set(c.name, Accept, c.name, c.good)
		set(c.name+" the other way", Accept, c.name, c.other)
		set(c.name+" null", Accept, c.name, "null")
		for mutation, value := range ordered(
			"a number", `1`, "zero", `0`, "an array", `[`+c.good+`]`, "an object", `{}`, "a fraction", `1.0`,
		) {
			set(c.name+" "+mutation, invalidClaim, c.name, value)
		}
		if !strings.HasSuffix(c.name, "_verified") {
			for mutation, value := range ordered(
				"with a line feed", `"a\nb"`, "with NUL", `"a\u0000"`, "with DEL", `"\u007fa"`, "with a C1 control", `"a\u0085b"`,
			) {
				set(c.name+" "+mutation, invalidClaim, c.name, value)
			}
			set(c.name+" beyond ASCII", Accept, c.name, `"é"`)
		}
		if strings.HasSuffix(c.name, "_verified") {
			for mutation, value := range ordered("true in quotes", `"true"`, "yes", `"yes"`, "an empty string", `""`) {
				set(c.name+" "+mutation, invalidClaim, c.name, value)
			}
		} else {
			set(c.name+" true", invalidClaim, c.name, `true`)
		}
		if c.camel != "" {
			set(c.camel, Accept, c.camel, c.good)
			set(c.camel+" a number", invalidClaim, c.camel, `1`)
			both := claims().without(c.name)
			g.payloadOf("3.7 two spellings", c.camel+" of no type beside "+c.name, Accept, both.with(c.name, c.good).with(c.camel, `1`).String(),
				why("where the member of the wire stands the other is not read"))
			g.payloadOf("3.7 two spellings", c.camel+" of no type before "+c.name, Accept, both.with(c.camel, `1`).with(c.name, "null").String())
			g.payloadOf("3.7 two spellings", c.name+" of no type beside "+c.camel, invalidClaim, both.with(c.name, `1`).with(c.camel, c.good).String())
		}
	}
	for _, name := range []string{
		"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "gender", "birthdate", "locale", "zoneinfo",
		"website", "picture", "profile", "address", "updated_at", "custom_fields", "custom_identifier", "external_id", "auth_type", "new_user", "amr", "acr", "nonce", "at_hash",
	} {
		g.payloadOf("3.7 descriptive claims", name+" a number", Accept, claims().with(name, "17").String())
	}
	for mutation, m := range map2(
		"an address in an array", member{"address", `[{"country":"FR"}]`}, "updated_at in RFC 3339", member{"updated_at", `"2020-01-20T09:02:25.955Z"`},
		"updated_at a fraction", member{"updated_at", `1579510945.955`}, "a birthdate of no day", member{"birthdate", `"1990-13-45"`}, "amr a string", member{"amr", `"pwd"`},
		"amr of 65 methods", member{"amr", `["pwd"` + strings.Repeat(`,"pwd"`, 64) + `]`},
		"custom_fields of any shape", member{"custom_fields", `{"a":[1,{"b":null}],"c":1e400}`},
	) {
		g.payloadOf("3.7 descriptive claims", mutation, Accept, claims().with(m.name, m.value).String())
	}
	g.payloadOf("3.7 descriptive claims", "one that is no JSON", malformed, claims().with("name", "John").String())
}
