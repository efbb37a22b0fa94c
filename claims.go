package reachfive

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// User is the payload of a verified ID token: the claims of OpenID Connect Core
// sections 2 and 5.1, and ReachFive's own. A claim that the token lacks leaves
// its field at the zero value. So does a descriptive claim of an unexpected
// type; Claims still shows it.
//
// A User that reaches a handler belongs to that request: changing it changes no
// other request's User. Several goroutines may read a User as long as none
// changes it. fmt and slog print a User redacted. Three things print its claims:
// json.Marshal, slog's JSON handler for a value that contains a User, and fmt
// for a User in an unexported field of another type.
//
// https://openid.net/specs/openid-connect-core-1_0.html#IDToken
type User struct {
	// Issuer is iss, the configured issuer of the Verifier: "https://" and the
	// tenant's domain, unless WithIssuer set another.
	Issuer string
	// Subject is sub, the user's ID at ReachFive: 1 to 255 bytes without
	// control characters. Key accounts by it, and by no other claim. Keeping
	// only the Subject of a User does not keep the rest in memory.
	Subject string
	// Audience is aud, the client IDs that the token was issued for. The
	// Verifier is configured for all of them.
	Audience []string
	// ExpiresAt is exp, in UTC, to the second.
	ExpiresAt time.Time
	// IssuedAt is iat, in UTC, to the second.
	IssuedAt time.Time
	// AuthTime is auth_time, when the user last signed in; zero if unknown.
	AuthTime time.Time
	// UpdatedAt is updated_at, when the profile last changed; zero if unknown.
	UpdatedAt time.Time
	// Nonce is the nonce of the sign-in request. The Check that Nonce returns
	// compares it.
	Nonce string
	// AuthorizedParty is azp, one of the Verifier's client IDs, or empty.
	AuthorizedParty string
	// ACR is the authentication context class reference.
	ACR string
	// AMR are the authentication methods; empty if the token names more than
	// 64.
	AMR []string
	// AuthType is auth_type: "password", "facebook", ...
	AuthType string
	// NewUser is new_user: this sign-in created the account.
	NewUser bool

	// Email has no control characters. It is not verified unless EmailVerified
	// is set.
	Email         string
	EmailVerified bool
	// PhoneNumber is normally in E.164 form, such as "+33612345678". It has no
	// control characters. It is not verified unless PhoneNumberVerified is set.
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
	// Address is nil if the token has none.
	Address *Address

	// CustomIdentifier is custom_identifier, a login name other than e-mail
	// and phone number.
	CustomIdentifier string
	// ExternalID is external_id, the user's ID in a system of yours.
	ExternalID string
	// CustomFields is custom_fields, the text of a JSON object exactly as in the
	// token; nil if the token has none.
	CustomFields json.RawMessage

	payload         string    // the whole payload, for Claims; "" unless a Verifier made the User
	notBefore       time.Time // nbf
	accessTokenHash string    // at_hash
	clock           *clock    // the Verifier's, for Checks; nil unless a Verifier made the User
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

// newUser makes a User of the claims of a payload. It distinguishes absent, null
// and present claims. It checks each claim by itself: its presence, type and
// range. Verifier.checkParties and checkTimes then check what depends on the
// configuration and on the time.
//
// The order of the calls decides which refusal a token with several faults gets.
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
	u.Email = r.identityText(claimEmail)
	u.EmailVerified = r.identityBool(claimEmailVerified)
	u.PhoneNumber = r.identityText(claimPhoneNumber)
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

// readAddress reads an address claim and returns nil for a value of another
// type. ReachFive writes an object; one of its SDKs declares an array of objects.
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
		value, found := members[snake]
		if !found {
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
