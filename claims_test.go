package reachfive_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// The decoded example of ReachFive's page on single-page apps, in the spelling
// of the browser SDK. Values that are empty there are empty here; iss, exp and
// iat are the test's own.
const (
	spaExample = `"authType":"facebook","birthdate":"1983-11-13","email":"","emailVerified":true,"familyName":"Doe",
		"gender":"male","givenName":"John","locale":"en_US","name":"John Doe","newUser":false,"picture":"","profile":"",
		"sub":"AVqvOB58Fg6nZfQ0ZqXt","updatedAt":"2017-12-01T14:35:17.218Z"`
	spaExampleOnTheWire = `"auth_type":"facebook","birthdate":"1983-11-13","email":"","email_verified":true,"family_name":"Doe",
		"gender":"male","given_name":"John","locale":"en_US","name":"John Doe","new_user":false,"picture":"","profile":"",
		"sub":"AVqvOB58Fg6nZfQ0ZqXt","updated_at":"2017-12-01T14:35:17.218Z"`
	frame = `{"iss":"https://acme.reach5.net","aud":["AtnY5xDg4fbanentihip"],"exp":1512225317,"iat":1512138917,`
)

var spaTime = time.Unix(1512138917, 0)

func verifyPayload(t *testing.T, payload string, opts ...reachfive.Option) (*reachfive.User, error) {
	t.Helper()
	return hs256Verifier(t, spaTime, opts...).Verify(t.Context(), hs256Raw(`{"alg":"HS256"}`, payload))
}

func user(t *testing.T, members string) *reachfive.User {
	t.Helper()
	u, err := verifyPayload(t, frame+members+"}")
	require.NoError(t, err)
	return u
}

func TestUserReadsBothSpellings(t *testing.T) {
	wire := user(t, spaExampleOnTheWire)
	assert.Equal(t, "facebook", wire.AuthType)
	assert.Equal(t, "John", wire.GivenName)
	assert.Equal(t, "Doe", wire.FamilyName)
	assert.True(t, wire.EmailVerified)
	assert.Equal(t, "1983-11-13", wire.Birthdate)
	assert.Equal(t, "en_US", wire.Locale)
	assert.Equal(t, time.Date(2017, 12, 1, 14, 35, 17, 218_000_000, time.UTC), wire.UpdatedAt)

	camel := user(t, spaExample)
	asJSON := func(u *reachfive.User) string {
		text, err := json.Marshal(u)
		require.NoError(t, err)
		return string(text)
	}
	assert.JSONEq(t, asJSON(wire), asJSON(camel))
}

func TestUserReadsEveryClaim(t *testing.T) {
	const snake = `"sub":"s","azp":"AtnY5xDg4fbanentihip","nbf":1512138917,"auth_time":1512138000,"nonce":"n","acr":"a",
		"amr":["pwd","otp"],"auth_type":"password","new_user":true,"email":"j@example.com","email_verified":true,
		"phone_number":"+33612345678","phone_number_verified":true,"name":"J D","given_name":"J","family_name":"D",
		"middle_name":"M","nickname":"jd","preferred_username":"j.d","gender":"female","birthdate":"1983-11-13",
		"locale":"en","zoneinfo":"Europe/Paris","website":"https://w.example","picture":"https://p.example",
		"profile":"https://q.example","address":{"formatted":"f","street_address":"s","locality":"l","region":"r",
		"postal_code":"p","country":"c"},"updated_at":"2017-12-01T14:35:17.218Z","custom_identifier":"ci",
		"external_id":"x","custom_fields":{"tier":"gold","Camel_Case":1},"at_hash":"h"`
	camel := strings.NewReplacer("auth_time", "authTime", "auth_type", "authType", "new_user", "newUser",
		"email_verified", "emailVerified", "phone_number_verified", "phoneNumberVerified", "phone_number", "phoneNumber",
		"given_name", "givenName", "family_name", "familyName", "middle_name", "middleName",
		"preferred_username", "preferredUsername", "street_address", "streetAddress", "postal_code", "postalCode",
		"updated_at", "updatedAt", "custom_identifier", "customIdentifier", "external_id", "externalId",
		"custom_fields", "customFields", "at_hash", "atHash").Replace(snake)
	for _, members := range []string{snake, camel} {
		u := user(t, members)
		assert.Equal(t, &reachfive.Address{Formatted: "f", StreetAddress: "s", Locality: "l", Region: "r", PostalCode: "p", Country: "c"}, u.Address)
		assert.JSONEq(t, `{"tier":"gold","Camel_Case":1}`, string(u.CustomFields))
		text, err := json.Marshal(u)
		require.NoError(t, err)
		assert.JSONEq(t, frame+snake+"}", string(text))
	}
}

func TestUserReadsTheWireSpellingWhereBothStand(t *testing.T) {
	for _, members := range []string{
		`"given_name":"wire","givenName":"page"`, `"givenName":"page","given_name":"wire"`,
	} {
		assert.Equal(t, "wire", user(t, `"sub":"s",`+members).GivenName)
	}
	for _, members := range []string{
		`"given_name":null,"givenName":"page"`, `"givenName":"page","given_name":null`,
		`"email_verified":null,"emailVerified":true`, `"emailVerified":"yes","email_verified":false`,
	} {
		u := user(t, `"sub":"s",`+members)
		assert.Empty(t, u.GivenName)
		assert.False(t, u.EmailVerified)
	}
}

func TestUserLeavesADescriptiveClaimOfAnOddTypeEmpty(t *testing.T) {
	assert.Nil(t, user(t, `"sub":"s","address":{"country":"FR","altitude":1e400}`).Address, "a number that no float64 holds")
	u := user(t, `"sub":"s","name":1,"given_name":["J"],"family_name":{"a":1},"gender":true,"nonce":1,"acr":[],"amr":[1,"pwd"],
		"auth_type":null,"new_user":"true","locale":1e3,"address":"Rue 1","updated_at":"yesterday","custom_fields":[1],"at_hash":5`)
	text, err := json.Marshal(u)
	require.NoError(t, err)
	assert.JSONEq(t, frame+`"sub":"s"}`, string(text))
	var own struct {
		Name  int             `json:"name"`
		AMR   json.RawMessage `json:"amr"`
		Given []string        `json:"given_name"`
	}
	require.NoError(t, u.Claims(&own))
	assert.Equal(t, 1, own.Name)
	assert.Equal(t, []string{"J"}, own.Given)
}

func TestUserReadsWhatReachFiveIsKnownToVary(t *testing.T) {
	paris := time.Date(2017, 12, 1, 14, 35, 17, 218_000_000, time.UTC)
	assert.Equal(t, paris, user(t, `"sub":"s","updated_at":"2017-12-01T14:35:17.218"`).UpdatedAt)
	assert.Equal(t, paris, user(t, `"sub":"s","updated_at":"2017-12-01T15:35:17.218+01:00"`).UpdatedAt)
	assert.Equal(t, paris.Truncate(time.Second), user(t, `"sub":"s","updated_at":1512138917`).UpdatedAt)
	assert.Equal(t, paris, user(t, `"sub":"s","updated_at":1512138917.218`).UpdatedAt)
	assert.Zero(t, user(t, `"sub":"s","updated_at":1e300`).UpdatedAt)
	assert.Zero(t, user(t, `"sub":"s","updated_at":-1`).UpdatedAt)
	assert.Zero(t, user(t, `"sub":"s","updated_at":0`).UpdatedAt)
	assert.Equal(t, []string{"pwd"}, user(t, `"sub":"s","amr":"pwd"`).AMR)
	assert.Nil(t, user(t, `"sub":"s","amr":[]`).AMR)
	assert.Equal(t, &reachfive.Address{Country: "FR"}, user(t, `"sub":"s","address":[{"country":"FR"},{"country":"DE"}]`).Address)
	assert.Equal(t, &reachfive.Address{}, user(t, `"sub":"s","address":{"country":33,"street_address":null,"streetAddress":"x"}`).Address)
	assert.Nil(t, user(t, `"sub":"s","address":[]`).Address)
	assert.Nil(t, user(t, `"sub":"s","address":["x"]`).Address)
	assert.Equal(t, []string{testClient}, user(t, `"sub":"s"`).Audience)
	bare, err := verifyPayload(t, `{"iss":"https://acme.reach5.net","aud":"AtnY5xDg4fbanentihip","exp":1512225317,"iat":1512138917,"sub":"s"}`)
	require.NoError(t, err)
	assert.Equal(t, []string{testClient}, bare.Audience)
	assert.Equal(t, "J\"ö\n", user(t, `"s\u0075b":"s","name":"J\"\u00f6\n"`).Name)
}

func TestClaimsDecodesIntoTheCallersOwnStruct(t *testing.T) {
	u := user(t, `"sub":"s","custom_fields":{"tier":"gold"},"roles":["admin"]`)
	var own struct {
		Subject string   `json:"sub"`
		Roles   []string `json:"roles"`
		Custom  struct {
			Tier string `json:"tier"`
		} `json:"custom_fields"`
		Wrong string `json:"SUB"` // another claim
	}
	require.NoError(t, u.Claims(&own))
	assert.Equal(t, "s", own.Subject)
	assert.Equal(t, []string{"admin"}, own.Roles)
	assert.Equal(t, "gold", own.Custom.Tier)
	assert.Empty(t, own.Wrong)

	var misfit struct {
		Roles string `json:"roles"`
	}
	err := u.Claims(&misfit)
	require.ErrorIs(t, err, reachfive.CodeInvalidClaim)
	assert.Contains(t, err.Error(), "Go type string")
	assert.NotContains(t, err.Error(), "admin")
	require.ErrorIs(t, u.Claims(nil), reachfive.CodeInvalidClaim)
}

func TestClaimsOfAUserMadeByHandComeFromItsFields(t *testing.T) {
	u := &reachfive.User{Subject: "s", UpdatedAt: time.Unix(1512138917, 0)}
	var claims map[string]any
	require.NoError(t, u.Claims(&claims))
	assert.Equal(t, map[string]any{"sub": "s", "updated_at": "2017-12-01T14:35:17.000Z"}, claims)
	u.CustomFields = json.RawMessage("{")
	require.ErrorIs(t, u.Claims(&claims), reachfive.CodeInvalidClaim)
}

func TestAUserMadeByHandIsWrittenInUTC(t *testing.T) {
	paris := time.FixedZone("Europe/Paris", 2*60*60)
	text, err := json.Marshal(&reachfive.User{UpdatedAt: time.Date(2017, 12, 1, 1, 35, 17, 218_000_000, paris)})
	require.NoError(t, err)
	assert.JSONEq(t, `{"updated_at":"2017-11-30T23:35:17.218Z"}`, string(text))
}

func TestVerifyRefusesClaims(t *testing.T) {
	const iss, aud, exp, iat, sub = `"iss":"https://acme.reach5.net"`, `"aud":["AtnY5xDg4fbanentihip"]`, `"exp":1512225317`, `"iat":1512138917`, `"sub":"s"`
	with := func(members ...string) string { return "{" + strings.Join(members, ",") + "}" }
	for _, tt := range []struct {
		name, payload string
		want          reachfive.Code
		claim         string
	}{
		{"no iss", with(aud, exp, iat, sub), reachfive.CodeMissingClaim, "iss"},
		{"iss null", with(`"iss":null`, aud, exp, iat, sub), reachfive.CodeInvalidClaim, "iss"},
		{"iss with a slash", with(`"iss":"https://acme.reach5.net/"`, aud, exp, iat, sub), reachfive.CodeWrongIssuer, "iss"},
		{"no aud", with(iss, exp, iat, sub), reachfive.CodeMissingClaim, "aud"},
		{"aud null", with(iss, `"aud":null`, exp, iat, sub), reachfive.CodeInvalidClaim, "aud"},
		{"aud of numbers", with(iss, `"aud":[1]`, exp, iat, sub), reachfive.CodeInvalidClaim, "aud"},
		{"aud of ours and a number", with(iss, `"aud":["AtnY5xDg4fbanentihip",1]`, exp, iat, sub), reachfive.CodeInvalidClaim, "aud"},
		{"aud nested", with(iss, `"aud":[["AtnY5xDg4fbanentihip"]]`, exp, iat, sub), reachfive.CodeInvalidClaim, "aud"},
		{"aud empty", with(iss, `"aud":[]`, exp, iat, sub), reachfive.CodeWrongAudience, "aud"},
		{"aud of another client", with(iss, `"aud":["b"]`, exp, iat, sub), reachfive.CodeWrongAudience, "aud"},
		{"aud of ours and another client", with(iss, `"aud":["AtnY5xDg4fbanentihip","b"]`, exp, iat, sub), reachfive.CodeWrongAudience, "aud"},
		{"azp of another client", with(iss, aud, exp, iat, sub, `"azp":"b"`), reachfive.CodeWrongAudience, "azp"},
		{"azp empty", with(iss, aud, exp, iat, sub, `"azp":""`), reachfive.CodeWrongAudience, "azp"},
		{"azp a number", with(iss, aud, exp, iat, sub, `"azp":1`), reachfive.CodeInvalidClaim, "azp"},
		{"azp null", with(iss, aud, exp, iat, sub, `"azp":null`), "", ""},
		{"no exp", with(iss, aud, iat, sub), reachfive.CodeMissingClaim, "exp"},
		{"exp null", with(iss, aud, `"exp":null`, iat, sub), reachfive.CodeInvalidClaim, "exp"},
		{"exp 0", with(iss, aud, `"exp":0`, iat, sub), reachfive.CodeInvalidClaim, "exp"},
		{"exp a string", with(iss, aud, `"exp":"1512225317"`, iat, sub), reachfive.CodeInvalidClaim, "exp"},
		{"exp with a fraction", with(iss, aud, `"exp":1512225317.5`, iat, sub), reachfive.CodeInvalidClaim, "exp"},
		{"exp with an exponent", with(iss, aud, `"exp":1e10`, iat, sub), reachfive.CodeInvalidClaim, "exp"},
		{"exp in the year 10000", with(iss, aud, `"exp":253402300800`, iat, sub), reachfive.CodeInvalidClaim, "exp"},
		{"exp at the end of the year 9999", with(iss, aud, `"exp":253402300799`, iat, sub), "", ""},
		{"exp now", with(iss, aud, `"exp":1512138917`, iat, sub), reachfive.CodeExpired, "exp"},
		{"no iat", with(iss, aud, exp, sub), reachfive.CodeMissingClaim, "iat"},
		{"iat too far ahead", with(iss, aud, exp, `"iat":1512138978`, sub), reachfive.CodeNotYetValid, "iat"},
		{"iat a minute ahead", with(iss, aud, exp, `"iat":1512138977`, sub), "", ""},
		{"nbf too far ahead", with(iss, aud, exp, iat, sub, `"nbf":1512138978`), reachfive.CodeNotYetValid, "nbf"},
		{"nbf null", with(iss, aud, exp, iat, sub, `"nbf":null`), "", ""},
		{"nbf a string", with(iss, aud, exp, iat, sub, `"nbf":"1"`), reachfive.CodeInvalidClaim, "nbf"},
		{"auth_time too far ahead", with(iss, aud, exp, iat, sub, `"auth_time":1512138978`), reachfive.CodeInvalidClaim, "auth_time"},
		{"auth_time with an exponent", with(iss, aud, exp, iat, sub, `"auth_time":1e9`), reachfive.CodeInvalidClaim, "auth_time"},
		{"no sub", with(iss, aud, exp, iat), reachfive.CodeMissingClaim, "sub"},
		{"sub null", with(iss, aud, exp, iat, `"sub":null`), reachfive.CodeInvalidClaim, "sub"},
		{"sub empty", with(iss, aud, exp, iat, `"sub":""`), reachfive.CodeInvalidClaim, "sub"},
		{"sub of 256 bytes", with(iss, aud, exp, iat, `"sub":"`+strings.Repeat("s", 256)+`"`), reachfive.CodeInvalidClaim, "sub"},
		{"sub of 255 bytes", with(iss, aud, exp, iat, `"sub":"`+strings.Repeat("s", 255)+`"`), "", ""},
		{"sub with NUL", with(iss, aud, exp, iat, `"sub":"s\u0000"`), reachfive.CodeInvalidClaim, "sub"},
		{"sub with a C1 control", with(iss, aud, exp, iat, `"sub":"s\u0085"`), reachfive.CodeInvalidClaim, "sub"},
		{"events", with(iss, aud, exp, iat, sub, `"events":{}`), reachfive.CodeInvalidClaim, "events"},
		{"events null", with(iss, aud, exp, iat, sub, `"events":null`), reachfive.CodeInvalidClaim, "events"},
		{"scope", with(iss, aud, exp, iat, sub, `"scope":"openid"`), reachfive.CodeInvalidClaim, "scope"},
		{"scp", with(iss, aud, exp, iat, sub, `"scp":["openid"]`), reachfive.CodeInvalidClaim, "scp"},
		{"client_id", with(iss, aud, exp, iat, sub, `"client_id":"b"`), reachfive.CodeInvalidClaim, "client_id"},
		{"email a number", with(iss, aud, exp, iat, sub, `"email":1`), reachfive.CodeInvalidClaim, "email"},
		{"email null", with(iss, aud, exp, iat, sub, `"email":null`), "", ""},
		{"email_verified a string", with(iss, aud, exp, iat, sub, `"email_verified":"true"`), reachfive.CodeInvalidClaim, "email_verified"},
		{"emailVerified a number", with(iss, aud, exp, iat, sub, `"emailVerified":1`), reachfive.CodeInvalidClaim, "email_verified"},
		{"phone_number a number", with(iss, aud, exp, iat, sub, `"phone_number":33612345678`), reachfive.CodeInvalidClaim, "phone_number"},
		{"phone_number_verified an object", with(iss, aud, exp, iat, sub, `"phone_number_verified":{}`), reachfive.CodeInvalidClaim, "phone_number_verified"},
		{"a member twice", with(iss, aud, exp, iat, sub, sub), reachfive.CodeMalformedToken, ""},
		{"a member twice, once escaped", with(iss, aud, exp, iat, sub, `"s\u0075b":"t"`), reachfive.CodeMalformedToken, ""},
		{"a member twice within custom_fields", with(iss, aud, exp, iat, sub, `"custom_fields":{"a":1,"a":2}`), reachfive.CodeMalformedToken, ""},
		{"something after the object", with(iss, aud, exp, iat, sub) + "{}", reachfive.CodeMalformedToken, ""},
		{"white space around the object", " \r\n\t" + with(iss, aud, exp, iat, sub) + "\n", "", ""},
		{"invalid UTF-8", with(iss, aud, exp, iat, "\"sub\":\"\xff\""), reachfive.CodeMalformedToken, ""},
		{"a lone surrogate", with(iss, aud, exp, iat, `"sub":"\ud800"`), reachfive.CodeMalformedToken, ""},
		{"null", "null", reachfive.CodeMalformedToken, ""},
		{"an array", "[]", reachfive.CodeMalformedToken, ""},
		{"a comma too many", "{" + iss + ",}", reachfive.CodeMalformedToken, ""},
		{"depth 16", with(iss, aud, exp, iat, sub, `"custom_fields":`+strings.Repeat(`[`, 15)+strings.Repeat(`]`, 15)), "", ""},
		{"depth 17", with(iss, aud, exp, iat, sub, `"custom_fields":`+strings.Repeat(`[`, 16)+strings.Repeat(`]`, 16)), reachfive.CodeMalformedToken, ""},
		{"depth 17 of objects", with(iss, aud, exp, iat, sub, `"x":`+strings.Repeat(`{"a":`, 16)+"1"+strings.Repeat(`}`, 16)), reachfive.CodeMalformedToken, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := verifyPayload(t, tt.payload)
			assert.Equal(t, tt.want, reachfive.CodeOf(err))
			assert.Equal(t, tt.want == "", u != nil)
			if tt.want != "" {
				refusal, ok := errors.AsType[*reachfive.Error](err)
				require.True(t, ok)
				assert.Equal(t, tt.claim, refusal.Claim)
			}
		})
	}
}

func TestInsecureAllowAccessTokenClaimsLiftsOneRuleOnly(t *testing.T) {
	u, err := verifyPayload(t, frame+`"sub":"s","scope":"openid","scp":1,"client_id":"b"}`, reachfive.InsecureAllowAccessTokenClaims())
	require.NoError(t, err)
	assert.Equal(t, "s", u.Subject)
	_, err = verifyPayload(t, frame+`"sub":"s","events":{}}`, reachfive.InsecureAllowAccessTokenClaims())
	assert.Equal(t, reachfive.CodeInvalidClaim, reachfive.CodeOf(err))
}
