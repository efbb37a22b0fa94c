package reachfive_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// This is the decoded example of ReachFive's page on single-page apps, in the
// spelling of its browser SDK and in that of the wire. iss, exp and iat are added
// by the tests.
const (
	spaExample = `"authType":"facebook","birthdate":"1983-11-13","email":"","emailVerified":true,"familyName":"Doe",
		"gender":"male","givenName":"John","locale":"en_US","name":"John Doe","newUser":false,"picture":"","profile":"",
		"sub":"AVqvOB58Fg6nZfQ0ZqXt","updatedAt":"2017-12-01T14:35:17.218Z"`
	spaExampleOnTheWire = `"auth_type":"facebook","birthdate":"1983-11-13","email":"","email_verified":true,"family_name":"Doe",
		"gender":"male","given_name":"John","locale":"en_US","name":"John Doe","new_user":false,"picture":"","profile":"",
		"sub":"AVqvOB58Fg6nZfQ0ZqXt","updated_at":"2017-12-01T14:35:17.218Z"`
	// everyClaim has each claim that User has a field for.
	everyClaim = `"sub":"s","azp":"AtnY5xDg4fbanentihip","nbf":1512138917,"auth_time":1512138000,"nonce":"n","acr":"a",
		"amr":["pwd","otp"],"auth_type":"password","new_user":true,"email":"j@example.com","email_verified":true,
		"phone_number":"+33612345678","phone_number_verified":true,"name":"J D","given_name":"J","family_name":"D",
		"middle_name":"M","nickname":"jd","preferred_username":"j.d","gender":"female","birthdate":"1983-11-13",
		"locale":"en","zoneinfo":"Europe/Paris","website":"https://w.example","picture":"https://p.example",
		"profile":"https://q.example","address":{"formatted":"f","street_address":"s","locality":"l","region":"r",
		"postal_code":"p","country":"c"},"updated_at":"2017-12-01T14:35:17.218Z","custom_identifier":"ci",
		"external_id":"x","custom_fields":{"tier":"gold","Camel_Case":1},"at_hash":"h"`
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
	t.Parallel()
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
	t.Parallel()
	camel := strings.NewReplacer("auth_time", "authTime", "auth_type", "authType", "new_user", "newUser",
		"email_verified", "emailVerified", "phone_number_verified", "phoneNumberVerified", "phone_number", "phoneNumber",
		"given_name", "givenName", "family_name", "familyName", "middle_name", "middleName",
		"preferred_username", "preferredUsername", "street_address", "streetAddress", "postal_code", "postalCode",
		"updated_at", "updatedAt", "custom_identifier", "customIdentifier", "external_id", "externalId",
		"custom_fields", "customFields", "at_hash", "atHash").Replace(everyClaim)
	for _, members := range []string{everyClaim, camel} {
		u := user(t, members)
		assert.Equal(t, &reachfive.Address{Formatted: "f", StreetAddress: "s", Locality: "l", Region: "r", PostalCode: "p", Country: "c"}, u.Address)
		assert.JSONEq(t, `{"tier":"gold","Camel_Case":1}`, string(u.CustomFields))
		text, err := json.Marshal(u)
		require.NoError(t, err)
		assert.JSONEq(t, frame+everyClaim+"}", string(text))
	}
}

func TestUserReadsTheWireSpellingWhereBothStand(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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

func TestUserLeavesMoreThan64MethodsEmpty(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{64: 64, 65: 0, 3800: 0} {
		methods := strings.Repeat(`,""`, n)[1:]
		u := user(t, `"sub":"s","amr":[`+methods+`]`)
		assert.Len(t, u.AMR, want)
		var own struct {
			AMR []string `json:"amr"`
		}
		require.NoError(t, u.Claims(&own))
		assert.Len(t, own.AMR, n)
	}
}

func TestUserHasNoUpdateTimeThatRFC3339CannotWrite(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"9999-12-31T23:59:59Z": true, "9999-12-31T23:59:59-01:00": false, "0000-01-01T00:00:00Z": true, "0000-01-01T00:00:00+01:00": false,
	} {
		assert.Equal(t, want, !user(t, `"sub":"s","updated_at":"`+text+`"`).UpdatedAt.IsZero(), text)
	}
}

// A service keeps the Subject of every user it has seen.
func TestAKeptSubjectKeepsNoPayloadInMemory(t *testing.T) {
	v := hs256Verifier(t, spaTime)
	const tokens, size = 500, 10_000
	subjects := make([]string, tokens)
	before := heapInUse()
	for i := range subjects {
		token := hs256Raw(`{"alg":"HS256"}`, fmt.Sprintf(`%s"sub":"user-%d","note":%q}`, frame, i, strings.Repeat("n", size)))
		u, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		subjects[i] = u.Subject
	}
	after := heapInUse()
	assert.Less(t, int64(after)-int64(before), int64(tokens*size/10))
	assert.Equal(t, "user-499", subjects[tokens-1])
}

func TestUserReadsWhatReachFiveIsKnownToVary(t *testing.T) {
	t.Parallel()
	paris := time.Date(2017, 12, 1, 14, 35, 17, 218_000_000, time.UTC)
	assert.Equal(t, paris, user(t, `"sub":"s","updated_at":"2017-12-01T14:35:17.218"`).UpdatedAt)
	assert.Equal(t, paris, user(t, `"sub":"s","updated_at":"2017-12-01T15:35:17.218+01:00"`).UpdatedAt)
	assert.Equal(t, paris.Truncate(time.Second), user(t, `"sub":"s","updated_at":1512138917`).UpdatedAt)
	assert.Equal(t, paris, user(t, `"sub":"s","updated_at":1512138917.218`).UpdatedAt)
	assert.Equal(t, time.Unix(900000000, 0).UTC(), user(t, `"sub":"s","updated_at":900000000`).UpdatedAt)
	assert.Equal(t, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), user(t, `"sub":"s","updated_at":253402300799`).UpdatedAt)
	assert.Zero(t, user(t, `"sub":"s","updated_at":253402300799.5`).UpdatedAt)
	assert.Zero(t, user(t, `"sub":"s","updated_at":1e300`).UpdatedAt)
	assert.Zero(t, user(t, `"sub":"s","updated_at":-1`).UpdatedAt)
	assert.Zero(t, user(t, `"sub":"s","updated_at":0`).UpdatedAt)
	assert.Equal(t, []string{"pwd"}, user(t, `"sub":"s","amr":"pwd"`).AMR)
	assert.Nil(t, user(t, `"sub":"s","amr":[]`).AMR)
	assert.Equal(t, &reachfive.Address{Country: "FR"}, user(t, `"sub":"s","address":[{"country":"FR"},{"country":"DE"}]`).Address)
	assert.Equal(t, &reachfive.Address{}, user(t, `"sub":"s","address":{"country":33,"street_address":null,"streetAddress":"x"}`).Address)
	assert.Nil(t, user(t, `"sub":"s","address":[]`).Address)
	assert.Nil(t, user(t, `"sub":"s","address":["x"]`).Address)
	assert.Nil(t, user(t, `"sub":"s","address":[null]`).Address)
	assert.Nil(t, user(t, `"sub":"s","address":null`).Address)
	assert.Equal(t, []string{testClient}, user(t, `"sub":"s"`).Audience)
	bare, err := verifyPayload(t, `{"iss":"https://acme.reach5.net","aud":"AtnY5xDg4fbanentihip","exp":1512225317,"iat":1512138917,"sub":"s"}`)
	require.NoError(t, err)
	assert.Equal(t, []string{testClient}, bare.Audience)
	assert.Equal(t, "J\"ö\n", user(t, `"s\u0075b":"s","name":"J\"\u00f6\n"`).Name)
}
