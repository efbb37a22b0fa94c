package reachfivetest

import (
	"fmt"
	"time"
)

// Mod changes a token before or while it is signed. Mods apply in the given order:
// the last one wins.
type Mod func(*token)

// Expired makes the token one of a sign-in 25 hours ago, which expired an hour ago.
func Expired() Mod {
	return func(tok *token) { IssuedAt(tok.now.Add(-tokenLifetime - time.Hour))(tok) }
}

// IssuedAt makes the token one of a sign-in at that time: it sets iat and auth_time,
// and exp 24 hours later.
func IssuedAt(at time.Time) Mod {
	return func(tok *token) {
		tok.claims["iat"] = at.Unix()
		tok.claims["auth_time"] = at.Unix()
		tok.claims["exp"] = at.Add(tokenLifetime).Unix()
	}
}

// ForClient makes the token one for this client: that of WithClientID or one of
// WithClients. Any other is a mistake; see OtherAudience.
func ForClient(clientID string) Mod {
	return func(tok *token) {
		if !tok.tenant.isClient(clientID) {
			tok.err = fmt.Errorf("ForClient: the tenant has no client %q", clientID)
		}
		Claim("aud", []string{clientID})(tok)
	}
}

// OtherAudience makes the token one for a client that the tenant of the test does
// not have.
func OtherAudience() Mod { return Claim("aud", []string{"another-client"}) }

// OtherIssuer sets iss to that of another tenant.
func OtherIssuer() Mod { return Claim("iss", "https://other.example") }

// WrongKey signs the token with a key, or for HS256 with a secret, that the tenant
// does not have. The header still has the kid of the tenant's key.
func WrongKey() Mod { return func(tok *token) { tok.foreign = true } }

// SignedBy signs the token with RS256 and the tenant's key of that kid, even if that
// was replaced or removed, and sets kid in the header.
func SignedBy(kid string) Mod { return func(tok *token) { tok.signBy(kid) } }

// RS256 signs the token with the current RSA key, whatever the client's algorithm.
func RS256() Mod { return SignedBy("") }

// HS256 signs the token with the client secret, whatever the client's algorithm.
// Like ReachFive's HS256 tokens it has no kid.
func HS256() Mod { return func(tok *token) { HS256With(tok.tenant.ClientSecret)(tok) } }

// HS256With signs the token with HS256 and this secret: that of another client or,
// for an algorithm confusion, the text of a public key.
func HS256With(secret string) Mod {
	return func(tok *token) {
		tok.algorithm, tok.secret = hs256, secret
		tok.header["alg"] = hs256
		delete(tok.header, "kid")
	}
}

// Unsigned makes the token an unsecured JWS of RFC 7515 appendix A.5: alg is
// "none", and the signature is empty.
func Unsigned() Mod {
	return func(tok *token) {
		tok.algorithm = "none"
		tok.header["alg"] = "none"
		delete(tok.header, "kid")
	}
}

// Tampered changes sub after the token was signed.
func Tampered() Mod { return func(tok *token) { tok.tampered = true } }

// KID sets the header's kid; the key that signs stays the same.
func KID(kid string) Mod { return Header("kid", kid) }

// NoKID omits kid from the header.
func NoKID() Mod { return WithoutHeader("kid") }

// Header sets a header parameter. Setting alg changes the header, not how the token
// is signed.
func Header(name string, value any) Mod {
	return func(tok *token) { tok.header[name] = value }
}

// WithoutHeader omits a header parameter.
func WithoutHeader(name string) Mod {
	return func(tok *token) { delete(tok.header, name) }
}

// Claim sets a claim; nil is JSON's null.
func Claim(name string, value any) Mod {
	return func(tok *token) { tok.claims[name] = value }
}

// WithoutClaim omits a claim.
func WithoutClaim(name string) Mod {
	return func(tok *token) { delete(tok.claims, name) }
}

// RawHeader signs exactly this text as the header; it need not be JSON.
func RawHeader(text string) Mod {
	return func(tok *token) { tok.rawHeader = &text }
}

// RawPayload signs exactly this text as the payload; it need not be JSON.
func RawPayload(text string) Mod {
	return func(tok *token) { tok.rawPayload = &text }
}
