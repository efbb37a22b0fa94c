package reachfive_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

func TestVerifyRefusesClaims(t *testing.T) {
	t.Parallel()
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
		{"email with a line feed", with(iss, aud, exp, iat, sub, `"email":"john@example.com\nBcc: jane@example.com"`), reachfive.CodeInvalidClaim, "email"},
		{"email with NUL", with(iss, aud, exp, iat, sub, `"email":"\u0000john@example.com"`), reachfive.CodeInvalidClaim, "email"},
		{"email with a C1 control", with(iss, aud, exp, iat, sub, `"email":"john@example.com\u009b"`), reachfive.CodeInvalidClaim, "email"},
		{"email beyond ASCII", with(iss, aud, exp, iat, sub, `"email":"jöhn@exämple.com"`), "", ""},
		{"phone_number with DEL", with(iss, aud, exp, iat, sub, `"phone_number":"+33\u007f"`), reachfive.CodeInvalidClaim, "phone_number"},
		{"phoneNumber with CR", with(iss, aud, exp, iat, sub, `"phoneNumber":"+33\r"`), reachfive.CodeInvalidClaim, "phone_number"},
		{"phone_number with spaces", with(iss, aud, exp, iat, sub, `"phone_number":"+33 6 12 34 56 78"`), "", ""},
		{"name with a line feed", with(iss, aud, exp, iat, sub, `"name":"John\nDoe"`), "", ""},
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
	t.Parallel()
	u, err := verifyPayload(t, frame+`"sub":"s","scope":"openid","scp":1,"client_id":"b"}`, reachfive.InsecureAllowAccessTokenClaims())
	require.NoError(t, err)
	assert.Equal(t, "s", u.Subject)
	_, err = verifyPayload(t, frame+`"sub":"s","events":{}}`, reachfive.InsecureAllowAccessTokenClaims())
	assert.Equal(t, reachfive.CodeInvalidClaim, reachfive.CodeOf(err))
}
