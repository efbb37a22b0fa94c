package vectors

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"embed"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

//go:embed testkeys
var testKeys embed.FS

const (
	domain   = "acme.reach5.net"
	clientID = "AtnY5xDg4fbanentihip"
	further  = "Q7mAndroidClient0001"
	secret   = "the secret of these vectors: it signs nothing else"

	issued = 1512138917
	expiry = 1512225317
	clock  = 1512140000

	hs256 = "HS256"
	rs256 = "RS256"
)

// The codes of the refusals.
const (
	missingToken    = "missing_token"
	malformed       = "malformed_token"
	unsupported     = "unsupported_algorithm"
	unknownKey      = "unknown_key"
	badSignature    = "invalid_signature"
	missingClaim    = "missing_claim"
	invalidClaim    = "invalid_claim"
	wrongIssuer     = "wrong_issuer"
	wrongAudience   = "wrong_audience"
	expired         = "expired"
	notYetValid     = "not_yet_valid"
	wrongNonce      = "wrong_nonce"
	wrongAccess     = "wrong_access_token"
	reauthenticate  = "reauthentication_required"
	insufficient    = "insufficient_authentication"
	forbidden       = "forbidden"
	defaultKeySet   = "one key"
	defaultKID      = "rsa-1"
	attackersSecret = "the secret of somebody else, who is an attacker"
)

// generator collects the vectors.
type generator struct {
	rsa   map[string]*rsa.PrivateKey
	files map[string]*File
	file  *File // that vectors go to

	signatures map[string][]byte // by key and text
}

func newGenerator() (*generator, error) {
	g := &generator{
		rsa: make(map[string]*rsa.PrivateKey), files: make(map[string]*File), signatures: make(map[string][]byte),
	}
	for _, name := range []string{"1", "2", "attacker", "1024", "e3"} {
		text, err := testKeys.ReadFile("testkeys/rsa-" + name + ".pem")
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(text)

		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("rsa-%s.pem: %w", name, err)
		}
		g.rsa[name] = key
	}
	return g, nil
}

// in begins a file.
func (g *generator) in(name, comment string) {
	g.file = &File{Comment: comment, JWKS: make(map[string]json.RawMessage)}
	g.files[name] = g.file
	g.set(defaultKeySet, g.jwk("1").with("kid", `"`+defaultKID+`"`))
}

// set adds a key set to the file.
func (g *generator) set(name string, keys ...object) {
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = key.String()
	}
	g.file.JWKS[name] = json.RawMessage(`{"keys":[` + strings.Join(texts, ",") + `]}`)
}

// jwk is the public key of that name, without kid, use and alg.
func (g *generator) jwk(name string) object {
	key := g.rsa[name]
	return object{
		{"kty", `"RSA"`},
		{"n", `"` + b64(key.N.Bytes()) + `"`},
		{"e", `"` + b64(big.NewInt(int64(key.E)).Bytes()) + `"`},
	}
}

// stranger is a key that nobody has the private half of.
func stranger(i int) object {
	n := make([]byte, 0, 256)
	for block := 0; len(n) < 256; block++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "stranger %d block %d", i, block))
		n = append(n, sum[:]...)
	}
	n[0] |= 0x80
	n[255] |= 1
	return object{{"kty", `"RSA"`}, {"n", `"` + b64(n) + `"`}, {"e", `"AQAB"`}}
}

// signer makes tokens of one algorithm.
type signer struct {
	alg  string
	sign func(signed string) []byte
}

// by signs with an RSA key. Most vectors sign one of a few texts, so the
// signatures are kept: they are deterministic, and take a millisecond each.
func (g *generator) by(key string) signer {
	return signer{rs256, func(signed string) []byte {
		if known, ok := g.signatures[key+"."+signed]; ok {
			return slices.Clone(known)
		}
		sum := sha256.Sum256([]byte(signed))
		signature, err := rsa.SignPKCS1v15(nil, g.rsa[key], crypto.SHA256, sum[:])
		if err != nil {
			panic(err) // a fixed key: it signs, or the generator is broken
		}
		g.signatures[key+"."+signed] = slices.Clone(signature)
		return signature
	}}
}

func bySecret(secret string) signer {
	return signer{hs256, func(signed string) []byte {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(signed))
		return mac.Sum(nil)
	}}
}

// header is the plain header of the algorithm.
func (s signer) header() object {
	h := object{{"typ", `"JWT"`}, {"alg", `"` + s.alg + `"`}}
	if s.alg == rs256 {
		return h.with("kid", `"`+defaultKID+`"`)
	}
	return h
}

// token signs a header and a payload.
func (s signer) token(header, payload string) string {
	return s.segments(b64([]byte(header)), b64([]byte(payload)))
}

// segments signs two segments as they are, whatever is in them.
func (s signer) segments(header, payload string) string {
	signed := header + "." + payload
	return signed + "." + b64(s.sign(signed))
}

// good is a plain good token.
func (s signer) good() string { return s.token(s.header().String(), claims().String()) }

// claims is a plain good payload.
func claims() object {
	return object{
		{"iss", `"https://` + domain + `"`},
		{"sub", `"AVqvOB58Fg6nZfQ0ZqXt"`},
		{"aud", `["` + clientID + `"]`},
		{"iat", fmt.Sprint(issued)},
		{"exp", fmt.Sprint(expiry)},
		{"auth_type", `"password"`},
		{"email", `"john.doe@example.com"`},
		{"email_verified", `true`},
	}
}

func b64(text []byte) string { return base64.RawURLEncoding.EncodeToString(text) }

// add adds one vector.
func (g *generator) add(v Vector) {
	v.Name = v.Rule + ": " + v.Mutation + " (" + v.Algorithm + ")"
	v.Domain, v.ClientID = domain, clientID
	if v.Clock == 0 {
		v.Clock = clock
	}
	if v.Algorithm == hs256 {
		v.Secret = secret
	} else if v.JWKS == "" {
		v.JWKS = defaultKeySet
	}
	g.file.Vectors = append(g.file.Vectors, v)
}

// both adds a vector for each algorithm.
func (g *generator) both(rule, mutation, want string, token func(s signer) string, edits ...func(*Vector)) {
	for _, s := range []signer{bySecret(secret), g.by("1")} {
		v := Vector{Rule: rule, Mutation: mutation, Algorithm: s.alg, Token: token(s), Want: want}
		for _, edit := range edits {
			edit(&v)
		}
		g.add(v)
	}
}

// payloadOf adds a vector of each algorithm whose payload is text.
func (g *generator) payloadOf(rule, mutation, want, text string, edits ...func(*Vector)) {
	g.both(rule, mutation, want, func(s signer) string { return s.token(s.header().String(), text) }, edits...)
}

// headerOf adds a vector of each algorithm whose header is made of the plain one.
func (g *generator) headerOf(rule, mutation, want string, header func(h object) string) {
	g.both(rule, mutation, want, func(s signer) string {
		return s.token(header(s.header()), claims().String())
	})
}

// why gives a vector its comment.
func why(comment string) func(*Vector) { return func(v *Vector) { v.Comment = comment } }
