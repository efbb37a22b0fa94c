package reference

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Object decodes text if it is one strict JSON object: valid UTF-8, no lone
// surrogate, no member twice, at most 16 deep, nothing after it.
func Object(text []byte) (map[string]json.RawMessage, bool) {
	if !utf8.Valid(text) || !json.Valid(text) || loneSurrogate(text) || !walk(text) {
		return nil, false
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return nil, false
	}
	return members, true
}

// walk reports whether valid JSON is nowhere too deep and has no member twice.
func walk(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	type level struct {
		names  map[string]bool // nil in an array
		isName bool            // the next token is a name
	}
	var levels []level
	for {
		token, err := d.Token()
		if err != nil {
			return true // the end: text is valid
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			levels = levels[:len(levels)-1]
			continue
		}
		if n := len(levels) - 1; n >= 0 && levels[n].names != nil {
			if levels[n].isName {
				name, _ := token.(string)
				if levels[n].names[name] {
					return false
				}
				levels[n].names[name] = true
			}
			levels[n].isName = !levels[n].isName
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{make(map[string]bool), true})
		case json.Delim('['):
			levels = append(levels, level{})
		}
		if len(levels) > 16 {
			return false
		}
	}
}

// loneSurrogate looks for half of a surrogate pair among the escapes of valid
// JSON, which has backslashes only in strings.
func loneSurrogate(text []byte) bool {
	high := false // the escape just read is the first half
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			if high {
				return true
			}
			continue
		}
		i++
		if text[i] != 'u' {
			if high {
				return true
			}
			continue
		}
		unit, _ := strconv.ParseUint(string(text[i+1:i+5]), 16, 16)
		i += 4
		isHigh, isLow := unit>>10 == 0xd800>>10, unit>>10 == 0xdc00>>10
		if isLow != high {
			return true
		}
		high = isHigh
	}
	return high
}

// Key is an admitted key.
type Key struct {
	KID  string
	N, E *big.Int
}

// Keys returns the admitted keys of a JWK Set, and false if document is not a JWK
// Set.
func Keys(document []byte) ([]Key, bool) {
	raws, ok := keyTexts(document)
	if !ok {
		return nil, false
	}
	var keys []Key
	for i, raw := range raws {
		if key, ok := admit(raw); ok && i < 100 {
			keys = append(keys, key)
		}
	}
	return keys, true
}

// keyTexts returns the elements of the document's only keys member, an array.
func keyTexts(document []byte) (raws []json.RawMessage, ok bool) {
	if !json.Valid(document) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(document))
	if token, _ := d.Token(); token != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		name, _ := d.Token()
		var raw json.RawMessage
		if d.Decode(&raw) != nil {
			return nil, false
		}
		if name != "keys" {
			continue
		}
		if ok || raw[0] != '[' || json.Unmarshal(raw, &raws) != nil {
			return nil, false
		}
		ok = true
	}
	return raws, ok
}

func admit(raw json.RawMessage) (Key, bool) {
	members, ok := Object(raw)
	if !ok {
		return Key{}, false
	}
	is := func(name string, allowed func(text string) bool) bool {
		value, there := members[name]
		text, isText := asText(value)
		return !there || isText && allowed(text)
	}
	equal := func(want string) func(string) bool { return func(text string) bool { return text == want } }
	kty, _ := asText(members["kty"])
	if kty != "RSA" || !is("use", equal("sig")) || !is("alg", equal("RS256")) ||
		string(members["kid"]) != "null" && !is("kid", func(kid string) bool { return len(kid) >= 1 && len(kid) <= 256 }) {
		return Key{}, false
	}
	if ops, there := members["key_ops"]; there {
		texts, ok := Texts(ops)
		if !ok || ops[0] != '[' || !slices.Contains(texts, "verify") {
			return Key{}, false
		}
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, there := members[name]; there {
			return Key{}, false
		}
	}
	n, okN := unsigned(members["n"])
	e, okE := unsigned(members["e"])
	if !okN || !okE || n.BitLen() < 2048 || n.BitLen() > 8192 || n.Bit(0) == 0 ||
		e.Bit(0) == 0 || e.Cmp(big.NewInt(65537)) < 0 || e.BitLen() > 31 {
		return Key{}, false
	}
	kid, _ := asText(members["kid"])
	return Key{kid, n, e}, true
}

// unsigned decodes a canonical Base64urlUInt without a leading zero byte.
func unsigned(raw json.RawMessage) (*big.Int, bool) {
	text, ok := asText(raw)
	if !ok || !regexp.MustCompile(`\A[A-Za-z0-9_-]+\z`).MatchString(text) {
		return nil, false
	}
	value, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(value) != text || value[0] == 0 {
		return nil, false
	}
	return new(big.Int).SetBytes(value), true
}
