package vectors

import "fmt"

// order adds tokens with two faults. The verdict names the one that comes first
// in the order of the steps, or of the claims.
func (g *generator) order() {
	g.in("order", "Tokens with two faults: the step, or the claim, that comes first decides the code.")
	g.stepOrder()
	g.claimOrder()
}

// stepFault breaks one step of the verification and nothing else.
type stepFault struct {
	name, want string
	header     member
	claim      member
	foreign    bool // somebody else signs
	padded     bool // the text ends in padding
	rs256Only  bool
	checks     *Checks
}

func stepFaults() []stepFault {
	return []stepFault{
		{name: "a padded text", want: malformed, padded: true},
		{name: "the typ of an access token", want: malformed, header: member{"typ", `"at+jwt"`}},
		{name: "another alg", want: unsupported, header: member{"alg", `"none"`}},
		{name: "an unknown kid", want: unknownKey, header: member{"kid", `"nobody"`}, rs256Only: true},
		{name: "the signature of somebody else", want: badSignature, foreign: true},
		{name: "a payload with a member twice", want: malformed, claim: member{`\u0073ub`, `"twice"`}},
		{name: "a claim of another type", want: invalidClaim, claim: member{"phone_number_verified", `1`}},
		{name: "another issuer", want: wrongIssuer, claim: member{"iss", `"https://other.reach5.net"`}},
		{name: "an expiry in the past", want: expired, claim: member{"exp", `1`}},
		{name: "a nonce that is not the wanted one", want: wrongNonce, checks: &Checks{Nonce: new("n-0S6_WzA2Mj")}},
	}
}

// stepOrder adds each pair of steps whose codes differ.
func (g *generator) stepOrder() {
	const rule = "3 order of steps"
	g.both(rule, "no fault", Accept, func(s signer) string { return s.good() })
	faults := stepFaults()
	for i, first := range faults {
		for _, second := range faults[i+1:] {
			if first.want == second.want {
				continue
			}
			for _, s := range []signer{bySecret(secret), g.by("1")} {
				if s.alg == hs256 && (first.rs256Only || second.rs256Only) {
					continue
				}
				v := Vector{Rule: rule, Mutation: first.name + ", and " + second.name, Algorithm: s.alg, Want: first.want}
				v.Token = g.faulty(s, first, second)
				if second.checks != nil {
					v.Checks = second.checks
				}
				g.add(v)
			}
		}
	}
}

// faulty is a token with these faults.
func (g *generator) faulty(s signer, faults ...stepFault) string {
	header, payload, padding := s.header(), claims(), ""
	for _, f := range faults {
		if f.header.name != "" {
			header = header.with(f.header.name, f.header.value)
		}
		if f.claim.name != "" {
			payload = payload.with(f.claim.name, f.claim.value)
		}
		if f.foreign {
			other := bySecret(attackersSecret)
			if s.alg == rs256 {
				other = g.by("attacker")
			}
			s.sign = other.sign
		}
		if f.padded {
			padding = "="
		}
	}
	return s.token(header.String(), payload.String()) + padding
}

// claimFault breaks one rule of one claim.
type claimFault struct{ claim, value, want string }

// claimFaults are in the order in which a verifier finds them: first what a claim
// shows by itself, then what is expected of it.
func claimFaults() []claimFault {
	var faults []claimFault
	for _, name := range []string{
		"iss", "aud", "azp", "exp", "iat", "nbf", "auth_time", "sub", "events", "scope", "scp", "client_id",
		"email", "email_verified", "phone_number", "phone_number_verified",
	} {
		faults = append(faults, claimFault{name, `{}`, invalidClaim})
	}
	return append(faults,
		claimFault{"iss", `"https://other.reach5.net"`, wrongIssuer},
		claimFault{"aud", `["` + further + `"]`, wrongAudience},
		claimFault{"azp", `"` + further + `"`, wrongAudience},
		claimFault{"exp", "1", expired},
		claimFault{"iat", fmt.Sprint(clock + 61), notYetValid},
		claimFault{"nbf", fmt.Sprint(clock + 61), notYetValid},
		claimFault{"auth_time", fmt.Sprint(clock + 61), invalidClaim},
	)
}

// claimOrder adds each pair of neighbours.
func (g *generator) claimOrder() {
	const rule = "3.6 order of claims"
	g.payloadOf(rule, "no fault", Accept, claims().String())
	faults := claimFaults()
	for i, second := range faults[1:] {
		first := faults[i]
		g.payloadOf(rule, first.claim+" with "+first.want+", and "+second.claim+" with "+second.want, first.want,
			claims().with(second.claim, second.value).with(first.claim, first.value).String(),
			func(v *Vector) { v.Claim = first.claim })
	}
	for i, second := range []string{"aud", "exp", "iat", "sub"} {
		first := []string{"iss", "aud", "exp", "iat"}[i]
		g.payloadOf(rule, first+" absent, and "+second+" absent", missingClaim, claims().without(first).without(second).String(),
			func(v *Vector) { v.Claim = first })
	}
}
