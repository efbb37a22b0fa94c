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

func TestClaimsDecodesIntoTheCallersOwnStruct(t *testing.T) {
	t.Parallel()
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

	require.ErrorIs(t, u.Claims(nil), reachfive.CodeInvalidClaim)
}

func TestClaimsOfAUserMadeByHandComeFromItsFields(t *testing.T) {
	t.Parallel()
	u := &reachfive.User{Subject: "s", UpdatedAt: time.Unix(1512138917, 0)}
	var claims map[string]any
	require.NoError(t, u.Claims(&claims))
	assert.Equal(t, map[string]any{"sub": "s", "updated_at": "2017-12-01T14:35:17.000Z"}, claims)
	u.CustomFields = json.RawMessage("{")
	err := u.Claims(&claims)
	require.ErrorIs(t, err, reachfive.CodeInvalidClaim)
	assert.ErrorContains(t, err, "the User cannot be written as JSON")
}

func TestClaimsNamesTheMemberOfAMapsStruct(t *testing.T) {
	t.Parallel()
	u, err := hs256Verifier(t, spaTime).Verify(t.Context(), hs256Raw(`{"alg":"HS256"}`,
		`{"custom_fields":{"points":"many"},`+frame[1:]+`"sub":"s"}`))
	require.NoError(t, err)
	refusal, ok := errors.AsType[*reachfive.Error](u.Claims(new(map[string]struct {
		Points int `json:"points"`
	})))
	require.True(t, ok)
	assert.Equal(t, "custom_fields.points", refusal.Claim)
}

// Else a claim would be there that no field has, once.
func TestClaimsOfAUserReadFromJSONComeFromItsFields(t *testing.T) {
	t.Parallel()
	var read reachfive.User
	require.NoError(t, json.Unmarshal([]byte(`{"iss":"i","aud":"a","exp":2,"iat":1,"sub":"s","extra":true}`), &read))
	var claims map[string]any
	require.NoError(t, read.Claims(&claims))
	assert.Equal(t, map[string]any{"iss": "i", "aud": []any{"a"}, "exp": 2.0, "iat": 1.0, "sub": "s"}, claims)
}

func TestAUserMadeByHandIsWrittenInUTC(t *testing.T) {
	t.Parallel()
	paris := time.FixedZone("Europe/Paris", 2*60*60)
	text, err := json.Marshal(&reachfive.User{UpdatedAt: time.Date(2017, 12, 1, 1, 35, 17, 218_000_000, paris)})
	require.NoError(t, err)
	assert.JSONEq(t, `{"updated_at":"2017-11-30T23:35:17.218Z"}`, string(text))
	text, err = json.Marshal(&reachfive.User{UpdatedAt: time.Date(2017, 12, 1, 1, 35, 17, 200_000_000, paris)})
	require.NoError(t, err)
	assert.JSONEq(t, `{"updated_at":"2017-11-30T23:35:17.200Z"}`, string(text))
}

func TestClaimsNamesTheMemberThatDoesNotFit(t *testing.T) {
	t.Parallel()
	u := user(t, `"sub":"s","roles":["admin"],"name":"Jane Roe","\u00e9":1,"line\nfeed":1,"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn":1,"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn":1,
		"custom_fields":{"points":"many","é":"free","jane@example.com":"yes","orders":[{"total":1},{"total":"free"}],"a.b":{"c":"d"}}`)
	for _, tt := range []struct {
		name  string
		into  any
		claim string
	}{
		{"a claim", new(struct {
			Name int `json:"name"`
		}), "name"},
		{"a field of an object", new(struct {
			Custom struct {
				Points int `json:"points"`
			} `json:"custom_fields"`
		}), "custom_fields.points"},
		{"a field behind a pointer", new(struct {
			Custom *struct {
				Points *int `json:"points,omitempty"`
			} `json:"custom_fields"`
		}), "custom_fields.points"},
		{"an element of an array", new(struct {
			Custom struct {
				Orders []struct {
					Total int `json:"total"`
				} `json:"orders"`
			} `json:"custom_fields"`
		}), "custom_fields.orders.1.total"},
		{"an array", new(struct {
			Roles []int `json:"roles"`
		}), "roles.0"},
		{"a field named by Go", new(struct {
			Custom struct{ Points int } `json:"custom_fields"`
			Roles  int                  `json:"roles"`
		}), "roles"},
		{"a field of an element of an array of two", new(struct {
			Custom struct {
				Orders [2]struct {
					Total int `json:"total"`
				} `json:"orders"`
			} `json:"custom_fields"`
		}), "custom_fields.orders.1.total"},
		{"a field of a struct whose name is in another case", new(struct {
			Custom struct {
				Points int `json:"points"`
			} `json:"Custom_Fields,case:ignore"`
		}), "custom_fields"},
		{"a field beside one of another name", new(struct {
			Custom struct {
				Points string `json:"other"`
				Second int    `json:"points"`
			} `json:"custom_fields"`
		}), "custom_fields.points"},
		{"an element of a map below the top", new(struct {
			Custom map[string]struct {
				Total int `json:"total"`
			} `json:"custom_fields"`
		}), "custom_fields"},
		{"an element of a map in an array", new(struct {
			Custom struct {
				Orders []map[string]int `json:"orders"`
			} `json:"custom_fields"`
		}), "custom_fields.orders.1"},
		{"an array for the whole", new([]int), ""},
		{"a name that is not ASCII", new(struct {
			E string `json:"é"`
		}), ""},
		{"a name below the top that is not ASCII", new(struct {
			Custom struct {
				E int `json:"é"`
			} `json:"custom_fields"`
		}), "custom_fields.é"},
		{"a name of 64 bytes", new(struct {
			N string `json:"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"`
		}), "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"},
		{"a name of 65 bytes", new(struct {
			N string `json:"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"`
		}), ""},
		{"a claim of a map", new(map[string]string), "aud"},
		{"a field of a map's struct", new(map[string]struct {
			Points int `json:"points"`
		}), "iss"},
		{"a name that is part of the value", new(struct {
			Custom map[string]int `json:"custom_fields"`
		}), "custom_fields"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := u.Claims(tt.into)
			refusal, ok := errors.AsType[*reachfive.Error](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, reachfive.CodeInvalidClaim, refusal.Code)
			assert.Equal(t, tt.claim, refusal.Claim)
			for _, value := range []string{"Jane", "jane@", "admin", "many", "yes", "free", "acme"} {
				assert.NotContains(t, err.Error(), value)
			}
		})
	}
	var odd struct {
		Feed string `json:"line\nfeed"`
	}
	err := u.Claims(&odd)
	refusal, ok := errors.AsType[*reachfive.Error](err)
	require.True(t, ok)
	assert.Empty(t, refusal.Claim, "a line feed is not for a log")
	assert.Contains(t, err.Error(), "Go type string")
}

// A session store writes a User as JSON and reads it back.
func TestAUserComesBackFromJSONWithEqualFields(t *testing.T) {
	t.Parallel()
	for _, members := range []string{
		`"sub":"s"`, `"sub":"s","address":{}`, everyClaim,
		`"sub":"s","name":"<b>&\u2028\u0000\ud83d\ude00","updated_at":"2017-12-01T14:35:17.218281828Z","amr":"pwd","custom_fields":{"a":1}`,
	} {
		want := user(t, members)
		text, err := json.Marshal(want)
		require.NoError(t, err)
		var got reachfive.User
		require.NoError(t, json.Unmarshal(text, &got), "%s", text)
		assertSameFields(t, want, &got)
		again, err := json.Marshal(got) // nbf and at_hash, which have no exported field, too
		require.NoError(t, err)
		assert.Equal(t, string(text), string(again))
		var claims struct {
			Subject string `json:"sub"`
		}
		require.NoError(t, got.Claims(&claims))
		assert.Equal(t, "s", claims.Subject)
	}

	type session struct {
		User  *reachfive.User
		Extra string
	}
	text, err := json.Marshal(session{user(t, `"sub":"s"`), "x"})
	require.NoError(t, err)
	var read session
	require.NoError(t, json.Unmarshal(text, &read))
	assert.Equal(t, "s", read.User.Subject)
}

func TestTheJSONOfAUserIsReadAsStrictlyAsAToken(t *testing.T) {
	t.Parallel()
	const good = frame + `"sub":"s"}`
	replace := func(old, with string) string {
		require.Contains(t, good, old)
		return strings.Replace(good, old, with, 1)
	}
	for _, tt := range []struct {
		name, text string
		want       reachfive.Code
		claim      string
	}{
		{"an empty object", `{}`, reachfive.CodeMissingClaim, "iss"},
		{"null", `null`, reachfive.CodeMalformedToken, ""},
		{"an array", `[]`, reachfive.CodeMalformedToken, ""},
		{"no sub", replace(`,"sub":"s"`, ``), reachfive.CodeMissingClaim, "sub"},
		{"sub empty", replace(`"sub":"s"`, `"sub":""`), reachfive.CodeInvalidClaim, "sub"},
		{"sub in Go's spelling", replace(`"sub"`, `"Subject"`), reachfive.CodeMissingClaim, "sub"},
		{"sub in capitals", replace(`"sub"`, `"SUB"`), reachfive.CodeMissingClaim, "sub"},
		{"sub twice", replace(`"sub":"s"`, `"sub":"s","sub":"admin"`), reachfive.CodeMalformedToken, ""},
		{"a name twice, deep", replace(`"sub":"s"`, `"sub":"s","custom_fields":{"a":[{"b":1,"\u0062":2}]}`), reachfive.CodeMalformedToken, ""},
		{"invalid UTF-8", replace(`"s"`, "\"\xff\""), reachfive.CodeMalformedToken, ""},
		{"too deep", replace(`"s"`, `"s","x":`+strings.Repeat("[", 16)+strings.Repeat("]", 16)), reachfive.CodeMalformedToken, ""},
		{"no aud", replace(`"aud":["AtnY5xDg4fbanentihip"],`, ``), reachfive.CodeMissingClaim, "aud"},
		{"aud empty", replace(`["AtnY5xDg4fbanentihip"]`, `[]`), reachfive.CodeWrongAudience, "aud"},
		{"exp a string", replace(`1512225317`, `"1512225317"`), reachfive.CodeInvalidClaim, "exp"},
		{"email_verified a string", replace(`"s"`, `"s","email_verified":"true"`), reachfive.CodeInvalidClaim, "email_verified"},
		{"email with a line feed", replace(`"s"`, `"s","email":"a\nb"`), reachfive.CodeInvalidClaim, "email"},
		{"the events of a logout token", replace(`"s"`, `"s","events":{}`), reachfive.CodeInvalidClaim, "events"},
		{"the scope of an access token", replace(`"s"`, `"s","scope":"x"`), reachfive.CodeInvalidClaim, "scope"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := reachfive.User{Subject: "before"}
			err := json.Unmarshal([]byte(tt.text), &u)
			refusal, ok := errors.AsType[*reachfive.Error](err)
			require.True(t, ok, "%v, and the subject %q", err, u.Subject)
			assert.Equal(t, tt.want, refusal.Code)
			assert.Equal(t, tt.claim, refusal.Claim)
			assert.Equal(t, reachfive.User{Subject: "before"}, u)
		})
	}
	var u reachfive.User
	require.NoError(t, json.Unmarshal([]byte(good), &u))
}
