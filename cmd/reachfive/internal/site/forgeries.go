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

// forgery is a token that must not pass.
type forgery struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	What string `json:"what"`
}

// forgeries is what the page offers, in its order.
func forgeries() []forgery {
	return []forgery{
		{"expired", "Expired token", "It was good until an hour ago."},
		{"audience", "Another client’s token", "Signed by the same tenant, for another app."},
		{"issuer", "Another issuer’s token", "Says that it comes from another tenant."},
		{"none", "alg “none”", "Unsigned, as the first JWT libraries took it."},
		{"hmac", "HMAC confusion", "HS256 with the public key as the secret."},
		{"payload", "Changed payload", "Another user ID under the old signature."},
		{"newline", "A newline inside", "Base64 decoders skip it; the text differs."},
		{"json", "Unsigned JSON around a real token", "Claims of one’s own beside a real signature."},
		{"removed", "A removed key’s token", "Signed by a key that the tenant took back."},
	}
}

// forge makes the token of that kind: one of the forgeries, or a good one of a
// key made for it. False if there is no such kind.
func (p *provider) forge(kind string) (string, bool) {
	t := p.tenant
	switch kind {
	case "new-key":
		p.rotate()
		return t.Token(), true
	case "expired":
		return t.Token(reachfivetest.Expired()), true
	case "audience":
		return t.Token(reachfivetest.OtherAudience()), true
	case "issuer":
		return t.Token(reachfivetest.OtherIssuer()), true
	case "none":
		return t.Token(reachfivetest.Unsigned()), true
	case "hmac":
		return t.Token(reachfivetest.HS256With(publicKeyPEM(t.JWK(t.KID())))), true
	case "payload":
		return t.Token(reachfivetest.Tampered()), true
	case "newline":
		token := t.Token()
		at := strings.IndexByte(token, '.') + 20
		return token[:at] + "\n" + token[at:], true
	case "json":
		return unsignedClaimsAround(t), true
	case "removed":
		return t.Token(reachfivetest.SignedBy(p.retired())), true
	}
	return "", false
}

// publicKeyPEM is the text that an attacker of the confusion has.
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
// 7.2.2 with claims beside it, which some parsers take for verified.
func unsignedClaimsAround(t *reachfivetest.Tenant) string {
	parts := strings.Split(t.Token(), ".")
	text, err := json.Marshal(map[string]any{
		"iss": t.Issuer(), "aud": []string{t.ClientID}, "sub": "somebody-else", "iat": 1, "exp": 253402300799,
		"protected": parts[0], "payload": parts[1], "signature": parts[2],
	})
	if err != nil {
		return "" // never: these have a JSON form
	}
	return string(text)
}
