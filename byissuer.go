package reachfive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// IssuerVerifier passes each token to the Verifier for its issuer, algorithm
// and client ID. ByIssuer makes one; the zero IssuerVerifier panics. It is safe
// for concurrent use.
type IssuerVerifier struct {
	verifiers  []*Verifier
	algorithms []string // of the verifiers, each once
	buffers    *bufferPool
}

// ByIssuer returns a verifier for the tokens of all the verifiers. With it, one
// API serves several tenants or several HS256 clients, and a client moves from
// HS256 to RS256 while tokens of both kinds are in use.
//
// The issuer, the algorithm and the audience are read from a token that is not
// verified yet, and are used only to choose the Verifier. That Verifier then
// verifies the token in full, with its own keys only.
//
// A token that fits no Verifier is refused with CodeUnsupportedAlgorithm if no
// Verifier has its algorithm, else with CodeWrongIssuer if none of those has its
// issuer, else with CodeWrongAudience. Such a refusal, and that of a malformed
// token, is reported to the Observer of the first Verifier, with an empty Issuer
// and Algorithm.
//
// ByIssuer returns an error for no Verifier, a nil one, or two that could accept
// the same token.
func ByIssuer(verifiers ...*Verifier) (*IssuerVerifier, error) {
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
				errs = append(errs, fmt.Errorf("reachfive: ByIssuer: verifiers %d and %d accept the same tokens of %s", j, i, v.issuer))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	i := &IssuerVerifier{verifiers: slices.Clone(verifiers), buffers: new(bufferPool)}
	for _, v := range verifiers {
		if !slices.Contains(i.algorithms, v.algorithm) {
			i.algorithms = append(i.algorithms, v.algorithm)
		}
	}
	return i, nil
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

// Verify decides as the token's own Verifier does: see Verifier.Verify.
func (i *IssuerVerifier) Verify(ctx context.Context, idToken string, checks ...Check) (*User, error) {
	done := i.verifiers[0].observer.VerifyDone
	var start time.Time
	if done != nil {
		start = time.Now()
	}
	v, err := i.choose(idToken)
	if err == nil {
		return v.Verify(ctx, idToken, checks...)
	}
	if done != nil {
		done(ctx, VerifyEvent{Code: CodeOf(err), Duration: time.Since(start)})
	}
	return nil, err
}

// Refresh calls Refresh of every Verifier, all at once, and returns when the
// last one is done. Its error joins theirs, each with the issuer before it.
func (i *IssuerVerifier) Refresh(ctx context.Context) error {
	return i.all(func(v *Verifier) error { return v.Refresh(ctx) })
}

// HealthCheck calls HealthCheck of every Verifier, all at once, and returns nil
// if each of them can decide about a token. Its error joins theirs, each with
// the issuer before it. A service that must stay ready while the keys of one
// tenant are unavailable calls HealthCheck of the Verifiers that it needs.
// HealthCheck is for readiness, never for liveness.
func (i *IssuerVerifier) HealthCheck(ctx context.Context) error {
	return i.all(func(v *Verifier) error { return v.HealthCheck(ctx) })
}

// Statuses returns the Status of every Verifier, in the order in which ByIssuer
// got them. It uses no network.
func (i *IssuerVerifier) Statuses() []Status {
	statuses := make([]Status, 0, len(i.verifiers))
	for _, v := range i.verifiers {
		statuses = append(statuses, v.Status())
	}
	return statuses
}

// Close closes every Verifier. See Verifier.Close.
func (i *IssuerVerifier) Close() error {
	return i.all((*Verifier).Close)
}

// all calls f with every Verifier at once, so that the slow ones do not add up.
func (i *IssuerVerifier) all(f func(*Verifier) error) error {
	errs := make([]error, len(i.verifiers))
	var calls sync.WaitGroup
	for n, v := range i.verifiers {
		calls.Go(func() {
			if err := f(v); err != nil {
				errs[n] = fmt.Errorf("%s: %w", v.issuer, err)
			}
		})
	}
	calls.Wait()
	return errors.Join(errs...)
}

// choose reads the token by the same rules of form as its Verifier does later, so
// that both read the same. What it reads is not verified and only chooses.
func (i *IssuerVerifier) choose(idToken string) (*Verifier, error) {
	token, err := splitToken(idToken)
	if err != nil {
		return nil, err
	}
	if err := token.checkText(); err != nil {
		return nil, err
	}
	s := i.buffers.get()
	defer i.buffers.put(s)
	s.token = append(s.token[:0], idToken...)

	algorithm, err := i.algorithm(s, s.token[:len(token.header)])
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
	for _, v := range i.verifiers {
		if v.algorithm != algorithm || v.issuer != issuer {
			continue
		}
		// If aud names clients of two Verifiers, each of them refuses it.
		if v.isFor(audiences) {
			return v, nil
		}
		refusal = refuseClaim(CodeWrongAudience, "aud")
	}
	return nil, refusal
}

// algorithm returns the token's alg, if one of the Verifiers has it.
func (i *IssuerVerifier) algorithm(s *buffers, segment []byte) (string, error) {
	header := s.decode(segment)
	var err error
	for _, algorithm := range i.algorithms {
		if _, err = readHeader(&s.reader, header, algorithm); !errors.Is(err, CodeUnsupportedAlgorithm) {
			return algorithm, err
		}
	}
	return "", err
}
