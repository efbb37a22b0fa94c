// Package explain tells a developer why a Verifier accepts or refuses a token.
//
// The verdict is the Verifier's: its Code names the step that refused the token.
// The actual values are then read from the token without verifying it, for
// display only. Unlike the library it shows claim values, because the token is
// the developer's own.
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

// Outcome is the result of a step.
type Outcome string

// The outcomes of a step.
const (
	OK         Outcome = "ok"
	Refused    Outcome = "refused"
	Undecided  Outcome = "undecided"
	NotReached Outcome = "not reached"
)

// Step is one step of a verification, in the Verifier's order.
type Step struct {
	Name     string  `json:"step"`
	Outcome  Outcome `json:"outcome"`
	Expected string  `json:"expected"`
	Actual   string  `json:"actual,omitempty"`
}

// Report is the result of a verification.
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

// Expectation is the Verifier's configuration.
type Expectation struct {
	Issuer    string
	Audiences []string // the client IDs whose tokens are accepted
	Algorithm string
	Now       time.Time
}

// The steps in the Verifier's order: form, key, signature, claims.
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
		Steps: allSteps(want, shown), Header: shown.rawHeader, Claims: shown.rawClaims,
	}
	if err == nil {
		r.ExpiresIn = user.ExpiresAt.Sub(want.Now).Truncate(time.Second).String()
		return r
	}
	r.Reason = strings.TrimPrefix(err.Error(), "reachfive: ")
	failed := failedAt(ctx, v, want, token, err)
	for i := range r.Steps {
		switch {
		case i == failed && (r.Code == reachfive.CodeKeysUnavailable || r.Code == ""):
			r.Steps[i].Outcome, r.Decided = Undecided, false
		case i == failed:
			r.Steps[i].Outcome = Refused
		case i > failed:
			r.Steps[i].Outcome = NotReached
		}
	}
	return r
}

// failedAt is the step that refused a token.
func failedAt(ctx context.Context, v reachfive.TokenVerifier, want Expectation, token string, err error) int {
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
	return stepKey // unknown_key, keys_unavailable, or the context has ended
}

// malformedAt tells which part of a token is malformed. It asks the Verifier about
// tokens that have only that part of it, so that the rules stay in one place.
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
	if malformed(good, parts[1], parts[2]) { // each part is well formed: together they are too long
		return stepText
	}
	return stepPayload
}

// shown is a token decoded for display: leniently, and without verifying it.
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

// allSteps is every step with its expected and its actual value.
func allSteps(want Expectation, got shown) []Step {
	all := make([]Step, steps)
	all[stepText] = Step{Name: "text", Expected: "three base64url segments, 16 KiB at most", Actual: fmt.Sprintf("%d bytes", got.size)}
	all[stepHeader] = Step{Name: "header", Expected: "one JSON object; typ absent or JWT; no crit, b64, cty or zip", Actual: members(got.header, "typ", "crit", "b64", "cty", "zip")}
	all[stepAlgorithm] = Step{Name: "algorithm", Expected: want.Algorithm, Actual: member(got.header, "alg")}
	all[stepKey] = Step{Name: "key", Expected: "a key of the tenant with this kid", Actual: members(got.header, "kid")}
	if want.Algorithm == "HS256" {
		all[stepKey].Expected = "the client secret"
	}
	all[stepSignature] = Step{Name: "signature", Expected: "made with that key over this header and payload"}
	all[stepPayload] = Step{Name: "payload", Expected: "one JSON object, no duplicate member, depth 16 at most"}
	all[stepClaims] = Step{Name: "claims", Expected: "iss, aud, exp, iat and sub, each of its type; no events, scope, scp or client_id", Actual: present(got.claims)}
	all[stepIssuer] = Step{Name: "issuer", Expected: want.Issuer, Actual: member(got.claims, "iss")}
	all[stepAudience] = Step{Name: "audience", Expected: strings.Join(want.Audiences, " or ") + ", and no other audience", Actual: members(got.claims, "aud", "azp")}
	all[stepTimes] = Step{Name: "times", Expected: "iat and nbf not after " + want.Now.UTC().Format(time.RFC3339) + ", exp after it", Actual: times(got.claims)}
	for i := range all {
		all[i].Outcome = OK
	}
	return all
}

// member is the value of a member, or "absent".
func member(of map[string]any, name string) string {
	value, ok := of[name]
	if !ok {
		return "absent"
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "unreadable"
	}
	return strings.Trim(string(text), `"`)
}

// members are those of the named members that are present.
func members(of map[string]any, names ...string) string {
	var found []string
	for _, name := range names {
		if _, ok := of[name]; ok {
			found = append(found, name+" "+member(of, name))
		}
	}
	return strings.Join(found, ", ")
}

// present are the names of the checked claims that are present.
func present(claims map[string]any) string {
	var found []string
	for _, name := range []string{"iss", "aud", "exp", "iat", "sub", "events", "scope", "scp", "client_id"} {
		if _, ok := claims[name]; ok {
			found = append(found, name)
		}
	}
	return strings.Join(found, ", ")
}

// times are the times of a token in RFC 3339.
func times(claims map[string]any) string {
	var found []string
	for _, name := range []string{"iat", "nbf", "exp"} {
		if seconds, ok := claims[name].(float64); ok && seconds > 0 && seconds < 1<<38 {
			found = append(found, name+" "+time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339))
		}
	}
	return strings.Join(found, ", ")
}

// KID reads the kid of a token without verifying the token; "" if it has none.
func KID(token string) string {
	kid, _ := show(token).header["kid"].(string)
	return kid
}
