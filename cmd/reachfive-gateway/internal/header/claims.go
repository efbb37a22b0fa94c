package header

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive"
)

// claim reads a claim of a user as the value of a header, already encoded, and
// "" if the token does not have it.
type claim func(*reachfive.User) string

// customFields begins the name of a claim that the tenant has defined.
const customFields = "custom_fields."

// claimOf finds the claim of a name as it is in a token.
func claimOf(name string) (claim, error) {
	if field, ok := strings.CutPrefix(name, customFields); ok && field != "" {
		return customField(field), nil
	}
	read, known := claims()[name]
	if !known {
		return nil, errors.New("want one of " + strings.Join(slices.Sorted(maps.Keys(claims())), ", ") + ", or custom_fields. and the name of a field")
	}
	return read, nil
}

func claims() map[string]claim {
	text := func(read func(*reachfive.User) string) claim {
		return func(u *reachfive.User) string { return encode(read(u), false) }
	}
	seconds := func(read func(*reachfive.User) time.Time) claim {
		return func(u *reachfive.User) string {
			if at := read(u); !at.IsZero() {
				return strconv.FormatInt(at.Unix(), 10)
			}
			return ""
		}
	}
	return map[string]claim{
		// Unverified addresses are anybody's: whoever signs up chooses them.
		"email": text(func(u *reachfive.User) string {
			if !u.EmailVerified {
				return ""
			}
			return u.Email
		}),
		"phone_number": text(func(u *reachfive.User) string {
			if !u.PhoneNumberVerified {
				return ""
			}
			return u.PhoneNumber
		}),
		"name":               text(func(u *reachfive.User) string { return u.Name }),
		"given_name":         text(func(u *reachfive.User) string { return u.GivenName }),
		"family_name":        text(func(u *reachfive.User) string { return u.FamilyName }),
		"middle_name":        text(func(u *reachfive.User) string { return u.MiddleName }),
		"nickname":           text(func(u *reachfive.User) string { return u.Nickname }),
		"preferred_username": text(func(u *reachfive.User) string { return u.PreferredUsername }),
		"gender":             text(func(u *reachfive.User) string { return u.Gender }),
		"birthdate":          text(func(u *reachfive.User) string { return u.Birthdate }),
		"locale":             text(func(u *reachfive.User) string { return u.Locale }),
		"zoneinfo":           text(func(u *reachfive.User) string { return u.Zoneinfo }),
		"picture":            text(func(u *reachfive.User) string { return u.Picture }),
		"external_id":        text(func(u *reachfive.User) string { return u.ExternalID }),
		"custom_identifier":  text(func(u *reachfive.User) string { return u.CustomIdentifier }),
		"acr":                text(func(u *reachfive.User) string { return u.ACR }),
		"auth_type":          text(func(u *reachfive.User) string { return u.AuthType }),
		"amr":                func(u *reachfive.User) string { return encodeList(u.AMR) },
		"auth_time":          seconds(func(u *reachfive.User) time.Time { return u.AuthTime }),
		"iat":                seconds(func(u *reachfive.User) time.Time { return u.IssuedAt }),
		"updated_at":         seconds(func(u *reachfive.User) time.Time { return u.UpdatedAt }),
	}
}

// customField reads a custom field that is text, a number or a boolean.
func customField(name string) claim {
	return func(u *reachfive.User) string {
		var fields map[string]json.RawMessage
		if json.Unmarshal(u.CustomFields, &fields) != nil {
			return ""
		}
		raw := fields[name]
		if len(raw) == 0 {
			return ""
		}
		switch raw[0] {
		case '"':
			var text string
			if json.Unmarshal(raw, &text) != nil {
				return ""
			}
			return encode(text, false)
		case '{', '[', 'n': // n is null
			return ""
		}
		return encode(string(raw), false)
	}
}
