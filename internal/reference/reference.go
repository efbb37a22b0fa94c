// Package reference decides about ID tokens a second time, for tests alone: by
// the standard library, in the plainest way and with no thought of speed, so
// that the verifier and it have no line in common and are compared by fuzzing.
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

// Verify returns the codes of which a refusal may bear any, and none for a
// token that is to be accepted.
func (c Config) Verify(token string) []string {
	if token == "" {
		return []string{"missing_token"}
	}
	segments, ok := Gate(token)
	if !ok {
		return []string{"malformed_token"}
	}
	if _, code := Header(segments[0], c.Algorithm); code != "" {
		return []string{code}
	}
	if !c.signed(token[:strings.LastIndexByte(token, '.')], segments[2]) {
		return []string{"invalid_signature"}
	}
	return c.Claims(segments[1])
}

func (c Config) signed(text string, signature []byte) bool {
	if c.Algorithm == "HS256" {
		mac := hmac.New(sha256.New, c.Secret)
		mac.Write([]byte(text))
		return hmac.Equal(mac.Sum(nil), signature)
	}
	sum := sha256.Sum256([]byte(text))
	return rsa.VerifyPKCS1v15(c.Key, crypto.SHA256, sum[:], signature) == nil
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

// Claims returns the codes that a payload may be refused with.
func (c Config) Claims(text []byte) []string {
	members, ok := Object(text)
	if !ok {
		return []string{"malformed_token"}
	}
	codes := c.parties(members)
	now := c.Now.Unix()
	for _, name := range []string{"exp", "iat", "nbf", "auth_time"} {
		raw, there := Claim(members, name)
		required := name == "exp" || name == "iat"
		switch seconds, ok := integer(raw); {
		case !there && required:
			codes = append(codes, "missing_claim")
		case !there, string(raw) == "null" && !required:
		case !ok:
			codes = append(codes, "invalid_claim")
		case name == "exp" && seconds <= now:
			codes = append(codes, "expired")
		case name == "auth_time" && seconds > now+60:
			codes = append(codes, "invalid_claim")
		case name != "exp" && seconds > now+60:
			codes = append(codes, "not_yet_valid")
		}
	}
	raw, there := members["sub"]
	control := regexp.MustCompile("[\x00-\x1f\x7f\u0080-\u009f]")
	if sub, ok := asText(raw); !there {
		codes = append(codes, "missing_claim")
	} else if !ok || sub == "" || len(sub) > 255 || control.MatchString(sub) {
		codes = append(codes, "invalid_claim")
	}
	for _, name := range []string{"events", "scope", "scp", "client_id"} {
		if _, there := members[name]; there {
			codes = append(codes, "invalid_claim")
		}
	}
	for _, name := range []string{"email", "phone_number", "email_verified", "phone_number_verified"} {
		raw, there := Claim(members, name)
		_, isText := asText(raw)
		isBool := string(raw) == "true" || string(raw) == "false"
		if there && string(raw) != "null" && isBool != strings.HasSuffix(name, "_verified") || there && string(raw) != "null" && !isBool && !isText {
			codes = append(codes, "invalid_claim")
		}
	}
	return codes
}

func (c Config) parties(members map[string]json.RawMessage) (codes []string) {
	raw, there := members["iss"]
	switch iss, ok := asText(raw); {
	case !there:
		codes = append(codes, "missing_claim")
	case !ok:
		codes = append(codes, "invalid_claim")
	case iss != c.Issuer:
		codes = append(codes, "wrong_issuer")
	}
	raw, there = members["aud"]
	audiences, ok := Texts(raw)
	switch foreign := func(client string) bool { return !slices.Contains(c.Audiences, client) }; {
	case !there:
		codes = append(codes, "missing_claim")
	case !ok:
		codes = append(codes, "invalid_claim")
	case len(audiences) == 0 || slices.ContainsFunc(audiences, foreign):
		codes = append(codes, "wrong_audience")
	}
	if raw, there := members["azp"]; there && string(raw) != "null" {
		if azp, ok := asText(raw); !ok {
			codes = append(codes, "invalid_claim")
		} else if !slices.Contains(c.Audiences, azp) {
			codes = append(codes, "wrong_audience")
		}
	}
	return codes
}

// Claim finds a claim in either of its spellings.
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

// Texts decodes a string, or an array of strings.
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
