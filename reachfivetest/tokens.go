package reachfivetest

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"
)

// The two algorithms of a ReachFive client, as RFC 7518 section 3.1 names
// them.
const (
	rs256 = "RS256"
	hs256 = "HS256"
)

// tokenLifetime is how long ReachFive's ID tokens live.
const tokenLifetime = 24 * time.Hour

// token is a token before it is signed; the mods change it.
type token struct {
	tenant     *Tenant
	now        time.Time
	header     map[string]any
	claims     map[string]any
	rawHeader  *string // in place of header
	rawPayload *string // in place of claims
	kid        string  // signed by the tenant's key of this kid; "" for the current one
	foreign    bool    // signed by a key that the tenant does not have
	algorithm  string  // how it is signed, whatever the header says
	secret     string  // for HS256
	tampered   bool    // changed after it was signed
	err        error   // a mod's mistake
}

// Token returns an ID token as the tenant issues it to its client: for the user who
// was added first, or for a sample user, signed in with a password just now, and
// valid for 24 hours. mods change it before it is signed, in their order. A nil mod
// is skipped.
func (t *Tenant) Token(mods ...Mod) string {
	return t.sign(t.idClaims(t.ClientID, t.firstUser(), everyScope, t.settings.now()), mods)
}

// Sign returns a token with exactly these claims, as changed by mods: not even iss,
// aud and exp are added. It does not change claims.
func (t *Tenant) Sign(claims map[string]any, mods ...Mod) string {
	return t.sign(claims, mods)
}

func (t *Tenant) sign(claims map[string]any, mods []Mod) string {
	text, err := t.compact(claims, mods)
	if err != nil {
		t.mistake(fmt.Errorf("sign a token: %w", err))
		return ""
	}
	return text
}

// compact returns the JWS compact serialization of RFC 7515 section 7.1.
func (t *Tenant) compact(claims map[string]any, mods []Mod) (string, error) {
	tok := &token{
		tenant:    t,
		now:       t.settings.now(),
		header:    map[string]any{"typ": "JWT"},
		claims:    maps.Clone(claims),
		algorithm: t.settings.algorithm,
		secret:    t.ClientSecret,
	}
	if tok.claims == nil {
		tok.claims = map[string]any{}
	}
	tok.header["alg"] = tok.algorithm
	if tok.algorithm == rs256 {
		tok.signBy("")
	}
	for _, mod := range mods {
		if mod != nil {
			mod(tok)
		}
	}
	if tok.err != nil {
		return "", tok.err
	}
	header, err := encode(tok.header, tok.rawHeader)
	if err != nil {
		return "", fmt.Errorf("header: %w", err)
	}
	payload, err := encode(tok.claims, tok.rawPayload)
	if err != nil {
		return "", fmt.Errorf("claims: %w", err)
	}
	signature, err := tok.signature(header + "." + payload)
	if err != nil {
		return "", err
	}
	if tok.tampered {
		tok.claims["sub"] = "somebody-else"
		if payload, err = encode(tok.claims, nil); err != nil {
			return "", fmt.Errorf("claims: %w", err)
		}
	}
	return header + "." + payload + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// encode returns one segment. The errors of encoding/json name a type, never a
// value.
func encode(members map[string]any, raw *string) (string, error) {
	if raw != nil {
		return base64.RawURLEncoding.EncodeToString([]byte(*raw)), nil
	}
	text, err := json.Marshal(members)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(text), nil
}

// signBy makes the tenant's key of that kid sign the token with RS256, the current
// key if kid is "", and sets the header.
func (tok *token) signBy(kid string) {
	tok.algorithm, tok.kid = rs256, kid
	tok.header["alg"] = rs256
	key, err := tok.tenant.signingKey(kid)
	if err != nil {
		tok.err = err
		return
	}
	if !tok.tenant.settings.withoutKIDs {
		tok.header["kid"] = key.kid
	}
}

// signature signs input as RFC 7518 sections 3.2 and 3.3 define.
func (tok *token) signature(input string) ([]byte, error) {
	digest := sha256.Sum256([]byte(input))
	switch tok.algorithm {
	case rs256:
		private, err := tok.privateKey()
		if err != nil {
			return nil, err
		}
		return rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
	case hs256:
		secret := tok.secret
		if tok.foreign {
			secret = rand.Text() + rand.Text()
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(input))
		return mac.Sum(nil), nil
	default:
		return nil, nil // Unsigned
	}
}

func (tok *token) privateKey() (*rsa.PrivateKey, error) {
	if tok.foreign {
		return tok.tenant.foreignKey()
	}
	key, err := tok.tenant.signingKey(tok.kid)
	if err != nil {
		return nil, err
	}
	return key.private, nil
}

// signingKey returns the tenant's key of that kid, or the current key if kid is "".
func (t *Tenant) signingKey(kid string) (*signingKey, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	current, err := t.keys.current()
	if err != nil || kid == "" {
		return current, err
	}
	if key := t.keys.find(kid); key != nil {
		return key, nil
	}
	return nil, fmt.Errorf("there is no key %q", kid)
}

// foreignKey returns the key of WrongKey, which is never one of WithKeys.
func (t *Tenant) foreignKey() (*rsa.PrivateKey, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys.foreign == nil {
		key, err := rsa.GenerateKey(rand.Reader, t.keys.bits)
		if err != nil {
			return nil, errors.New("cannot generate an RSA key")
		}
		t.keys.foreign = key
	}
	return t.keys.foreign, nil
}
