package site

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

// forgery is a kind of token that must be refused.
type forgery struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	What string `json:"what"`
}

// forgeries lists the kinds in the order of the page.
func forgeries() []forgery {
	return []forgery{
		{"expired", "Expired token", "It expired an hour ago."},
		{"audience", "Another client’s token", "Signed by the same tenant, for another client."},
		{"issuer", "Another issuer’s token", "Its iss names another tenant."},
		{"none", "alg “none”", "Unsigned: early JWT libraries accepted it."},
		{"hmac", "HMAC confusion", "Signed with HS256 and the public key as the secret."},
		{"payload", "Changed payload", "The user ID was changed after signing."},
		{"newline", "A newline inside", "Base64 decoders skip it, so the text can vary."},
		{"json", "Unsigned JSON around a real token", "Forged claims next to a genuine signed token."},
		{"removed", "A removed key’s token", "Signed with a key that the tenant has removed."},
	}
}

// forge makes the token of a kind: one of the forgeries, or "new-key", a good
// token of a new key. ok is false if there is no such kind.
//
// A forgery is signed with a key that the verifier of the forgeries knows, also
// after a rotation during an outage: what is refused is the forgery, not the key.
func (p *provider) forge(kind string) (token string, ok bool) {
	t := p.tenant
	known := reachfivetest.SignedBy(p.knownKey())
	switch kind {
	case "new-key":
		p.rotate()
		return t.Token(), true
	case "expired":
		return t.Token(known, reachfivetest.Expired()), true
	case "audience":
		return t.Token(known, reachfivetest.OtherAudience()), true
	case "issuer":
		return t.Token(known, reachfivetest.OtherIssuer()), true
	case "none":
		return t.Token(reachfivetest.Unsigned()), true
	case "hmac":
		return t.Token(reachfivetest.HS256With(publicKeyPEM(t.JWK(t.KID())))), true
	case "payload":
		return t.Token(known, reachfivetest.Tampered()), true
	case "newline":
		token := t.Token(known)
		at := strings.IndexByte(token, '.') + 20
		return token[:at] + "\n" + token[at:], true
	case "json":
		return unsignedClaimsAround(t, t.Token(known)), true
	case "removed":
		return t.Token(reachfivetest.SignedBy(p.lastRemoved())), true
	}
	return "", false
}

// publicKeyPEM is the public key as an attacker would use it for a secret.
func publicKeyPEM(jwk string) string {
	var members struct{ N, E string }
	if json.Unmarshal([]byte(jwk), &members) != nil {
		return jwk
	}
	n, errN := base64.RawURLEncoding.DecodeString(members.N)
	e, errE := base64.RawURLEncoding.DecodeString(members.E)
	if errN != nil || errE != nil {
		return jwk
	}
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())})
	if err != nil {
		return jwk
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// unsignedClaimsAround is the flattened JSON serialization of RFC 7515 section
// 7.2.2 with claims next to it, which some parsers accept as verified.
func unsignedClaimsAround(t *reachfivetest.Tenant, signed string) string {
	parts := strings.Split(signed, ".")
	text, err := json.Marshal(map[string]any{
		"iss": t.Issuer(), "aud": []string{t.ClientID}, "sub": "somebody-else", "iat": 1, "exp": 253402300799,
		"protected": parts[0], "payload": parts[1], "signature": parts[2],
	})
	if err != nil {
		return "" // never: these values can be encoded
	}
	return string(text)
}
