package reachfive

import (
	"encoding/json"
	"time"
)

// User is the payload of a verified ID token.
type User struct {
	Issuer, Subject                          string
	Audience                                 []string
	ExpiresAt, IssuedAt, AuthTime, UpdatedAt time.Time
	Nonce, AuthorizedParty, ACR              string
	AMR                                      []string
	AuthType                                 string
	NewUser                                  bool
	Email                                    string
	EmailVerified                            bool
	PhoneNumber                              string
	PhoneNumberVerified                      bool
	Name, GivenName, FamilyName, MiddleName  string
	Nickname, PreferredUsername              string
	Gender, Birthdate, Locale, Zoneinfo      string
	Website, Picture, Profile                string
	Address                                  *Address
	CustomIdentifier, ExternalID             string
	CustomFields                             json.RawMessage
}

// Address is the address claim.
type Address struct {
	Formatted, StreetAddress, Locality, Region, PostalCode, Country string
}

// Claims is skeleton.
func (u *User) Claims(v any) error { return nil }
