package reachfive

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ByIssuer joins verifiers into one that hands each token to the Verifier it is
// for: the one of its issuer, its algorithm and its client ID. So two tenants
// share an API, HS256 clients stand side by side, and a client moves from HS256
// to RS256 while tokens of both kinds are about.
//
// The three are read from a token that nobody has verified yet, and nothing but
// the choice depends on them: the chosen Verifier then verifies the token as if
// it stood alone, with its own keys and nobody else's. A token that none of
// them is for is CodeUnsupportedAlgorithm if no Verifier has its algorithm,
// else CodeWrongIssuer if none of those has its issuer, else CodeWrongAudience;
// no observer hears of it.
//
// It is an error to give none, a nil one, or two that one token could be for.
// What ByIssuer returns is safe for concurrent use. Status, HealthCheck and
// Close stay with each Verifier.
func ByIssuer(verifiers ...*Verifier) (TokenVerifier, error) {
	if len(verifiers) == 0 {
		return nil, errors.New("reachfive: ByIssuer: no verifier")
	}
	var errs []error
	for i, v := range verifiers {
		if v == nil {
			errs = append(errs, fmt.Errorf("reachfive: ByIssuer: verifier %d is nil", i))
			continue
		}
		for j, other := range verifiers[:i] {
			if other != nil && v.overlaps(other) {
				errs = append(errs, fmt.Errorf("reachfive: ByIssuer: verifiers %d and %d take the same tokens of %s", j, i, v.issuer))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	b := &byIssuer{verifiers: slices.Clone(verifiers), scratches: new(scratches)}
	for _, v := range verifiers {
		if !slices.Contains(b.algorithms, v.algorithm) {
			b.algorithms = append(b.algorithms, v.algorithm)
		}
	}
	return b, nil
}

// overlaps reports whether one token could be for both.
func (v *Verifier) overlaps(other *Verifier) bool {
	return v.issuer == other.issuer && v.algorithm == other.algorithm && v.isFor(other.audiences)
}

// isFor reports whether one of the audiences is ours.
func (v *Verifier) isFor(audiences []string) bool {
	return slices.ContainsFunc(audiences, func(audience string) bool {
		return slices.Contains(v.audiences, audience)
	})
}

type byIssuer struct {
	verifiers  []*Verifier
	algorithms []string // of the verifiers, each once
	scratches  *scratches
}

// Verify has the token's own Verifier decide.
func (b *byIssuer) Verify(ctx context.Context, idToken string, checks ...Check) (*User, error) {
	v, err := b.choose(idToken)
	if err != nil {
		return nil, err
	}
	return v.Verify(ctx, idToken, checks...)
}

// choose reads the token by the rules of form that its Verifier will hold it
// to, so that what both read is the same. It trusts none of it.
func (b *byIssuer) choose(idToken string) (*Verifier, error) {
	token, err := splitToken(idToken)
	if err != nil {
		return nil, err
	}
	if err := token.checkText(); err != nil {
		return nil, err
	}
	s := b.scratches.get()
	defer b.scratches.put(s)
	s.token = append(s.token[:0], idToken...)

	algorithm, err := b.algorithm(s, s.token[:len(token.header)])
	if err != nil {
		return nil, err
	}
	payload := s.decode(s.token[len(token.header)+1 : len(token.signed)])
	if err := s.claims.read(&s.reader, payload); err != nil {
		return nil, err
	}
	issuer := s.claims.text(claimIss)
	audiences, _ := s.claims.strings(claimAud, s.claims.aud, nil)

	refusal := refuseClaim(CodeWrongIssuer, "iss")
	for _, v := range b.verifiers {
		if v.algorithm != algorithm || v.issuer != issuer {
			continue
		}
		// Should aud name clients of two Verifiers, each of them refuses it.
		if v.isFor(audiences) {
			return v, nil
		}
		refusal = refuseClaim(CodeWrongAudience, "aud")
	}
	return nil, refusal
}

// algorithm returns the token's alg, if one of the Verifiers has it.
func (b *byIssuer) algorithm(s *scratch, segment []byte) (string, error) {
	header := s.decode(segment)
	var err error
	for _, algorithm := range b.algorithms {
		if _, err = readHeader(&s.reader, header, algorithm); !errors.Is(err, CodeUnsupportedAlgorithm) {
			return algorithm, err
		}
	}
	return "", err
}
