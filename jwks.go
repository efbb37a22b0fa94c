package reachfive

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

const (
	maxKeys       = 100 // of a document; the others are skipped
	maxCandidates = 16  // for one token
	minKeyBits    = 2048
	maxKeyBits    = 8192
	minExponent   = 65537
	maxExponent   = 1<<31 - 1 // the largest that crypto/rsa accepts
)

// publicKey is a key that has been admitted: an RSA key for RS256.
type publicKey struct {
	kid        string // "" where it has none
	thumbprint string // RFC 7638, SHA-256, base64url
	rsa        *rsa.PublicKey
}

// keySet is the usable keys of a JWK Set. It never changes, except for the key
// that it remembers for the next token without a kid, so readers need no lock.
type keySet struct {
	keys       []*publicKey
	byKID      map[string][]*publicKey
	withoutKID []*publicKey
	skipped    int

	lastWithoutKID atomic.Pointer[publicKey] // verified the last token without kid
}

// KIDs implements keycache.Keys.
func (s *keySet) KIDs() []string { return slices.Collect(maps.Keys(s.byKID)) }

// candidates are the keys that may have signed a token with this kid.
func (s *keySet) candidates(kid string) []*publicKey {
	if kid == "" {
		return s.keys[:min(len(s.keys), maxCandidates)]
	}
	if named := s.byKID[kid]; len(named) > 0 {
		return named[:min(len(named), maxCandidates)]
	}
	return s.withoutKID[:min(len(s.withoutKID), maxCandidates)]
}

// hasKID reports whether a key has this kid: then no newer set can have a better
// candidate for the token.
func (s *keySet) hasKID(kid string) bool { return len(s.byKID[kid]) > 0 }

// match returns the candidate whose signature this is, nil if there is none.
func (s *keySet) match(verifier signatureVerifier, kid string, signed, signature []byte) *publicKey {
	var first *publicKey
	if kid == "" {
		// The key that verified the last such token is the likeliest.
		if first = s.lastWithoutKID.Load(); first != nil && verifier.rsa(signed, signature, first.rsa) {
			return first
		}
	}
	for _, key := range s.candidates(kid) {
		if key != first && verifier.rsa(signed, signature, key.rsa) {
			if kid == "" {
				s.lastWithoutKID.Store(key)
			}
			return key
		}
	}
	return nil
}

// verifiedBy is how a token's signature was verified.
type verifiedBy struct {
	key *publicKey // nil for HS256
	kid string     // the token's own
}

// confirms reports whether the set still has this key, by kid and thumbprint, as
// a candidate for a token of this kid.
func (s *keySet) confirms(by verifiedBy) bool {
	for _, k := range s.candidates(by.kid) {
		if k == by.key || k.kid == by.key.kid && k.thumbprint == by.key.thumbprint {
			return true
		}
	}
	return false
}

// missing names the keys of other that the set lacks: by kid, or by thumbprint if
// a key has no kid.
func (s *keySet) missing(other *keySet) []string {
	var names []string
	for _, key := range other.keys {
		if !s.has(key) {
			names = append(names, cmp.Or(key.kid, key.thumbprint))
		}
	}
	return names
}

// has reports whether this key, by kid and thumbprint, is in the set.
func (s *keySet) has(key *publicKey) bool {
	among := s.withoutKID
	if key.kid != "" {
		among = s.byKID[key.kid]
	}
	for _, k := range among {
		if k.thumbprint == key.thumbprint {
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

// parseKeySet reads a JWK Set (RFC 7517 section 5) key by key: a key that cannot
// be used is skipped and counted, and does not affect the others.
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
		return nil, errNoKey
	}
	return set, nil
}

// splitKeySet finds the keys of a document without judging them: whatever is
// wrong within one of them, a member twice or bad UTF-8, affects that key alone.
func splitKeySet(document []byte) (keys []jsontext.Value, err error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(document),
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if !readsDelimiter(d, '{') {
		return nil, errDocument
	}
	found := false
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		switch {
		case err != nil:
			return nil, errDocument
		case name.String() != "keys":
			err = d.SkipValue()
		case found: // a second time
			return nil, errDocument
		default:
			found = true
			keys, err = readArray(d)
		}
		if err != nil {
			return nil, errDocument
		}
	}
	if !readsDelimiter(d, '}') || !found {
		return nil, errDocument
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errDocument
	}
	return keys, nil
}

func readsDelimiter(d *jsontext.Decoder, kind jsontext.Kind) bool {
	token, _ := d.ReadToken() // with an error it is of no kind
	return token.Kind() == kind
}

// readArray reads an array and returns its elements as they are.
func readArray(d *jsontext.Decoder) (elements []jsontext.Value, err error) {
	if !readsDelimiter(d, '[') {
		return nil, errDocument
	}
	for d.PeekKind() != ']' {
		element, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		elements = append(elements, element.Clone())
	}
	_, err = d.ReadToken()
	return elements, err
}

// admit takes one JWK (RFC 7517 section 4) if it is an RSA public key for
// verifying RS256 and nothing in it contradicts that. ReachFive documents neither
// kid nor use nor alg of its keys, so each may be absent.
func admit(raw []byte) (*publicKey, error) {
	jwkMembers, err := readJWK(raw)
	if err != nil {
		return nil, err
	}
	// The parser gets only what makes an RSA public key, and no exponent that it
	// would truncate to the size of an int.
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
// (ROCA): its primes are powers of 65537 modulo many small primes, so anybody can
// compute the private key. Fewer than one in a hundred million other moduli have
// this property. Primes modulo which every number is a power of 65537 would tell
// nothing, so the list has none of them.
func factorable(n *big.Int) bool {
	for _, prime := range [...]int64{
		11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
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

// rsaJWK holds the members of a JWK that make the key; n and e are base64url.
type rsaJWK struct{ kid, n, e string }

// readJWK reads the members of a JWK. It refuses a key of another type, use or
// algorithm, and a private or secret key: somebody has published it by mistake,
// and anybody may have it.
func readJWK(raw []byte) (rsaJWK, error) {
	var (
		r   objectReader
		key rsaJWK
		kty string
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
		text := "" // of a string
		if value[0] == '"' {
			text = unquote(value)
		}
		usable := true
		switch string(name) {
		case "kty":
			kty = text
		case "n":
			key.n = text
		case "e":
			key.e = text
		case "kid":
			key.kid = text
			usable = value == "null" || text != "" && len(text) <= maxKIDSize
		case "use":
			usable = text == "sig"
		case "alg":
			usable = text == algRS256
		case "key_ops":
			usable = r.allStrings && slices.ContainsFunc(r.strings, func(item span) bool {
				return unquote(string(raw[item.start:item.end])) == "verify"
			})
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
			usable = false
		}
		if !usable {
			return rsaJWK{}, errSkippable
		}
	}
	if kty != "RSA" || !unsignedInteger(key.n) || !unsignedInteger(key.e) {
		return rsaJWK{}, errSkippable
	}
	return key, nil
}

// unsignedInteger reports whether text is a Base64urlUInt (RFC 7518 section 2):
// canonical, and without a leading zero byte, whose text starts with "AA" to "AP".
func unsignedInteger(text string) bool {
	return canonical(text) && (text[0] != 'A' || text[1] < 'A' || text[1] > 'P')
}
