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

// skew is how far the provider's clock may be ahead of ours, for iat, nbf and
// auth_time.
const skew = time.Minute

// Verifier verifies the ID tokens of one ReachFive tenant for one client, or
// for several of its clients. New makes one; the methods of a zero Verifier panic.
// It is safe for concurrent use. A program makes one and keeps it.
type Verifier struct {
	issuer           string
	audiences        []string
	algorithm        string
	allowAccessToken bool
	leeway           time.Duration
	checks           []Check
	clock            *clock
	observer         Observer

	keys      *tenantKeys // RS256; nil for HS256
	secret    func() any  // HS256: the client secret, in a closure so that nothing prints it; nil for RS256
	signature signatureVerifier
	headers   *headerMemo
	tokens    *tokenCache // nil: off
	buffers   *bufferPool
}

// New returns a Verifier for the tokens that the tenant at domain issues to
// clientID. domain is a host name or host:port, such as "acme.reach5.net".
//
// New uses no network: keys are fetched for the first token, or by Refresh or
// HealthCheck. Its error joins everything that is wrong with the arguments. It
// contains no secret.
func New(domain, clientID string, opts ...Option) (*Verifier, error) {
	c, err := newConfig(domain, clientID, opts)
	if err != nil {
		return nil, err
	}
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
		headers:          new(headerMemo),
		buffers:          new(bufferPool),
	}
	if c.secret != nil {
		secret := any(c.secret())
		v.algorithm, v.secret = algHS256, func() any { return secret }
	} else {
		v.keys = newTenantKeys(c)
	}
	v.signature, err = newSignatureVerifier(v.algorithm)
	return v, err
}

// Verify decides whether idToken is an ID token of this tenant for this client
// that is good now, and returns its user. It runs the Verifier's own checks on the
// user, then the given ones.
//
// A refusal is an *Error with a Code. Three errors mean that nothing was decided
// about the token: CodeKeysUnavailable, because the provider's keys could not be
// obtained; CodeRevocationsUnavailable, of a Check that does not know the
// sign-outs; and ctx's own error, because ctx ended while Verify waited for keys.
//
// https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
func (v *Verifier) Verify(ctx context.Context, idToken string, checks ...Check) (*User, error) {
	if v.observer.VerifyDone == nil {
		user, _, err := v.verify(ctx, idToken, checks)
		return user, err
	}
	start := time.Now()
	user, facts, err := v.verify(ctx, idToken, checks)
	v.observer.VerifyDone(ctx, VerifyEvent{
		Code: eventCode(err), Issuer: v.issuer, Algorithm: v.algorithm, KeysAvailable: facts.keysAvailable,
		KeyKnown: facts.keyKnown, CacheHit: facts.cacheHit, Duration: time.Since(start),
	})
	return user, err
}

// eventFacts are what a VerifyEvent tells about one verification.
type eventFacts struct{ keysAvailable, keyKnown, cacheHit bool }

// verify runs the steps of every verification in their order: each runs only if
// the previous ones succeeded.
func (v *Verifier) verify(ctx context.Context, idToken string, checks []Check) (*User, eventFacts, error) {
	// 1. The gate: only a canonical compact JWS is decoded. A token that the token
	// cache knows, byte for byte, has passed it before.
	token, err := splitToken(idToken)
	if err != nil {
		return nil, eventFacts{}, err
	}
	b := v.buffers.get()
	defer v.buffers.put(b)
	b.token = append(b.token[:0], idToken...)

	var digest tokenDigest
	cacheable := v.tokens.takes(idToken)
	if cacheable {
		digest = sha256.Sum256(b.token)
		if user, by, ok := v.tokens.get(&digest); ok {
			user, ok, err := v.verifyAgain(ctx, user, by, checks)
			if ok || err != nil {
				return user, eventFacts{keysAvailable: ok, keyKnown: ok, cacheHit: ok}, err
			}
			v.tokens.remove(&digest)
		}
	}
	if err := token.checkText(); err != nil {
		return nil, eventFacts{}, err
	}
	// 2. to 4. The JOSE header, the key, the signature.
	var facts eventFacts
	by, err := v.verifySignature(ctx, token, b, &facts)
	if err != nil {
		return nil, facts, err
	}
	// 5. The payload, of which no byte was parsed until now.
	payload := b.decode(b.token[len(token.header)+1 : len(token.signed)])
	if err := b.claims.read(&b.reader, payload); err != nil {
		return nil, facts, err
	}
	// 6. and 7. The claims, each by its type, then by what we expect.
	user, err := newUser(&b.claims, v.allowAccessToken)
	if err != nil {
		return nil, facts, err
	}
	user.clock = v.clock
	if err := v.checkParties(user); err != nil {
		return nil, facts, err
	}
	now := v.clock.now()
	if err := v.checkTimes(user, now); err != nil {
		return nil, facts, err
	}
	if cacheable {
		v.tokens.put(&digest, user.clone(), by)
		v.tokens.sweep(now, v.leeway)
	}
	// 8. What the caller asks beyond that.
	if err := v.runChecks(ctx, user, checks); err != nil {
		return nil, facts, err
	}
	return user, facts, nil
}

// verifyAgain decides about a token that was verified before: it checks again
// what may have changed. ok is false if the key no longer matches; the caller
// then verifies in full.
func (v *Verifier) verifyAgain(ctx context.Context, user *User, by verifiedBy, checks []Check) (_ *User, ok bool, _ error) {
	if v.keys != nil {
		snapshot, err := v.keys.current(ctx)
		if err != nil || !keySetOf(snapshot.Keys).confirms(by) {
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
func (v *Verifier) verifySignature(ctx context.Context, token compact, b *buffers, facts *eventFacts) (verifiedBy, error) {
	header, known, err := v.header(token, b)
	if err != nil {
		return verifiedBy{}, err
	}
	var by verifiedBy
	if v.secret != nil {
		facts.keysAvailable, facts.keyKnown = true, true
		signature := b.decode(b.token[len(token.signed)+1:])
		if !v.signature.hmac(b.token[:len(token.signed)], signature, v.secret()) {
			return verifiedBy{}, refuse(CodeInvalidSignature)
		}
	} else {
		by.kid = header.kid
		if by.key, err = v.findKey(ctx, token, header.kid, b, facts); err != nil {
			return verifiedBy{}, err
		}
	}
	if !known {
		v.headers.put(token.header, header)
	}
	return by, nil
}

// findKey returns the key of the tenant that the token is signed with. If none of
// the keys at hand is, and the token could be signed with a key that the provider
// has added since, it asks for newer keys and tries once more.
func (v *Verifier) findKey(ctx context.Context, token compact, kid string, b *buffers, facts *eventFacts) (*publicKey, error) {
	since := v.keys.generation()
	snapshot, err := v.keys.current(ctx)
	if err != nil {
		return nil, err
	}
	facts.keysAvailable = true
	signed := b.token[:len(token.signed)]
	signature := b.decode(b.token[len(token.signed)+1:])
	for {
		set := keySetOf(snapshot.Keys)
		facts.keyKnown = len(set.candidates(kid)) > 0
		if key := set.match(v.signature, kid, signed, signature); key != nil {
			return key, nil
		}
		if set.hasKID(kid) {
			return nil, refuse(CodeInvalidSignature)
		}
		newer, err := v.keys.newer(ctx, snapshot, kid, since)
		switch {
		case err != nil:
			return nil, err
		case newer == nil && facts.keyKnown:
			return nil, refuse(CodeInvalidSignature)
		case newer == nil:
			return nil, refuse(CodeUnknownKey)
		}
		snapshot = newer
	}
}

// header returns the token's JOSE header, and whether it was known from an
// earlier token with a good signature. It is judged before the keys are asked
// for, so that a token with a bad header neither waits nor causes a fetch.
func (v *Verifier) header(token compact, b *buffers) (h joseHeader, known bool, err error) {
	if h, known = v.headers.get(token.header); known {
		return h, true, nil
	}
	h, err = readHeader(&b.reader, b.decode(b.token[:len(token.header)]), v.algorithm)
	return h, false, err
}

// checkParties checks who issued the token, and for whom (OpenID Connect Core
// section 3.1.3.7 items 2 to 5). Every audience must be ours: whoever else holds
// a token as its audience could use it here.
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

// Format prints String for every verb, so that none prints the configuration.
func (v Verifier) Format(f fmt.State, verb rune) { formatRedacted(f, verb, v.String()) }

// LogValue returns String for slog.
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
