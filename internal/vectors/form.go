package vectors

import (
	"fmt"
	"strings"
)

// gate adds what the text of a token may be.
func (g *generator) gate() {
	g.in("gate", "The text of a token: a JWS in compact serialization, in canonical base64url, of at most 16 KiB. Wherever the text can be signed as it is, it is, so that it is not the signature that refuses.")
	plain := func(s signer) string { return s.good() }

	g.both("3.1 size", "16384 bytes", Accept, func(s signer) string { return s.sized(16384) })
	g.both("3.1 size", "16385 bytes", malformed, func(s signer) string { return s.sized(16385) })
	g.both("3.1 size", "20000 bytes", malformed, func(s signer) string { return s.sized(20000) })

	g.both("3.1 dots", "two", Accept, plain)
	g.both("3.1 dots", "none", malformed, func(s signer) string { return strings.ReplaceAll(s.good(), ".", "") })
	g.both("3.1 dots", "one", malformed, func(s signer) string { return cut(s.good(), 2) })
	g.both("3.1 dots", "a third at the end", malformed, func(s signer) string { return s.good() + "." })
	g.both("3.1 dots", "a third at the start", malformed, func(s signer) string { return "." + s.good() })
	g.both("3.1 dots", "a fourth segment", malformed, func(s signer) string { return s.good() + ".e30" })
	g.both("3.1 dots", "five segments, as a JWE has", malformed, func(s signer) string { return s.good() + ".e30.e30" })
	g.both("3.1 dots", "nothing but dots", malformed, func(signer) string { return strings.Repeat(".", 8192) })
	g.both("3.1 dots", "a dot within the signature", malformed, func(s signer) string {
		t := s.good()
		return t[:len(t)-9] + "." + t[len(t)-9:]
	})

	g.both("3.1 segments", "all filled", Accept, plain)
	g.both("3.1 segments", "an empty header", malformed, func(s signer) string { return s.segments("", b64([]byte(claims().String()))) })
	g.both("3.1 segments", "an empty payload", malformed, func(s signer) string { return s.segments(b64([]byte(s.header().String())), "") })
	g.both("3.1 segments", "an empty signature", malformed, func(s signer) string { return cut(s.good(), 2) + "." })
	g.both("3.1 segments", "an unsigned token, alg none", malformed, func(signer) string {
		return b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(claims().String())) + "."
	})
	g.both("3.1 segments", "two dots alone", malformed, func(signer) string { return ".." })

	g.both("3.1 compact", "the compact serialization", Accept, plain)
	g.both("3.1 compact", "flattened JSON", malformed, func(s signer) string {
		p := strings.Split(s.good(), ".")
		return fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, p[1], p[0], p[2])
	})
	g.both("3.1 compact", "flattened JSON with unsigned claims beside it", malformed, func(s signer) string {
		p := strings.Split(s.token(s.header().String(), claims().with("exp", "1").String()), ".")
		return fmt.Sprintf(`{"iss":"https://%s","aud":%q,"sub":"somebody else","exp":%d,"iat":%d,"payload":%q,"protected":%q,"signature":%q}`,
			domain, clientID, expiry, issued, p[1], p[0], p[2])
	}, why("the forgery that parsers which guess the serialization take for verified claims"))
	g.both("3.1 compact", "general JSON with one good signature of two", malformed, func(s signer) string {
		p := strings.Split(s.good(), ".")
		return fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q},{"protected":%q,"signature":"AAAA"}]}`, p[1], p[0], p[2], p[0])
	})
	g.both("3.1 compact", "claims without a signature", malformed, func(signer) string { return claims().String() })
	g.both("3.1 compact", "in quotes", malformed, func(s signer) string { return `"` + s.good() + `"` })
	g.both("3.1 compact", "with its Bearer", malformed, func(s signer) string { return "Bearer " + s.good() })

	g.alphabet()
	g.trailingBits()
	g.both("8.2 no token", "empty", missingToken, func(signer) string { return "" })
	g.both("8.2 no token", "there is one", Accept, plain)
	g.both("8.2 no token", "one space", malformed, func(signer) string { return " " })
}

// alphabet adds the characters that decoders skip, pad with or translate.
func (g *generator) alphabet() {
	const rule = "3.1 alphabet"
	text := claims().with("name", `"~~~???>>>~~"`).String() // 0x7e7e7e and 0x3f3f3f have - and _ in base64url
	g.payloadOf(rule, "- and _ in the payload", Accept, text)
	g.both(rule, "+ and / for - and _ in the payload", malformed, func(s signer) string {
		return s.segments(b64([]byte(s.header().String())), strings.NewReplacer("-", "+", "_", "/").Replace(b64([]byte(text))))
	})
	for _, c := range []struct{ name, text string }{
		{"a line feed", "\n"},
		{"a carriage return", "\r"},
		{"CR LF", "\r\n"},
		{"a space", " "},
		{"a tab", "\t"},
		{"NUL", "\x00"},
		{"a plus", "+"},
		{"a slash", "/"},
		{"an equals sign", "="},
		{"a per cent", "%"},
		{"%0A", "%0A"},
		{"a question mark", "?"},
		{"a tilde", "~"},
		{"an e with an accent", "é"},
		{"DEL", "\x7f"},
		{"four spaces", "    "},
	} {
		g.both(rule, c.name+" within the header", malformed, func(s signer) string {
			h := b64([]byte(s.header().String()))
			return s.segments(h[:8]+c.text+h[8:], b64([]byte(claims().String())))
		})
		g.both(rule, c.name+" within the payload", malformed, func(s signer) string {
			p := b64([]byte(claims().String()))
			return s.segments(b64([]byte(s.header().String())), p[:8]+c.text+p[8:])
		})
		g.both(rule, c.name+" within the signature", malformed, func(s signer) string {
			t := s.good()
			return t[:len(t)-8] + c.text + t[len(t)-8:]
		})
		g.both(rule, c.name+" at the end", malformed, func(s signer) string { return s.good() + c.text })
		g.both(rule, c.name+" at the start", malformed, func(s signer) string { return c.text + s.good() })
	}
}

// trailingBits adds segments whose last character has bits of no byte.
func (g *generator) trailingBits() {
	const rule = "3.1 trailing bits"
	for extra := range 3 {
		text := claims().with("name", `"`+strings.Repeat("n", extra)+`"`).String()
		size := len(b64([]byte(text))) % 4
		g.payloadOf(rule, fmt.Sprintf("a payload of %d modulo 4", size), Accept, text)
		if size == 0 {
			g.both(rule, "a payload of 1 modulo 4", malformed, func(s signer) string {
				return s.segments(b64([]byte(s.header().String())), b64([]byte(text))+"A")
			})
			continue
		}
		g.both(rule, fmt.Sprintf("set in a payload of %d modulo 4", size), malformed, func(s signer) string {
			return s.segments(b64([]byte(s.header().String())), bump(b64([]byte(text))))
		})
		g.both(rule, fmt.Sprintf("padding after a payload of %d modulo 4", size), malformed, func(s signer) string {
			return s.segments(b64([]byte(s.header().String())), b64([]byte(text))+"=="[:4-size])
		})
	}
	g.both(rule, "set in the header", malformed, func(s signer) string {
		h := s.header().String()
		for len(h)%3 == 0 {
			h += " "
		}
		return s.segments(bump(b64([]byte(h))), b64([]byte(claims().String())))
	})
	g.both(rule, "set in the signature", malformed, func(s signer) string { return bump(s.good()) })
	g.both(rule, "a signature of 1 modulo 4", malformed, func(s signer) string {
		t := s.good()
		return t + "AAA"[:(5-len(b64(s.sign("")))%4)%4]
	})
}

// bump sets the lowest bit of the last character, which belongs to no byte.
func bump(segment string) string {
	const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(base64url, segment[len(segment)-1])
	return segment[:len(segment)-1] + string(base64url[last|1])
}

// cut returns the first n segments.
func cut(token string, n int) string {
	return strings.Join(strings.Split(token, ".")[:n], ".")
}

// sized makes a good token of exactly that size.
func (s signer) sized(size int) string {
	for header := s.header().String(); ; header += " " {
		empty := s.token(header, claims().with("custom_fields", `{"a":""}`).String())
		for pad := (size-len(empty))*3/4 - 4; pad < (size-len(empty))*3/4+4; pad++ {
			text := claims().with("custom_fields", `{"a":"`+strings.Repeat("x", pad)+`"}`).String()
			if t := s.token(header, text); len(t) == size {
				return t
			}
		}
	}
}

// strictJSON adds what a text must be to be one strict JSON object: of the
// header and of the payload alike. good is the plain object.
func (g *generator) strictJSON(section string, good func(s signer) object, token func(s signer, text string) string) {
	add := func(rule, mutation, want string, text func(o object) string, edits ...func(*Vector)) {
		g.both(section+" "+rule, mutation, want, func(s signer) string { return token(s, text(good(s))) }, edits...)
	}
	constant := func(text string) func(object) string { return func(object) string { return text } }

	add("object", "an object", Accept, object.String)
	for mutation, text := range ordered(
		"null", "null", "an array", "[]", "a string", `"{}"`, "a number", "1", "true", "true",
		"one space", " ", "an empty object", "{}", "no JSON", "alg", "a NUL byte", "\x00",
	) {
		want := malformed
		if text == "{}" {
			want = map[string]string{"3.2": unsupported, "3.5": missingClaim}[section]
		}
		add("object", mutation, want, constant(text))
	}
	add("object", "the object in an array", malformed, func(o object) string { return "[" + o.String() + "]" })
	add("object", "cut off before its brace", malformed, func(o object) string { return strings.TrimSuffix(o.String(), "}") })
	add("object", "a comma too many", malformed, func(o object) string { return strings.TrimSuffix(o.String(), "}") + ",}" })
	add("object", "single quotes", malformed, func(o object) string { return strings.ReplaceAll(o.String(), `"`, `'`) })
	add("object", "a comment in it", malformed, func(o object) string { return "{/**/" + o.String()[1:] })
	add("object", "a byte order mark before it", malformed, func(o object) string { return "\ufeff" + o.String() })
	add("object", "a control character in a string", malformed, func(o object) string { return o.with("x", "\"\x01\"").String() })
	add("object", "NaN in it", malformed, func(o object) string { return o.with("x", "NaN").String() })
	add("object", "a number with a leading zero in it", malformed, func(o object) string { return o.with("x", "01").String() })
	for mutation, value := range ordered(
		"a bracket closed by a brace", "[}", "a brace closed by a bracket", "{]", "a literal cut off", "nul", "a literal cut off in an array", "[nul]",
		"a comma too many in an array", "[1,]", "a comma missing in an array", "[1 2]", "a string left open in an array", `["a]`, "a value missing", "",
		"a value missing within", `{"a":}`, "a colon missing within", `{"a" 1}`, "a number for a name", "{1:1}", "an array for a name", "{[]:1}", "a plus", "+1", "a number cut off", "1.",
	) {
		add("object", mutation, malformed, func(o object) string { return o.with("x", value).String() })
	}
	add("object", "a colon missing", malformed, func(o object) string { return strings.Replace(o.String(), `":`, `" `, 1) })
	add("object", "a comma missing", malformed, func(o object) string { return strings.Replace(o.String(), `,`, ` `, 1) })
	add("object", "a comma before the first member", malformed, func(o object) string { return "{," + o.String()[1:] })
	add("object", "an escape that JSON does not know", malformed, func(o object) string { return o.with("x", `"\a"`).String() })

	add("white space", "around the object and within", Accept, func(o object) string {
		return " \t\r\n" + strings.ReplaceAll(o.String(), `":`, `" : `) + "\n "
	})
	add("white space", "a form feed before it", malformed, func(o object) string { return "\f" + o.String() })
	add("white space", "a no-break space after it", malformed, func(o object) string { return o.String() + "\u00a0" })

	first := func(o object) member { return o[0] }
	add("duplicates", "none, but for the case of the letters", Accept, func(o object) string { return o.add("x", `1`).add("X", `2`).String() })
	add("duplicates", "the first member twice, equal", malformed, func(o object) string { return o.add(first(o).name, first(o).value).String() })
	add("duplicates", "the first member twice, the good one last", malformed, func(o object) string {
		return append(object{{first(o).name, `"other"`}}, o...).String()
	})
	add("duplicates", "the first member twice, the good one first", malformed, func(o object) string { return o.add(first(o).name, `"other"`).String() })
	add("duplicates", "the second member twice, once escaped", malformed, func(o object) string {
		return o.add(fmt.Sprintf(`\u%04x`, o[1].name[0])+o[1].name[1:], `"other"`).String()
	})
	add("duplicates", "an unknown member twice", malformed, func(o object) string { return o.add("x", "1").add("x", "1").String() })
	add("duplicates", "within an object within", malformed, func(o object) string { return o.with("x", `{"a":1,"a":2}`).String() })
	add("duplicates", "within an object within an array", malformed, func(o object) string { return o.with("x", `[[{"a":1,"a":2}]]`).String() })
	add("duplicates", "one name in two objects", Accept, func(o object) string { return o.with("x", `[{"a":1},{"a":2}]`).String() })

	add("UTF-8", "beyond ASCII, escaped too", Accept, func(o object) string { return o.with("x", "\"é\U0001F600\\ud83d\\ude00\"").String() })
	for mutation, text := range ordered(
		"the byte FF", "\"\xff\"", "an overlong slash", "\"\xc0\xaf\"", "a surrogate in three bytes", "\"\xed\xa0\x80\"",
		"a sequence cut off", "\"\xe2\x82\"", "beyond U+10FFFF", "\"\xf4\x90\x80\x80\"",
		"a lone high surrogate escaped", `"\ud800"`, "a lone low surrogate escaped", `"\udc00"`, "surrogates the wrong way round", `"\ude00\ud83d"`,
	) {
		add("UTF-8", mutation, malformed, func(o object) string { return o.with("x", text).String() })
	}
	add("UTF-8", "the byte FF in a name", malformed, func(o object) string { return o.with("x\xff", "1").String() })

	add("one object", "nothing after it", Accept, object.String)
	for mutation, text := range ordered(
		"a second object", "{}", "itself", "", "a word", "garbage", "a brace", "}", "a comma", ",", "NUL", "\x00", "null", " null", "a comment", "//",
	) {
		add("one object", mutation+" after it", malformed, func(o object) string {
			if text == "" {
				return o.String() + o.String()
			}
			return o.String() + text
		})
	}
}

// ordered ranges over pairs, in their order.
func ordered(pairs ...string) func(yield func(a, b string) bool) {
	return func(yield func(a, b string) bool) {
		for i := 0; i < len(pairs); i += 2 {
			if !yield(pairs[i], pairs[i+1]) {
				return
			}
		}
	}
}
