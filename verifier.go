package reachfive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// skew is how far ahead of our clock the provider's may be: for iat, nbf and
// auth_time.
const skew = time.Minute

// Verifier verifies the ID tokens of one ReachFive tenant for one client, or
// for several of its clients. New makes one; the zero Verifier verifies nothing
// and panics. It is safe for concurrent use, and meant to be made once and kept.
type Verifier struct {
	issuer           string
	audiences        []string
	algorithm        string
	allowAccessToken bool
	leeway           time.Duration
	checks           []Check
	clock            *clock
	observer         Observer

	keys      *keyCache   // RS256: the tenant's keys; nil for HS256 and fixed keys
	fixed     *keySet     // RS256: the keys of WithJWKS
	secret    func() any  // HS256: the client secret, where no print reaches it; nil for RS256
	headers   *headerMemo // HS256: known headers; for RS256 each key set has its own
	signature signatureVerifier
	tokens    *tokenCache // nil: off
	scratches *scratches
}

// New returns a Verifier for the tokens that the tenant at domain issues to
// clientID. domain is a host name, or host:port, as "acme.reach5.net".
//
// It uses no network: the first token does, or Refresh, or HealthCheck. Its
// error joins everything that is wrong with the arguments, and names no secret.
func New(domain, clientID string, opts ...Option) (*Verifier, error) {
	c, err := newConfig(domain, clientID, opts)
	if err != nil {
		return nil, err
	}
	c.observer = c.observer.forIssuer(c.issuer)
	v := &Verifier{
		issuer:           c.issuer,
		audiences:        slices.Clone(c.audiences),
		algorithm:        algRS256,
		allowAccessToken: c.accessToken,
		leeway:           c.leeway,
		checks:           slices.Clone(c.checks),
		clock:            &clock{now: c.now},
		observer:         c.observer,
		tokens:           newTokenCache(c.tokenCache),
		scratches:        new(scratches),
	}
	switch {
	case c.secret != nil:
		secret := any(c.secret())
		v.algorithm, v.secret, v.headers = algHS256, func() any { return secret }, new(headerMemo)
	case c.fixed != nil:
		v.fixed = c.fixed
	default:
		v.keys = newKeyCache(c)
	}
	v.signature, err = newSignatureVerifier(v.algorithm)
	return v, err
}

// Verify decides whether idToken is an ID token of this tenant for this client
// that is good now, and returns its user. The Verifier's own checks run on the
// user, then the given ones.
//
// A refusal is an *Error with a Code. Two outcomes are no refusal: an error of
// CodeKeysUnavailable, when the provider's keys cannot be had and so nothing
// could be decided, and ctx's own error, when ctx ended while waiting for them.
//
// https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
func (v *Verifier) Verify(ctx context.Context, idToken string, checks ...Check) (*User, error) {
	if v.observer.VerifyDone == nil {
		user, _, err := v.verify(ctx, idToken, checks)
		return user, err
	}
	start := time.Now()
	user, seen, err := v.verify(ctx, idToken, checks)
	v.observer.VerifyDone(ctx, VerifyEvent{
		Code: eventCode(err), Issuer: v.issuer, Algorithm: v.algorithm, KeysAvailable: seen.keysAvailable,
		KeyKnown: seen.keyKnown, CacheHit: seen.cacheHit, Duration: time.Since(start),
	})
	return user, err
}

// seen is what an observer is told about the road a token took.
type seen struct{ keysAvailable, keyKnown, cacheHit bool }

// verify is the one road that a token takes.
func (v *Verifier) verify(ctx context.Context, idToken string, checks []Check) (*User, seen, error) {
	var on seen
	// 1. The gate: no decoder sees what is no canonical compact JWS. A token that
	// the cache knows, to the byte, has passed it before.
	token, err := splitToken(idToken)
	if err != nil {
		return nil, on, err
	}
	s := v.scratches.get()
	defer v.scratches.put(s)
	s.token = append(s.token[:0], idToken...)

	var digest tokenDigest
	cacheable := v.tokens.takes(idToken)
	if cacheable {
		digest = sha256.Sum256(s.token)
		if user, by, ok := v.tokens.get(&digest); ok {
			user, ok, err := v.verifyAgain(ctx, user, by, checks)
			if ok || err != nil {
				return user, seen{keysAvailable: ok, keyKnown: ok, cacheHit: ok}, err
			}
			v.tokens.remove(&digest)
		}
	}
	if err := token.checkText(); err != nil {
		return nil, on, err
	}
	// 2. to 4. The JOSE header, the key, the signature.
	by, err := v.verifySignature(ctx, token, s, &on)
	if err != nil {
		return nil, on, err
	}
	// 5. The payload, of which no byte was parsed until now.
	payload := s.decode(s.token[len(token.header)+1 : len(token.signed)])
	if err := s.claims.read(&s.reader, payload); err != nil {
		return nil, on, err
	}
	// 6. and 7. The claims, each by its type, then by what we expect.
	user, err := newUser(&s.claims, v.allowAccessToken)
	if err != nil {
		return nil, on, err
	}
	user.clock = v.clock
	if err := v.checkParties(user); err != nil {
		return nil, on, err
	}
	now := v.clock.now()
	if err := v.checkTimes(user, now); err != nil {
		return nil, on, err
	}
	if cacheable {
		v.tokens.put(&digest, user.clone(), by)
		v.tokens.sweep(now, v.leeway)
	}
	// 8. What the caller asks beyond that.
	if err := v.runChecks(ctx, user, checks); err != nil {
		return nil, on, err
	}
	return user, on, nil
}

// verifyAgain decides about a token that was verified before: what may have
// changed since is looked at again. It says no when the key is gone, or is not
// the one for this token any more, and the token goes the whole road.
func (v *Verifier) verifyAgain(ctx context.Context, user *User, by verifiedBy, checks []Check) (_ *User, ok bool, _ error) {
	if v.secret == nil {
		set, err := v.currentKeys(ctx)
		if err != nil || !set.finds(by) {
			return nil, false, err
		}
	}
	now := v.clock.now() // only now: the keys may have taken a while
	v.tokens.sweep(now, v.leeway)
	if err := v.checkTimes(user, now); err != nil {
		return nil, true, err
	}
	user = user.clone()
	if err := v.runChecks(ctx, user, checks); err != nil {
		return nil, true, err
	}
	return user, true, nil
}

// verifySignature reads the header, finds the key, and verifies the signature.
func (v *Verifier) verifySignature(ctx context.Context, token compact, s *scratch, on *seen) (verifiedBy, error) {
	if v.secret != nil {
		_, known, err := v.header(token, s, v.headers)
		if err != nil {
			return verifiedBy{}, err
		}
		on.keysAvailable, on.keyKnown = true, true
		signature := s.decode(s.token[len(token.signed)+1:])
		if !v.signature.hmac(s.token[:len(token.signed)], signature, v.secret()) {
			return verifiedBy{}, refuse(CodeInvalidSignature)
		}
		if !known {
			v.headers.put(token.header, joseHeader{})
		}
		return verifiedBy{}, nil
	}
	return v.verifyRSA(ctx, token, s, on)
}

// verifyRSA tries the candidates of the tenant's key set. If they do not do,
// and the token could be of a key that the provider has added since, it asks
// for newer keys and tries once more.
func (v *Verifier) verifyRSA(ctx context.Context, token compact, s *scratch, on *seen) (verifiedBy, error) {
	// The header is judged before the keys are asked for, so that a token that
	// cannot be ours neither waits nor causes a fetch.
	var memo *headerMemo
	if known := v.lastKeys(); known != nil {
		memo = &known.headers
	}
	header, known, err := v.header(token, s, memo)
	if err != nil {
		return verifiedBy{}, err
	}
	var arrival uint64
	if v.keys != nil {
		arrival = v.keys.arrival()
	}
	set, err := v.currentKeys(ctx)
	if err != nil {
		return verifiedBy{}, err
	}
	on.keysAvailable = true
	signature := s.decode(s.token[len(token.signed)+1:])
	for {
		candidates := set.candidates(header.kid)
		on.keyKnown = len(candidates) > 0
		if key := v.match(set, candidates, header.kid, s.token[:len(token.signed)], signature); key != nil {
			if !known || memo != &set.headers {
				set.headers.put(token.header, header)
			}
			return verifiedBy{key, header.kid}, nil
		}
		if set.bears(header.kid) {
			return verifiedBy{}, refuse(CodeInvalidSignature)
		}
		newer, err := v.newerKeys(ctx, set, arrival)
		if err != nil {
			return verifiedBy{}, err
		}
		if newer == nil {
			if len(candidates) == 0 {
				return verifiedBy{}, refuse(CodeUnknownKey)
			}
			return verifiedBy{}, refuse(CodeInvalidSignature)
		}
		set = newer
	}
}

// lastKeys returns the keys at hand without judging their age, nil for none.
func (v *Verifier) lastKeys() *keySet {
	if v.fixed != nil {
		return v.fixed
	}
	return v.keys.set.Load()
}

func (v *Verifier) currentKeys(ctx context.Context) (*keySet, error) {
	if v.fixed != nil {
		return v.fixed, nil
	}
	return v.keys.current(ctx)
}

func (v *Verifier) newerKeys(ctx context.Context, set *keySet, arrival uint64) (*keySet, error) {
	if v.fixed != nil {
		return nil, nil
	}
	return v.keys.newer(ctx, set, arrival)
}

// match returns the candidate that made the signature, nil if none did.
func (v *Verifier) match(set *keySet, candidates []*publicKey, kid string, signed, signature []byte) *publicKey {
	var first *publicKey
	if kid == "" {
		// Of all keys, the one that last verified such a token is the likeliest.
		first = set.lastWithoutKID.Load()
		if first != nil && v.signature.rsa(signed, signature, first.rsa) {
			return first
		}
	}
	for _, key := range candidates {
		if key != first && v.signature.rsa(signed, signature, key.rsa) {
			if kid == "" {
				set.lastWithoutKID.Store(key)
			}
			return key
		}
	}
	return nil
}

// header returns the token's JOSE header, read or remembered from an earlier
// token with a good signature, and which of the two it was.
func (v *Verifier) header(token compact, s *scratch, memo *headerMemo) (h joseHeader, known bool, err error) {
	if memo != nil {
		if h, known = memo.get(token.header); known {
			return h, true, nil
		}
	}
	text := s.decode(s.token[:len(token.header)])
	h, err = readHeader(&s.reader, text, v.algorithm)
	return h, false, err
}

// checkParties checks who issued the token, and for whom (OpenID Connect Core
// section 3.1.3.7 items 2 to 5). It takes no audience that is not ours: a token
// that others may use too is a token that others may use here.
func (v *Verifier) checkParties(u *User) error {
	if u.Issuer != v.issuer {
		return &Error{Code: CodeWrongIssuer, Claim: "iss", detail: "want " + v.issuer}
	}
	if len(u.Audience) == 0 {
		return v.wrongAudience("aud")
	}
	for _, audience := range u.Audience {
		if !slices.Contains(v.audiences, audience) {
			return v.wrongAudience("aud")
		}
	}
	if u.AuthorizedParty != "" && !slices.Contains(v.audiences, u.AuthorizedParty) {
		return v.wrongAudience("azp")
	}
	return nil
}

func (v *Verifier) wrongAudience(claim string) error {
	return &Error{Code: CodeWrongAudience, Claim: claim, detail: fmt.Sprintf("want %q", v.audiences)}
}

// checkTimes checks when the token is good (OpenID Connect Core section 3.1.3.7
// items 9 and 10, RFC 7519 section 4.1.4 to 4.1.6).
func (v *Verifier) checkTimes(u *User, now time.Time) error {
	if !now.Before(u.ExpiresAt.Add(v.leeway)) {
		return refuseClaim(CodeExpired, "exp")
	}
	latest := now.Add(skew)
	if u.IssuedAt.After(latest) {
		return refuseClaim(CodeNotYetValid, "iat")
	}
	if u.notBefore.After(latest) {
		return refuseClaim(CodeNotYetValid, "nbf")
	}
	if u.AuthTime.After(latest) {
		return refuseClaim(CodeInvalidClaim, "auth_time")
	}
	return nil
}

// runChecks runs the Verifier's own checks, then the call's.
func (v *Verifier) runChecks(ctx context.Context, u *User, checks []Check) error {
	if err := runChecks(ctx, u, v.checks); err != nil {
		return err
	}
	return runChecks(ctx, u, checks)
}

// String names the Verifier by its issuer.
func (v Verifier) String() string { return "reachfive.Verifier(" + v.issuer + ")" }

// Format prints the same for every verb.
func (v Verifier) Format(f fmt.State, verb rune) { formatRedacted(f, verb, v.String()) }

// LogValue gives slog the same.
func (v Verifier) LogValue() slog.Value { return slog.StringValue(v.String()) }

// eventCode is the Code by which an observer counts an outcome.
func eventCode(err error) Code {
	code := CodeOf(err)
	switch {
	case code != "" || err == nil:
		return code
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline_exceeded"
	}
	return "canceled"
}
