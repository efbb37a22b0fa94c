package vectors

import (
	"crypto/sha256"
	"fmt"
)

// checks adds what a caller may ask beyond the rules.
func (g *generator) checks() {
	g.in("checks", "What a caller asks of a token beyond the rules. A claim that is asked about and absent fails; an empty wanted value fails always.")
	try := func(mutation, want string, checks Checks, change object) {
		text := claims()
		for _, m := range change {
			text = text.with(m.name, m.value)
			if m.value == "" {
				text = text.without(m.name)
			}
		}
		for _, rule := range []string{"3.8 checks"} {
			g.payloadOf(rule, mutation, want, text.String(), func(v *Vector) { v.Checks = &checks })
		}
	}
	one := func(name, value string) object { return object{{name, value}} }

	nonce := Checks{Nonce: new("n-0S6_WzA2Mj")}
	try("nonce as sent", Accept, nonce, one("nonce", `"n-0S6_WzA2Mj"`))
	try("nonce of another sign-in", wrongNonce, nonce, one("nonce", `"n-0S6_WzA2Mk"`))
	try("nonce a part", wrongNonce, nonce, one("nonce", `"n-0S6"`))
	try("nonce absent", wrongNonce, nonce, nil)
	try("nonce null", wrongNonce, nonce, one("nonce", `null`))
	try("nonce a number", wrongNonce, nonce, one("nonce", `1`))
	try("nonce empty, and none wanted", wrongNonce, Checks{Nonce: new("")}, one("nonce", `""`))

	age := Checks{MaxAge: new(int64(300))}
	try("signed in 300 of 300 seconds ago", Accept, age, one("auth_time", fmt.Sprint(clock-300)))
	try("signed in 301 of 300 seconds ago", reauthenticate, age, one("auth_time", fmt.Sprint(clock-301)))
	try("signed in at a time unknown", reauthenticate, age, nil)
	try("signed in at a null time", reauthenticate, age, one("auth_time", "null"))
	tokenAge := Checks{MaxTokenAge: new(int64(300))}
	try("issued 300 of 300 seconds ago", Accept, tokenAge, one("iat", fmt.Sprint(clock-300)))
	try("issued 301 of 300 seconds ago", expired, tokenAge, one("iat", fmt.Sprint(clock-301)))

	amr := Checks{AMR: []string{"pwd", "otp"}}
	try("both methods", Accept, amr, one("amr", `["otp","x","pwd"]`))
	try("one method of two", insufficient, amr, one("amr", `["pwd"]`))
	try("methods unknown", insufficient, amr, nil)
	try("methods in one string", insufficient, amr, one("amr", `"pwd otp"`))
	try("one method in a string", Accept, Checks{AMR: []string{"pwd"}}, one("amr", `"pwd"`))
	acr := Checks{ACR: []string{"silver", "gold"}}
	try("one class of two", Accept, acr, one("acr", `"gold"`))
	try("another class", insufficient, acr, one("acr", `"bronze"`))
	try("class unknown", insufficient, acr, nil)
	kind := Checks{AuthType: []string{"password", "webauthn"}}
	try("a type of sign-in", Accept, kind, one("auth_type", `"webauthn"`))
	try("another type of sign-in", insufficient, kind, one("auth_type", `"facebook"`))
	try("type of sign-in unknown", insufficient, kind, one("auth_type", ""))

	email := Checks{EmailVerified: true}
	try("an e-mail address, verified", Accept, email, nil)
	try("an e-mail address, not verified", forbidden, email, one("email_verified", "false"))
	try("an e-mail address, unknown whether verified", forbidden, email, one("email_verified", ""))
	try("no e-mail address, verified", forbidden, email, one("email", ""))
	try("an empty e-mail address, verified", forbidden, email, one("email", `""`))

	const access = "an access token"
	sum := sha256.Sum256([]byte(access))
	hash := `"` + b64(sum[:16]) + `"`
	try("the access token's own hash", Accept, Checks{AccessToken: new(access)}, one("at_hash", hash))
	try("another access token", wrongAccess, Checks{AccessToken: new("another")}, one("at_hash", hash))
	try("the whole hash", wrongAccess, Checks{AccessToken: new(access)}, one("at_hash", `"`+b64(sum[:])+`"`))
	try("no hash", wrongAccess, Checks{AccessToken: new(access)}, nil)
	try("an empty access token", wrongAccess, Checks{AccessToken: new("")}, one("at_hash", `""`))

	g.payloadOf("8.4 after everything else", "an expired token without the nonce", expired, claims().with("exp", "1").String(),
		func(v *Vector) { v.Checks = &nonce })
	g.payloadOf("8.4 after everything else", "a good token with the nonce", Accept, claims().with("nonce", `"n-0S6_WzA2Mj"`).String(),
		func(v *Vector) { v.Checks = &nonce })
}
