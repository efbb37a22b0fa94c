package reachfive

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

const (
	maxKeys       = 100 // of a document, the others are skipped
	maxCandidates = 16  // for one token
	minKeyBits    = 2048
	maxKeyBits    = 8192
	minExponent   = 65537
	maxExponent   = 1<<31 - 1 // crypto/rsa takes no larger one
)

// publicKey is a key that has been admitted: an RSA key fit for RS256.
type publicKey struct {
	kid        string // "" where it has none
	thumbprint string // RFC 7638, SHA-256, base64url
	rsa        *rsa.PublicKey
}

// keySet is the outcome of one good fetch. It is never changed, but for what
// it remembers of the tokens that it verified, and so readers need no lock.
type keySet struct {
	keys       []*publicKey
	byKID      map[string][]*publicKey
	withoutKID []*publicKey
	skipped    int

	seq          uint64        // of the fetch; 0 if it came from the key store
	fetchedAt    time.Time     // when the fetch began
	refreshAfter time.Duration // from this age on the next request fetches ahead
	lifetime     time.Duration
	servesFor    time.Duration // the age at which it serves no more

	headers        headerMemo
	lastWithoutKID atomic.Pointer[publicKey] // verified the last token without kid
}

// age is how old the set is. A set from the future, after a clock without
// monotonic reading was set back, is one whose lifetime is over.
func (s *keySet) age(now time.Time) time.Duration {
	age := elapsed(s.fetchedAt, now)
	if age < 0 {
		return s.lifetime
	}
	return age
}

// isFresh reports whether the lifetime of the set lasts; nil is no set.
func (s *keySet) isFresh(now time.Time) bool { return s != nil && s.age(now) < s.lifetime }

// serves reports whether tokens may be verified with the set; nil is no set.
func (s *keySet) serves(now time.Time) bool { return s != nil && s.age(now) < s.servesFor }

// candidates are the keys that may have signed a token with this kid.
func (s *keySet) candidates(kid string) []*publicKey {
	switch bearing := s.byKID[kid]; {
	case kid == "":
		return s.keys[:min(len(s.keys), maxCandidates)]
	case len(bearing) > 0:
		return bearing[:min(len(bearing), maxCandidates)]
	}
	return s.withoutKID[:min(len(s.withoutKID), maxCandidates)]
}

// bears reports whether a key has this kid, so that no other fetch is needed to
// know whose the token claims to be.
func (s *keySet) bears(kid string) bool { return kid != "" && len(s.byKID[kid]) > 0 }

// verifiedBy is how a token's signature was verified.
type verifiedBy struct {
	key *publicKey // nil for HS256
	kid string     // the token's own
}

// finds reports whether the set still has this key, by kid and thumbprint, for a
// token of this kid.
func (s *keySet) finds(by verifiedBy) bool {
	for _, k := range s.candidates(by.kid) {
		if k == by.key || k.kid == by.key.kid && k.thumbprint == by.key.thumbprint {
			return true
		}
	}
	return false
}

// has reports whether this key, by kid and thumbprint, is in the set.
func (s *keySet) has(key *publicKey) bool {
	among := s.withoutKID
	if key.kid != "" {
		among = s.byKID[key.kid]
	}
	for _, k := range among {
		if k == key || k.thumbprint == key.thumbprint {
			return true
		}
	}
	return false
}

var (
	errDocument  = errors.New("no JWK Set")
	errNoKey     = errors.New("no usable key")
	errSkippable = errors.New("no usable JWK")
)

// parseKeySet reads a JWK Set (RFC 7517 section 5) key by key: one key that is
// odd is skipped, and costs no other key its place.
func parseKeySet(document []byte) (*keySet, error) {
	keys, err := splitKeySet(document)
	if err != nil {
		return nil, err
	}
	set := &keySet{byKID: make(map[string][]*publicKey)}
	for i, raw := range keys {
		if i == maxKeys {
			set.skipped += len(keys) - maxKeys
			break
		}
		key, err := admit(raw)
		if err != nil {
			set.skipped++
			continue
		}
		set.keys = append(set.keys, key)
		if key.kid == "" {
			set.withoutKID = append(set.withoutKID, key)
		} else {
			set.byKID[key.kid] = append(set.byKID[key.kid], key)
		}
	}
	if len(set.keys) == 0 {
		return set, errNoKey
	}
	return set, nil
}

// splitKeySet finds the keys of a document without judging them: whatever is
// wrong within one of them, a member twice or bad UTF-8, is that key's alone.
func splitKeySet(document []byte) ([]jsontext.Value, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(document),
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, errDocument
	}
	var keys []jsontext.Value
	found := false
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, errDocument
		}
		if name.String() != "keys" {
			if err := d.SkipValue(); err != nil {
				return nil, errDocument
			}
			continue
		}
		if token, err := d.ReadToken(); err != nil || token.Kind() != '[' || found {
			return nil, errDocument
		}
		for found = true; d.PeekKind() != ']'; {
			key, err := d.ReadValue()
			if err != nil {
				return nil, errDocument
			}
			keys = append(keys, key.Clone())
		}
		if _, err := d.ReadToken(); err != nil {
			return nil, errDocument
		}
	}
	if token, err := d.ReadToken(); err != nil || token.Kind() != '}' || !found {
		return nil, errDocument
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errDocument
	}
	return keys, nil
}

// admit takes one JWK (RFC 7517 section 4) if it is an RSA public key for
// verifying RS256 and nothing in it says otherwise. ReachFive documents neither
// kid nor use nor alg of its keys, so that each may be absent; what contradicts
// is refused.
func admit(raw []byte) (*publicKey, error) {
	jwkMembers, err := readJWK(raw)
	if err != nil {
		return nil, err
	}
	// Only what makes an RSA public key goes on to the parser, and no exponent
	// that the parser would cut to the size of an int, where another comes out.
	if base64.RawURLEncoding.DecodedLen(len(jwkMembers.e)) > 4 {
		return nil, errSkippable
	}
	parsed, err := jwk.ParseKey(fmt.Appendf(nil, `{"kty":"RSA","n":%q,"e":%q}`, jwkMembers.n, jwkMembers.e))
	if err != nil {
		return nil, errSkippable
	}
	key := &publicKey{kid: jwkMembers.kid, rsa: new(rsa.PublicKey)}
	if err := parsed.Raw(key.rsa); err != nil {
		return nil, errSkippable
	}
	bits := key.rsa.N.BitLen()
	if bits < minKeyBits || bits > maxKeyBits || key.rsa.N.Bit(0) == 0 || key.rsa.E < minExponent || key.rsa.E > maxExponent || key.rsa.E%2 == 0 {
		return nil, errSkippable
	}
	if factorable(key.rsa.N) {
		return nil, errSkippable
	}
	thumbprint, err := parsed.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, errSkippable
	}
	key.thumbprint = base64.RawURLEncoding.EncodeToString(thumbprint)
	return key, nil
}

// factorable reports whether a modulus was made by the library of CVE-2017-15361
// (ROCA), whose primes are powers of 65537 modulo many small primes, so that
// anybody can compute the private key. Of other moduli fewer than one in a
// hundred million look like that.
func factorable(n *big.Int) bool {
	for _, prime := range [...]int64{
		3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
		101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
	} {
		rest, power := new(big.Int).Mod(n, big.NewInt(prime)).Int64(), int64(1)
		for power != rest {
			if power = power * minExponent % prime; power == 1 {
				return false
			}
		}
	}
	return true
}

// rsaJWK is what of a JWK makes the key; n and e are base64url.
type rsaJWK struct{ kid, n, e string }

// readJWK reads the members of a JWK and refuses what is not for us: another
// type, use or algorithm, or a private or secret key, which somebody has
// published by mistake and which anybody may hold by now.
func readJWK(raw []byte) (rsaJWK, error) {
	var (
		r    objectReader
		key  rsaJWK
		kty  string
		fits = true
	)
	if err := r.open(raw); err != nil {
		return rsaJWK{}, errSkippable
	}
	for {
		name, at, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return rsaJWK{}, errSkippable
		}
		value := string(raw[at.start:at.end])
		text, isText := "", value[0] == '"'
		if isText {
			text = unquote(value)
		}
		switch string(name) {
		case "kty":
			kty = text
		case "n":
			key.n = text
		case "e":
			key.e = text
		case "kid":
			key.kid = text
			fits = fits && (isText && text != "" && len(text) <= maxKIDSize || value == "null")
		case "use":
			fits = fits && text == "sig"
		case "alg":
			fits = fits && text == algRS256
		case "key_ops":
			fits = fits && r.allStrings && slices.ContainsFunc(r.strings, func(item span) bool {
				return unquote(string(raw[item.start:item.end])) == "verify"
			})
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
			fits = false
		}
	}
	if !fits || kty != "RSA" || !unsignedInteger(key.n) || !unsignedInteger(key.e) {
		return rsaJWK{}, errSkippable
	}
	return key, nil
}

// unsignedInteger reports whether text is a Base64urlUInt (RFC 7518 section 2):
// canonical, and without a leading zero byte, which starts with "AA" to "AP".
func unsignedInteger(text string) bool {
	return canonical(text) && (text[0] != 'A' || text[1] < 'A' || text[1] > 'P')
}
