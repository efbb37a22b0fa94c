// Package explain tells a developer why a Verifier accepts or refuses a token.
//
// It decides nothing: the verdict is the Verifier's own, reached on its one
// road, and the refusal's Code names the step at which the token left it. What
// came and what was expected is then read from the token for display. It shows
// claim values, which the library never does, because the token is the
// developer's own.
package explain

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive"
)

// Outcome is how a step went.
type Outcome string

// The outcomes of a step.
const (
	OK         Outcome = "ok"
	Refused    Outcome = "refused"
	Undecided  Outcome = "undecided"
	NotReached Outcome = "not reached"
)

// Step is one step of the road of a token (the order of the Verifier's own).
type Step struct {
	Name    string  `json:"step"`
	Outcome Outcome `json:"outcome"`
	Want    string  `json:"want"`
	Got     string  `json:"got,omitempty"`
}

// Report is what became of a token.
type Report struct {
	Accepted  bool            `json:"accepted"`
	Decided   bool            `json:"decided"`
	Code      reachfive.Code  `json:"code,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	Steps     []Step          `json:"steps"`
	Header    json.RawMessage `json:"header,omitempty"`
	Claims    json.RawMessage `json:"claims,omitempty"`
	ExpiresIn string          `json:"expires_in,omitempty"`
}

// Expectation is what the Verifier was configured with.
type Expectation struct {
	Issuer    string
	Audience  string
	Algorithm string
	Now       time.Time
}

// The road, in the order of design: form, key, signature, claims.
const (
	stepText = iota
	stepHeader
	stepAlgorithm
	stepKey
	stepSignature
	stepPayload
	stepClaims
	stepIssuer
	stepAudience
	stepTimes
	steps
)

// Token asks v for its verdict on a token and explains it.
func Token(ctx context.Context, v reachfive.TokenVerifier, want Expectation, token string) Report {
	user, err := v.Verify(ctx, token)
	shown := show(token)
	r := Report{
		Accepted: err == nil, Decided: true, Code: reachfive.CodeOf(err),
		Steps: road(want, shown), Header: shown.rawHeader, Claims: shown.rawClaims,
	}
	if err == nil {
		r.ExpiresIn = user.ExpiresAt.Sub(want.Now).Truncate(time.Second).String()
		return r
	}
	r.Reason = err.Error()
	left := leftAt(ctx, v, want, token, err)
	for i := range r.Steps {
		switch {
		case i == left && (r.Code == reachfive.CodeKeysUnavailable || r.Code == ""):
			r.Steps[i].Outcome, r.Decided = Undecided, false
		case i == left:
			r.Steps[i].Outcome = Refused
		case i > left:
			r.Steps[i].Outcome = NotReached
		}
	}
	return r
}

// leftAt is the step at which a refused token left the road.
func leftAt(ctx context.Context, v reachfive.TokenVerifier, want Expectation, token string, err error) int {
	switch reachfive.CodeOf(err) {
	case reachfive.CodeMissingToken:
		return stepText
	case reachfive.CodeMalformedToken:
		return malformedAt(ctx, v, want, token)
	case reachfive.CodeUnsupportedAlgorithm:
		return stepAlgorithm
	case reachfive.CodeInvalidSignature:
		return stepSignature
	case reachfive.CodeMissingClaim, reachfive.CodeInvalidClaim:
		return stepClaims
	case reachfive.CodeWrongIssuer:
		return stepIssuer
	case reachfive.CodeWrongAudience:
		return stepAudience
	case reachfive.CodeExpired, reachfive.CodeNotYetValid:
		return stepTimes
	}
	return stepKey // unknown_key, keys_unavailable, or the context's own end
}

// malformedAt tells which part of a token is malformed, by asking the Verifier
// about tokens that have only that part of it: the rules stay in one place.
func malformedAt(ctx context.Context, v reachfive.TokenVerifier, want Expectation, token string) int {
	malformed := func(parts ...string) bool {
		_, err := v.Verify(ctx, strings.Join(parts, "."))
		return errors.Is(err, reachfive.CodeMalformedToken)
	}
	const empty, signature = "e30", "AA" // {} and a byte
	good := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + want.Algorithm + `"}`))
	parts := strings.Split(token, ".")
	if len(parts) != 3 || malformed(good, parts[0], signature) || malformed(good, parts[1], signature) || malformed(good, empty, parts[2]) {
		return stepText
	}
	if malformed(parts[0], empty, signature) {
		return stepHeader
	}
	if malformed(good, parts[1], parts[2]) { // each part is well, and all together are too long
		return stepText
	}
	return stepPayload
}

// shown is a token taken apart for display, leniently and without any trust.
type shown struct {
	rawHeader, rawClaims json.RawMessage
	header, claims       map[string]any
	size                 int
}

func show(token string) shown {
	s := shown{size: len(token)}
	parts := strings.Split(token, ".")
	part := func(i int) (json.RawMessage, map[string]any) {
		if i >= len(parts) {
			return nil, nil
		}
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		var members map[string]any
		if err != nil || json.Unmarshal(text, &members) != nil {
			return nil, nil
		}
		return text, members
	}
	s.rawHeader, s.header = part(0)
	s.rawClaims, s.claims = part(1)
	return s
}

// road is every step with what it wants and what came.
func road(want Expectation, got shown) []Step {
	all := make([]Step, steps)
	all[stepText] = Step{Name: "text", Want: "three base64url segments, 16 KiB at most", Got: fmt.Sprintf("%d bytes", got.size)}
	all[stepHeader] = Step{Name: "header", Want: "one JSON object; typ absent or JWT; no crit, b64, cty, zip", Got: members(got.header, "typ", "crit", "b64", "cty", "zip")}
	all[stepAlgorithm] = Step{Name: "algorithm", Want: want.Algorithm, Got: member(got.header, "alg")}
	all[stepKey] = Step{Name: "key", Want: "a key of the tenant for this kid", Got: members(got.header, "kid")}
	if want.Algorithm == "HS256" {
		all[stepKey].Want = "the client secret"
	}
	all[stepSignature] = Step{Name: "signature", Want: "made by that key over this header and payload"}
	all[stepPayload] = Step{Name: "payload", Want: "one JSON object, no member twice, depth 16 at most"}
	all[stepClaims] = Step{Name: "claims", Want: "iss, aud, exp, iat, sub, each of its type; no events, scope, scp, client_id", Got: present(got.claims)}
	all[stepIssuer] = Step{Name: "issuer", Want: want.Issuer, Got: member(got.claims, "iss")}
	all[stepAudience] = Step{Name: "audience", Want: want.Audience + " and nobody else", Got: members(got.claims, "aud", "azp")}
	all[stepTimes] = Step{Name: "times", Want: "now, " + want.Now.UTC().Format(time.RFC3339) + ", from iat and nbf to exp", Got: times(got.claims)}
	for i := range all {
		all[i].Outcome = OK
	}
	return all
}

// member is one member as it stands, "absent" if it does not.
func member(of map[string]any, name string) string {
	value, there := of[name]
	if !there {
		return "absent"
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "unreadable"
	}
	return strings.Trim(string(text), `"`)
}

// members are the named members that are there.
func members(of map[string]any, names ...string) string {
	var there []string
	for _, name := range names {
		if _, ok := of[name]; ok {
			there = append(there, name+" "+member(of, name))
		}
	}
	return strings.Join(there, ", ")
}

// present are the names of the claims that matter and are there.
func present(claims map[string]any) string {
	var there []string
	for _, name := range []string{"iss", "aud", "exp", "iat", "sub", "events", "scope", "scp", "client_id"} {
		if _, ok := claims[name]; ok {
			there = append(there, name)
		}
	}
	return strings.Join(there, ", ")
}

// times are the times of a token as people read them.
func times(claims map[string]any) string {
	var there []string
	for _, name := range []string{"iat", "nbf", "exp"} {
		if seconds, ok := claims[name].(float64); ok && seconds > 0 && seconds < 1<<38 {
			there = append(there, name+" "+time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339))
		}
	}
	return strings.Join(there, ", ")
}
