package reachfive

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// User is the payload of a verified ID token (OpenID Connect Core section 2
// and 5.1, and ReachFive's own claims). A claim that the token lacks leaves its
// field at the zero value, and so does a descriptive claim of an odd type,
// which Claims still shows.
//
// A User that reaches a handler is that request's own: changing it changes
// nobody else's. It may be read by several goroutines, not changed by one
// while another reads. fmt and slog print it redacted; json.Marshal writes it
// out, and so do slog's JSON handler for a value that holds one, which it
// marshals, and fmt for a User in an unexported field of another type.
//
// https://openid.net/specs/openid-connect-core-1_0.html#IDToken
type User struct {
	// Issuer is iss: "https://" and the tenant's domain.
	Issuer string
	// Subject is sub, the user's ID at ReachFive: 1 to 255 bytes without
	// control characters. It is the only claim to key an account by.
	Subject string
	// Audience is aud, the client IDs the token was issued for: all of them
	// are ours.
	Audience []string
	// ExpiresAt is exp, in UTC, to the second.
	ExpiresAt time.Time
	// IssuedAt is iat, in UTC, to the second.
	IssuedAt time.Time
	// AuthTime is auth_time, when the user last signed in; zero if unknown.
	AuthTime time.Time
	// UpdatedAt is updated_at, when the profile last changed; zero if unknown.
	UpdatedAt time.Time
	// Nonce is the nonce of the sign-in request; compare it with Nonce.
	Nonce string
	// AuthorizedParty is azp; if there, it is a client ID of ours.
	AuthorizedParty string
	// ACR is the authentication context class reference.
	ACR string
	// AMR are the authentication methods.
	AMR []string
	// AuthType is auth_type: "password", "facebook", ...
	AuthType string
	// NewUser is new_user: the account was made by this sign-in.
	NewUser bool

	// Email is not verified unless EmailVerified says so.
	Email         string
	EmailVerified bool
	// PhoneNumber is in E.164 form, as "+33612345678", and not verified unless
	// PhoneNumberVerified says so.
	PhoneNumber         string
	PhoneNumberVerified bool

	Name              string
	GivenName         string
	FamilyName        string
	MiddleName        string
	Nickname          string
	PreferredUsername string
	// Gender is "female", "male", "other" or empty.
	Gender string
	// Birthdate is as the provider wrote it, normally "1983-11-13".
	Birthdate string
	// Locale is as the provider wrote it: "en_US" or "en".
	Locale   string
	Zoneinfo string
	Website  string
	Picture  string
	Profile  string
	// Address is nil where the token has none.
	Address *Address

	// CustomIdentifier is custom_identifier, a login name other than e-mail
	// and phone number.
	CustomIdentifier string
	// ExternalID is external_id, the user's ID in a system of yours.
	ExternalID string
	// CustomFields is custom_fields, a JSON object as it stands in the token;
	// nil where the token has none.
	CustomFields json.RawMessage

	payload         string    // the whole payload, for Claims; "" in a User made by hand
	notBefore       time.Time // nbf
	accessTokenHash string    // at_hash
	clock           *clock    // the verifier's, for Checks; nil in a User made by hand
}

// Address is the address claim (OpenID Connect Core section 5.1.1). Every
// field may be empty.
//
// https://openid.net/specs/openid-connect-core-1_0.html#AddressClaim
type Address struct {
	Formatted     string `json:"formatted,omitempty"`
	StreetAddress string `json:"street_address,omitempty"`
	Locality      string `json:"locality,omitempty"`
	Region        string `json:"region,omitempty"`
	PostalCode    string `json:"postal_code,omitempty"`
	Country       string `json:"country,omitempty"`
}

// Claims decodes the whole payload into v, a pointer to a struct with json
// tags or to a map. Names match exactly, case included, and a claim of the
// wrong type is an error, CodeInvalidClaim, that tells no value. A User made
// by hand is decoded from its fields.
func (u *User) Claims(v any) error {
	payload := []byte(u.payload)
	if u.payload == "" {
		var err error
		if payload, err = json.Marshal(u); err != nil {
			return &Error{Code: CodeInvalidClaim, detail: "the User cannot be written as JSON"}
		}
	}
	if err := jsonv2.Unmarshal(payload, v); err != nil {
		detail := "the claims do not fit the destination"
		// The decoder's text quotes the payload; the Go type is ours.
		if semantic, ok := errors.AsType[*jsonv2.SemanticError](err); ok && semantic.GoType != nil {
			detail = "a claim does not fit the Go type " + semantic.GoType.String()
		}
		return &Error{Code: CodeInvalidClaim, detail: detail}
	}
	return nil
}

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

// MarshalJSON writes the claims under their names on the wire, empty ones left
// out: exp, iat, nbf and auth_time in seconds, updated_at in RFC 3339. It is
// the way to hand a profile on, and the only one that is not redacted.
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
		wire.UpdatedAt = u.UpdatedAt.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	}
	return json.Marshal(wire)
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// redactedUser is all that fmt and slog show of a User.
const redactedUser = "reachfive.User(redacted)"

// Format prints a redacted form for every verb.
func (u User) Format(f fmt.State, verb rune) { formatRedacted(f, verb, redactedUser) }

// LogValue gives slog the redacted form.
func (u User) LogValue() slog.Value { return slog.StringValue(redactedUser) }

// userBox holds a User and, for nearly every token, its audience too, in one
// allocation.
type userBox struct {
	User
	audience [1]string
}

// clone returns a deep copy.
func (u *User) clone() *User {
	box := new(userBox)
	box.User = *u
	c := &box.User
	c.Audience = append(box.audience[:0], u.Audience...)
	c.AMR = slices.Clone(u.AMR)
	if u.Address != nil {
		address := *u.Address
		c.Address = &address
	}
	c.CustomFields = slices.Clone(u.CustomFields)
	return c
}

// newUser fills a User from the claims of a payload, each by its own type, and
// tells absent, null and present apart. It judges what stands on its own: type
// and range. What depends on the configuration or the time is the Verifier's.
func newUser(p *claimSet, allowAccessToken bool) (*User, error) {
	box := new(userBox)
	u := &box.User
	u.payload = p.payload
	r := claimReader{claimSet: p}

	u.Issuer = r.required(claimIss)
	u.Audience = r.audience(box.audience[:0])
	u.AuthorizedParty = r.authorizedParty()
	u.ExpiresAt = r.time(claimExp, true)
	u.IssuedAt = r.time(claimIat, true)
	u.notBefore = r.time(claimNbf, false)
	u.AuthTime = r.time(claimAuthTime, false)
	u.Subject = r.subject()
	r.forbid(allowAccessToken)
	u.Email = r.identity(claimEmail)
	u.EmailVerified = r.identityBool(claimEmailVerified)
	u.PhoneNumber = r.identity(claimPhoneNumber)
	u.PhoneNumberVerified = r.identityBool(claimPhoneNumberVerified)
	if r.err != nil {
		return nil, r.err
	}

	u.UpdatedAt = r.dateTime(claimUpdatedAt)
	u.Nonce = r.text(claimNonce)
	u.accessTokenHash = r.text(claimAtHash)
	u.ACR = r.text(claimACR)
	u.AMR = r.methods()
	u.AuthType = r.text(claimAuthType)
	u.NewUser = r.raw(claimNewUser) == "true"
	u.Name = r.text(claimName)
	u.GivenName = r.text(claimGivenName)
	u.FamilyName = r.text(claimFamilyName)
	u.MiddleName = r.text(claimMiddleName)
	u.Nickname = r.text(claimNickname)
	u.PreferredUsername = r.text(claimPreferredUsername)
	u.Gender = r.text(claimGender)
	u.Birthdate = r.text(claimBirthdate)
	u.Locale = r.text(claimLocale)
	u.Zoneinfo = r.text(claimZoneinfo)
	u.Website = r.text(claimWebsite)
	u.Picture = r.text(claimPicture)
	u.Profile = r.text(claimProfile)
	u.Address = readAddress(r.raw(claimAddress))
	u.CustomIdentifier = r.text(claimCustomIdentifier)
	u.ExternalID = r.text(claimExternalID)
	if raw := r.raw(claimCustomFields); strings.HasPrefix(raw, "{") {
		u.CustomFields = json.RawMessage(raw)
	}
	return u, nil
}

// readAddress reads an address claim, nil if it is none. ReachFive writes an
// object; one of its SDKs types it as an array of them.
func readAddress(raw string) *Address {
	if strings.HasPrefix(raw, "[") {
		var several []jsontext.Value
		if jsonv2.Unmarshal([]byte(raw), &several) != nil || len(several) == 0 {
			return nil
		}
		raw = string(several[0])
	}
	if !strings.HasPrefix(raw, "{") {
		return nil
	}
	var members map[string]any
	if jsonv2.Unmarshal([]byte(raw), &members) != nil {
		return nil
	}
	member := func(snake, camel string) string {
		value, snakeStands := members[snake]
		if !snakeStands {
			value = members[camel]
		}
		text, _ := value.(string)
		return text
	}
	return &Address{
		Formatted:     member("formatted", "formatted"),
		StreetAddress: member("street_address", "streetAddress"),
		Locality:      member("locality", "locality"),
		Region:        member("region", "region"),
		PostalCode:    member("postal_code", "postalCode"),
		Country:       member("country", "country"),
	}
}
