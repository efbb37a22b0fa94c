package doctor

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/reachfive-community/reachfive"
)

// eachKey asks a Verifier about each key alone, so that the library decides
// which are usable. If one is not, the likely reason is read from the key.
func (e *examination) eachKey(keys []json.RawMessage) {
	for i, raw := range keys {
		name, problem := describe(raw)
		name = fmt.Sprintf("key %d %s", i+1, name)
		v, err := reachfive.New(e.Domain, clientID, reachfive.WithJWKS([]byte(`{"keys":[`+string(raw)+`]}`)))
		if err != nil {
			e.add(name, Warning, "not usable: "+problem)
			continue
		}
		key := v.Status().Keys[0]
		_ = v.Close()
		e.add(name, OK, fmt.Sprintf("usable: %d bits, thumbprint %s", key.Bits, key.Thumbprint))
	}
}

// describe returns a key's name, and why it may not be usable.
func describe(raw json.RawMessage) (name, problem string) {
	var members map[string]any
	if json.Unmarshal(raw, &members) != nil {
		return "", "not a JSON object"
	}
	if kid, ok := members["kid"].(string); ok {
		name = `"` + kid + `"`
	}
	var problems []string
	for _, rule := range []struct{ member, want string }{{"kty", "RSA"}, {"use", "sig"}, {"alg", "RS256"}} {
		got, there := members[rule.member]
		if there && got != nil && got != rule.want || !there && rule.member == "kty" {
			problems = append(problems, fmt.Sprintf("%s is %v, want %s", rule.member, got, rule.want))
		}
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if members[private] != nil {
			problems = append(problems, "it is a private key: rotate it now")
			break
		}
	}
	if n, ok := members["n"].(string); ok {
		if bits := bitLength(n); bits < 2048 || bits > 8192 {
			problems = append(problems, fmt.Sprintf("%d bits, want 2048 to 8192", bits))
		}
	}
	if e, ok := members["e"].(string); ok && e != "AQAB" {
		problems = append(problems, "e is "+e+", want AQAB (65537) or a larger odd number")
	}
	if operations, there := members["key_ops"]; there {
		if list, ok := operations.([]any); !ok || !slices.Contains(list, any("verify")) {
			problems = append(problems, "key_ops does not contain verify")
		}
	}
	if problems == nil {
		problems = []string{"a member is malformed or duplicate, or the modulus is weak (CVE-2017-15361)"}
	}
	return name, strings.Join(problems, "; ")
}

func bitLength(n string) int {
	bytes, err := base64.RawURLEncoding.DecodeString(n)
	if err != nil {
		return 0
	}
	return new(big.Int).SetBytes(bytes).BitLen()
}
