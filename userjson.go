package reachfive

import (
	"cmp"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	jsonv2 "github.com/go-json-experiment/json"
)

// wireUser gives a User its names on the wire.
type wireUser struct {
	Issuer              string          `json:"iss,omitempty"`
	Subject             string          `json:"sub,omitempty"`
	Audience            []string        `json:"aud,omitempty"`
	ExpiresAt           int64           `json:"exp,omitempty"`
	IssuedAt            int64           `json:"iat,omitempty"`
	NotBefore           int64           `json:"nbf,omitempty"`
	AuthTime            int64           `json:"auth_time,omitempty"`
	UpdatedAt           string          `json:"updated_at,omitempty"`
	Nonce               string          `json:"nonce,omitempty"`
	AccessTokenHash     string          `json:"at_hash,omitempty"`
	AuthorizedParty     string          `json:"azp,omitempty"`
	ACR                 string          `json:"acr,omitempty"`
	AMR                 []string        `json:"amr,omitempty"`
	AuthType            string          `json:"auth_type,omitempty"`
	NewUser             bool            `json:"new_user,omitempty"`
	Email               string          `json:"email,omitempty"`
	EmailVerified       bool            `json:"email_verified,omitempty"`
	PhoneNumber         string          `json:"phone_number,omitempty"`
	PhoneNumberVerified bool            `json:"phone_number_verified,omitempty"`
	Name                string          `json:"name,omitempty"`
	GivenName           string          `json:"given_name,omitempty"`
	FamilyName          string          `json:"family_name,omitempty"`
	MiddleName          string          `json:"middle_name,omitempty"`
	Nickname            string          `json:"nickname,omitempty"`
	PreferredUsername   string          `json:"preferred_username,omitempty"`
	Gender              string          `json:"gender,omitempty"`
	Birthdate           string          `json:"birthdate,omitempty"`
	Locale              string          `json:"locale,omitempty"`
	Zoneinfo            string          `json:"zoneinfo,omitempty"`
	Website             string          `json:"website,omitempty"`
	Picture             string          `json:"picture,omitempty"`
	Profile             string          `json:"profile,omitempty"`
	Address             *Address        `json:"address,omitempty"`
	CustomIdentifier    string          `json:"custom_identifier,omitempty"`
	ExternalID          string          `json:"external_id,omitempty"`
	CustomFields        json.RawMessage `json:"custom_fields,omitempty"`
}

// MarshalJSON writes the claims that a User has fields for under their names on
// the wire, empty ones left out: exp, iat, nbf and auth_time in seconds,
// updated_at in RFC 3339. Its output is not redacted; use it to pass a profile
// on or to store it in a session, and UnmarshalJSON to read it back.
func (u User) MarshalJSON() ([]byte, error) {
	wire := wireUser{
		Issuer: u.Issuer, Subject: u.Subject, Audience: u.Audience,
		ExpiresAt: seconds(u.ExpiresAt), IssuedAt: seconds(u.IssuedAt),
		NotBefore: seconds(u.notBefore), AuthTime: seconds(u.AuthTime),
		Nonce: u.Nonce, AccessTokenHash: u.accessTokenHash, AuthorizedParty: u.AuthorizedParty,
		ACR: u.ACR, AMR: u.AMR, AuthType: u.AuthType, NewUser: u.NewUser,
		Email: u.Email, EmailVerified: u.EmailVerified,
		PhoneNumber: u.PhoneNumber, PhoneNumberVerified: u.PhoneNumberVerified,
		Name: u.Name, GivenName: u.GivenName, FamilyName: u.FamilyName,
		MiddleName: u.MiddleName, Nickname: u.Nickname, PreferredUsername: u.PreferredUsername,
		Gender: u.Gender, Birthdate: u.Birthdate, Locale: u.Locale, Zoneinfo: u.Zoneinfo,
		Website: u.Website, Picture: u.Picture, Profile: u.Profile, Address: u.Address,
		CustomIdentifier: u.CustomIdentifier, ExternalID: u.ExternalID, CustomFields: u.CustomFields,
	}
	if !u.UpdatedAt.IsZero() {
		layout := "2006-01-02T15:04:05.000Z07:00" // as ReachFive writes it
		if u.UpdatedAt.Nanosecond()%int(time.Millisecond) != 0 {
			layout = time.RFC3339Nano
		}
		wire.UpdatedAt = u.UpdatedAt.UTC().Format(layout)
	}
	return json.Marshal(wire)
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// UnmarshalJSON reads what MarshalJSON wrote, for example from a session store.
// It verifies nothing: there is no signature, and it does not look at the clock,
// the issuer or the client. Never give it JSON that a client could have written.
//
// It is as strict as Verify is with the payload of a token: iss, aud, exp, iat
// and sub are required, claims have their types, and no member occurs twice. An
// error is an *Error with CodeMalformedToken, CodeMissingClaim, CodeInvalidClaim
// or CodeWrongAudience, and leaves the User unchanged.
//
// The fields of a User that Verify returned come back equal; only the white
// space and the escapes within CustomFields may differ. Claims that User has no
// field for are lost. Checks of the User use time.Now.
func (u *User) UnmarshalJSON(text []byte) error {
	var (
		r   objectReader
		set claimSet
	)
	if err := set.read(&r, text); err != nil {
		return err
	}
	read, err := newUser(&set, false)
	if err != nil {
		return err
	}
	if len(read.Audience) == 0 {
		return refuseClaim(CodeWrongAudience, claimAud.wireName())
	}
	*u = *read
	u.Audience = slices.Clone(read.Audience) // which is in read's own memory
	u.payload = ""                           // Claims is to agree with the fields
	return nil
}

// Claims decodes the whole payload into v, a pointer to a struct with json tags
// or to a map. Names match exactly, case included. A claim that does not fit its
// destination is an *Error with CodeInvalidClaim, whose Claim names the member,
// such as "custom_fields.points"; the error never contains the value. For a User
// that no Verifier made, Claims decodes the User's fields.
func (u *User) Claims(v any) error {
	payload := []byte(u.payload)
	if u.payload == "" {
		var err error
		if payload, err = json.Marshal(u); err != nil {
			return &Error{Code: CodeInvalidClaim, detail: "the User cannot be written as JSON"}
		}
	}
	if err := jsonv2.Unmarshal(payload, v); err != nil {
		refusal := &Error{Code: CodeInvalidClaim, detail: "the claims do not fit the destination"}
		// The decoder's text quotes the payload, so only its Go type is used.
		if semantic, ok := errors.AsType[*jsonv2.SemanticError](err); ok && semantic.GoType != nil {
			refusal.detail = "the claim does not fit the Go type " + semantic.GoType.String()
			refusal.Claim = memberPath(reflect.TypeOf(v), semantic.JSONPointer.Tokens())
		}
		return refusal
	}
	return nil
}

// memberPath joins the names and array positions that lead to a member. Below
// the top level it tells only names that are in the Go type: those of a map are
// part of the claim's value and might be an e-mail address.
func memberPath(t reflect.Type, tokens func(yield func(string) bool)) string {
	var path []string
	for token := range tokens {
		for t != nil && t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		isTop := len(path) == 0
		switch {
		case t != nil && t.Kind() == reflect.Struct:
			t = fieldType(t, token)
		case t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && !isTop,
			t != nil && t.Kind() == reflect.Map && isTop:
			t = t.Elem()
		default:
			t = nil
		}
		if isTop && !isPlainName(token) || !isTop && t == nil {
			break
		}
		path = append(path, token)
	}
	return strings.Join(path, ".")
}

// fieldType returns the type of the struct's field for a member of this name,
// and nil if it has none.
func fieldType(t reflect.Type, name string) reflect.Type {
	for _, field := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.IsExported() && name == cmp.Or(tag, field.Name) {
			return field.Type
		}
	}
	return nil
}

// isPlainName reports whether a claim's name can be part of an error's text.
func isPlainName(name string) bool {
	return len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) })
}
