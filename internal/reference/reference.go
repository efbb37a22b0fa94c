// Package reference decides about ID tokens a second time, for tests only. It
// uses the standard library in the plainest way, with no thought of speed, and
// shares no code with the verifier. Fuzzing compares the two.
package reference

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config is what a verdict depends on beside the token.
type Config struct {
	Issuer    string
	Audiences []string
	Algorithm string // HS256 or RS256
	Secret    []byte
	Key       *rsa.PublicKey // of every kid
	Now       time.Time
}

// Refusal is the first fault of a token: the code and, if the fault is in one
// claim, its name. The zero Refusal stands for acceptance.
type Refusal struct{ Code, Claim string }

// Verify returns the verdict on a token.
func (c Config) Verify(token string) Refusal {
	if token == "" {
		return Refusal{Code: "missing_token"}
	}
	segments, ok := Gate(token)
	if !ok {
		return Refusal{Code: "malformed_token"}
	}
	if _, code := Header(segments[0], c.Algorithm); code != "" {
		return Refusal{Code: code}
	}
	if !c.signed(token[:strings.LastIndexByte(token, '.')], segments[2]) {
		return Refusal{Code: "invalid_signature"}
	}
	return c.Claims(segments[1])
}

func (c Config) signed(text string, signature []byte) bool {
	if c.Algorithm == "HS256" {
		return hmac.Equal(HMAC(c.Secret, text), signature)
	}
	sum := sha256.Sum256([]byte(text))
	return rsa.VerifyPKCS1v15(c.Key, crypto.SHA256, sum[:], signature) == nil
}

// HMAC is the HS256 signature over text. Tests sign their tokens with it.
func HMAC(secret []byte, text string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// Gate splits and decodes a compact serialization if it is the canonical one.
func Gate(token string) ([][]byte, bool) {
	if len(token) > 16384 || !regexp.MustCompile(`\A[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\z`).MatchString(token) {
		return nil, false
	}
	var segments [][]byte
	for segment := range strings.SplitSeq(token, ".") {
		text, err := base64.RawURLEncoding.DecodeString(segment)
		if err != nil || base64.RawURLEncoding.EncodeToString(text) != segment {
			return nil, false
		}
		segments = append(segments, text)
	}
	return segments, true
}

// Header returns the kid of a header, or the code of its refusal.
func Header(text []byte, algorithm string) (kid, code string) {
	members, ok := Object(text)
	if !ok {
		return "", "malformed_token"
	}
	for _, name := range []string{"crit", "b64", "cty", "zip"} {
		if _, there := members[name]; there {
			return "", "malformed_token"
		}
	}
	if raw, there := members["typ"]; there {
		typ, ok := asText(raw)
		if !ok || !slices.Contains([]string{"JWT", "JWt", "JwT", "Jwt", "jWT", "jWt", "jwT", "jwt"}, typ) {
			return "", "malformed_token"
		}
	}
	if raw, there := members["kid"]; there {
		var ok bool
		if kid, ok = asText(raw); !ok || len(kid) < 1 || len(kid) > 256 {
			return "", "malformed_token"
		}
	}
	if alg, ok := asText(members["alg"]); !ok || alg != algorithm {
		return "", "unsupported_algorithm"
	}
	return kid, ""
}

// asText decodes a JSON string.
func asText(raw json.RawMessage) (string, bool) {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return "", false
	}
	text, ok := value.(string)
	return text, ok
}

// Claims returns the verdict on a payload: first each claim by itself, in this
// order, and then what the configuration and the time expect of it.
func (c Config) Claims(text []byte) Refusal {
	members, ok := Object(text)
	if !ok {
		return Refusal{Code: "malformed_token"}
	}
	now := c.Now.Unix()
	expected := []rule{
		{"iss", c.issuer},
		{"aud", c.audience},
		{"azp", c.audience},
		{"exp", func(raw json.RawMessage) string { return compare(raw, now, "expired", "") }},
		{"iat", func(raw json.RawMessage) string { return compare(raw, now+60, "", "not_yet_valid") }},
		{"nbf", func(raw json.RawMessage) string { return compare(raw, now+60, "", "not_yet_valid") }},
		{"auth_time", func(raw json.RawMessage) string { return compare(raw, now+60, "", "invalid_claim") }},
	}
	for _, r := range append(byThemselves(), expected...) {
		raw, there := members[r.claim]
		if !there && r.claim != "client_id" { // which has no other spelling
			raw, _ = Claim(members, r.claim)
		}
		if code := r.code(raw); code != "" {
			return Refusal{code, r.claim}
		}
	}
	return Refusal{}
}

// rule says what is wrong with a claim's value, which is nil if the claim is
// absent.
type rule struct {
	claim string
	code  func(raw json.RawMessage) string
}

// byThemselves are the rules that depend on nothing but the claim.
func byThemselves() []rule {
	return []rule{
		{"iss", required(isText)},
		{"aud", required(func(raw json.RawMessage) bool { _, ok := Texts(raw); return ok })},
		{"azp", party},
		{"exp", required(isTime)},
		{"iat", required(isTime)},
		{"nbf", optional(isTime)},
		{"auth_time", optional(isTime)},
		{"sub", required(func(raw json.RawMessage) bool {
			sub, ok := asText(raw)
			return ok && sub != "" && len(sub) <= 255 && !hasControl(sub)
		})},
		{"events", absent},
		{"scope", absent},
		{"scp", absent},
		{"client_id", absent},
		{"email", optional(isAddress)},
		{"email_verified", optional(isBool)},
		{"phone_number", optional(isAddress)},
		{"phone_number_verified", optional(isBool)},
	}
}

func required(is func(json.RawMessage) bool) func(json.RawMessage) string {
	return func(raw json.RawMessage) string {
		switch {
		case raw == nil:
			return "missing_claim"
		case !is(raw):
			return "invalid_claim"
		}
		return ""
	}
}

func optional(is func(json.RawMessage) bool) func(json.RawMessage) string {
	return func(raw json.RawMessage) string {
		if raw == nil || string(raw) == "null" || is(raw) {
			return ""
		}
		return "invalid_claim"
	}
}

func absent(raw json.RawMessage) string {
	if raw != nil {
		return "invalid_claim"
	}
	return ""
}

func isText(raw json.RawMessage) bool {
	_, ok := asText(raw)
	return ok
}

func isTime(raw json.RawMessage) bool {
	_, ok := integer(raw)
	return ok
}

func isBool(raw json.RawMessage) bool { return string(raw) == "true" || string(raw) == "false" }

func isAddress(raw json.RawMessage) bool {
	text, ok := asText(raw)
	return ok && !hasControl(text)
}

func hasControl(text string) bool {
	return regexp.MustCompile("[\x00-\x1f\x7f\u0080-\u009f]").MatchString(text)
}

// party is the rule of azp by itself: an empty one names no client.
func party(raw json.RawMessage) string {
	if code := optional(isText)(raw); code != "" {
		return code
	}
	if string(raw) == `""` {
		return "wrong_audience"
	}
	return ""
}

func (c Config) issuer(raw json.RawMessage) string {
	if iss, _ := asText(raw); iss != c.Issuer {
		return "wrong_issuer"
	}
	return ""
}

// audience is the rule of aud and of azp, which may be absent.
func (c Config) audience(raw json.RawMessage) string {
	if raw == nil || string(raw) == "null" {
		return ""
	}
	clients, _ := Texts(raw)
	foreign := func(client string) bool { return !slices.Contains(c.Audiences, client) }
	if len(clients) == 0 || slices.ContainsFunc(clients, foreign) {
		return "wrong_audience"
	}
	return ""
}

// compare returns the code for a time up to the limit or for a later one, and
// none if there is no time.
func compare(raw json.RawMessage, limit int64, notAfter, after string) string {
	switch seconds, ok := integer(raw); {
	case !ok:
		return ""
	case seconds > limit:
		return after
	}
	return notAfter
}

// Claim finds a claim in either of its spellings, the wire's first.
func Claim(members map[string]json.RawMessage, name string) (json.RawMessage, bool) {
	if raw, there := members[name]; there {
		return raw, true
	}
	var camel strings.Builder
	for i, word := range strings.Split(name, "_") {
		if i > 0 {
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		camel.WriteString(word)
	}
	raw, there := members[camel.String()]
	return raw, there
}

// Texts decodes a string or an array of strings.
func Texts(raw json.RawMessage) ([]string, bool) {
	if text, ok := asText(raw); ok {
		return []string{text}, true
	}
	var items []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &items) != nil {
		return nil, false
	}
	var texts []string
	for _, item := range items {
		text, ok := asText(item)
		if !ok {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}

// integer decodes a time: whole seconds, from 1 to the end of the year 9999.
func integer(raw json.RawMessage) (int64, bool) {
	if !regexp.MustCompile(`\A[1-9][0-9]*\z`).Match(raw) {
		return 0, false
	}
	n, _ := new(big.Int).SetString(string(raw), 10)
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
	return n.Int64(), n.Cmp(big.NewInt(last)) <= 0
}
