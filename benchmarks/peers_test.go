package main

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// changed is a payload with some claims replaced.
func changed(t *testing.T, payload []byte, claims map[string]any) []byte {
	t.Helper()
	var all map[string]any
	require.NoError(t, json.Unmarshal(payload, &all))
	maps.Copy(all, claims)
	return mustMarshal(all)
}

// contestantsUnderTest calls f for each library and algorithm with a verifier,
// and with what signs a payload for it.
func contestantsUnderTest(t *testing.T, f func(t *testing.T, l library, v verify, sign func([]byte) string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	p := newProvider(1, true)
	t.Cleanup(p.Close)
	for _, l := range libraries() {
		t.Run(l.name+" RS256", func(t *testing.T) {
			f(t, l, l.rs256(ctx, p.url(), &p.keys[0].PublicKey), func(payload []byte) string { return rs256(p.keys[0], "key-0", payload) })
		})
		if l.hs256 != nil {
			t.Run(l.name+" HS256", func(t *testing.T) { f(t, l, l.hs256(), hs256) })
		}
	}
}

func TestEveryContestantDecodesTheClaims(t *testing.T) {
	t.Parallel()
	text := changed(t, payload(2<<10), map[string]any{"new_user": true, "phone_number": "+33612345678", "phone_number_verified": true})
	var want idToken
	require.NoError(t, json.Unmarshal(text, &want))
	for _, claims := range []any{want, want.profile} {
		for field, value := range reflect.ValueOf(claims).Fields() {
			require.False(t, value.IsZero(), "%s: a zero value would equal one that nobody decoded", field.Name)
		}
	}
	contestantsUnderTest(t, func(t *testing.T, l library, v verify, sign func([]byte) string) {
		decoded, err := v(t.Context(), encode(sign(text)))
		require.NoError(t, err)
		got := l.claims(decoded)
		assert.JSONEq(t, string(want.CustomFields), string(got.CustomFields))
		got.CustomFields = want.CustomFields
		assert.Equal(t, want, got)
	})
}

func TestEveryContestantRefuses(t *testing.T) {
	t.Parallel()
	now := time.Now().Unix()
	contestantsUnderTest(t, func(t *testing.T, _ library, v verify, sign func([]byte) string) {
		_, err := v(t.Context(), encode(sign(payload(0))))
		require.NoError(t, err)
		for name, claims := range map[string]map[string]any{
			"another issuer":                {"iss": "https://another.example"},
			"the issuer with a slash":       {"iss": issuer + "/"},
			"another audience":              {"aud": []string{"another-client"}},
			"an expired token":              {"iat": now - 7200, "exp": now - 3600},
			"a token that expired just now": {"iat": now - 7200, "exp": now - 1},
		} {
			_, err := v(t.Context(), encode(sign(changed(t, payload(0), claims))))
			assert.Error(t, err, name)
		}
		token := sign(payload(0))
		_, err = v(t.Context(), encode(token[:len(token)-8]+"AAAAAAAA"))
		assert.Error(t, err, "another signature")
	})
}
