package reachfive_test

import (
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/internal/reference"
)

// genText draws any string that JSON can carry.
func genText() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"", "é", "\U0001F600", `"\/`, "\x00\x1f\x7f", "\u2028", "{}", "null", "true", "https://x/y?z#w",
	}))
}

func hasNoControl(text string) bool { return !strings.ContainsFunc(text, unicode.IsControl) }

// genValue draws any JSON value, to the depth that is left.
func genValue(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), genText().AsAny(), rapid.Int64Range(-1<<53, 1<<53).AsAny(),
		rapid.Float64Range(-1e300, 1e300).Filter(func(f float64) bool { return !math.IsNaN(f) }).AsAny(),
	}
	if depth > 0 {
		leaves = append(leaves,
			rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[any] { return genValue(depth - 1) }), 0, 3).AsAny(),
			rapid.MapOfN(genText(), rapid.Deferred(func() *rapid.Generator[any] { return genValue(depth - 1) }), 0, 3).AsAny())
	}
	return rapid.OneOf(leaves...)
}

// genPayload draws a payload that is to be accepted at fuzzNow.
func genPayload() *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		maybe := func(claims map[string]any, name string, value *rapid.Generator[any]) {
			if rapid.Bool().Draw(t, name+"?") {
				claims[name] = value.Draw(t, name)
			}
		}
		claims := make(map[string]any)
		for _, name := range rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,12}_x`), 0, 5).Draw(t, "other names") {
			claims[name] = genValue(5).Draw(t, name)
		}
		past := rapid.Int64Range(1, fuzzNow+60).AsAny()
		maps.Copy(claims, map[string]any{
			"iss": "https://" + testDomain,
			"aud": rapid.SampledFrom([]any{testClient, []string{testClient}, []string{testClient, testClient}}).Draw(t, "aud"),
			"sub": rapid.StringMatching(`[ -~é]{1,120}`).Draw(t, "sub"),
			"exp": rapid.Int64Range(fuzzNow+1, 253402300799).Draw(t, "exp"),
			"iat": past.Draw(t, "iat"),
		})
		text := rapid.OneOf(genText().AsAny(), rapid.Just[any](nil))
		boolean := rapid.OneOf(rapid.Bool().AsAny(), rapid.Just[any](nil))
		for _, name := range []string{"nbf", "auth_time"} {
			maybe(claims, name, past)
		}
		maybe(claims, "azp", rapid.Just[any](testClient))
		for _, name := range []string{"email", "phone_number"} {
			maybe(claims, name, rapid.OneOf(genText().Filter(hasNoControl).AsAny(), rapid.Just[any](nil)))
		}
		for _, name := range []string{"email_verified", "phoneNumberVerified"} {
			maybe(claims, name, boolean)
		}
		for _, name := range []string{
			"name", "given_name", "familyName", "nickname", "gender", "birthdate", "locale", "picture", "nonce", "acr", "auth_type",
			"new_user", "amr", "address", "custom_fields", "external_id", "updated_at",
		} {
			maybe(claims, name, rapid.OneOf(text, genValue(3)))
		}
		return claims
	})
}

// Any good payload comes back as it was signed: in the fields, in Claims, through
// json.Marshal and json.Unmarshal, and as the payload of another token.
func TestAnyGoodPayloadRoundTrips(t *testing.T) {
	t.Parallel()
	targets := []*target{newTarget(t, "HS256"), newTarget(t, "RS256")}
	headers := []string{`{"alg":"HS256","typ":"JWT"}`, `{"alg":"RS256","typ":"JWT","kid":"any"}`}
	rapid.Check(t, func(rt *rapid.T) {
		payload := genPayload().Draw(rt, "payload")
		text, err := json.Marshal(payload)
		require.NoError(rt, err)
		for i, target := range targets {
			token := target.token([]byte(headers[i]), text)
			require.Empty(rt, target.reference.Verify(token), "the reference implementation: %s", text)
			user, err := target.v.Verify(t.Context(), token)
			require.NoError(rt, err, "%s", text)
			assertRoundTrip(rt, user, text)

			wire, err := json.Marshal(user)
			require.NoError(rt, err)
			var read reachfive.User
			require.NoError(rt, json.Unmarshal(wire, &read), "%s", wire)
			assertSameFields(rt, user, &read)
			again, err := target.v.Verify(t.Context(), target.token([]byte(headers[i]), wire))
			require.NoError(rt, err, "%s", wire)
			second, err := json.Marshal(again)
			require.NoError(rt, err)
			require.JSONEq(rt, string(wire), string(second))
		}
	})
}

// assertSameFields compares the exported fields of two Users. encoding/json writes
// CustomFields without white space, and < > & as escapes.
func assertSameFields(t assert.TestingT, want, got *reachfive.User) {
	if want.CustomFields == nil {
		assert.Nil(t, got.CustomFields)
	} else {
		assert.JSONEq(t, string(want.CustomFields), string(got.CustomFields))
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[reachfive.User]()) {
		if field.IsExported() && field.Name != "CustomFields" {
			wanted := reflect.ValueOf(want).Elem().FieldByIndex(field.Index).Interface()
			assert.Equal(t, wanted, reflect.ValueOf(got).Elem().FieldByIndex(field.Index).Interface(), field.Name)
		}
	}
}

func assertRoundTrip(t *rapid.T, user *reachfive.User, text []byte) {
	members, ok := reference.Object(text)
	require.True(t, ok)
	var claims map[string]json.RawMessage
	require.NoError(t, user.Claims(&claims))
	require.ElementsMatch(t, slices.Collect(maps.Keys(members)), slices.Collect(maps.Keys(claims)))
	for name, want := range members {
		assert.Equal(t, string(want), string(claims[name]), name)
	}
	var wire struct {
		Sub      string
		Exp, Iat int64
		Name     any
		Email    string
	}
	require.NoError(t, json.Unmarshal(text, &wire))
	assert.Equal(t, wire.Sub, user.Subject)
	assert.Equal(t, time.Unix(wire.Exp, 0).UTC(), user.ExpiresAt)
	assert.Equal(t, time.Unix(wire.Iat, 0).UTC(), user.IssuedAt)
	assert.Equal(t, wire.Email, user.Email)
	name, _ := wire.Name.(string)
	assert.Equal(t, name, user.Name)
}
