package reachfivetest

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// everyScope requests the whole profile.
const everyScope = "openid profile email phone address"

// account is a user who can sign in.
type account struct {
	sub      string
	password string
	profile  map[string]any // the user's claims, by wire name
}

// identifiers returns the profile members that a user can sign in with.
func identifiers() []string { return []string{"email", "phone_number", "custom_identifier"} }

// AddUser adds a user who signs in with password and the profile's email,
// phone_number or custom_identifier. It returns the user's sub, which is random if
// the profile has none. profile holds claims by their wire names: "email",
// "given_name", "custom_fields". A profile without any of the three identifiers, or
// with one that another user has, is a mistake.
func (t *Tenant) AddUser(password string, profile map[string]any) string {
	user, err := newAccount(password, profile)
	if err == nil {
		t.mu.Lock()
		if t.taken(user) {
			err = errors.New("another user has that sub or identifier")
		} else {
			t.users = append(t.users, user)
		}
		t.mu.Unlock()
	}
	if err != nil {
		t.mistake(fmt.Errorf("AddUser: %w", err))
		return ""
	}
	return user.sub
}

func newAccount(password string, profile map[string]any) (*account, error) {
	if password == "" {
		return nil, errors.New("the password is empty")
	}
	// Encoding copies the profile deeply, and reports now what cannot be encoded.
	text, err := json.Marshal(profile)
	if err != nil {
		return nil, err
	}
	user := &account{password: password}
	if err := json.Unmarshal(text, &user.profile); err != nil {
		return nil, err
	}
	known := false
	for _, name := range identifiers() {
		value, _ := user.profile[name].(string)
		known = known || value != ""
	}
	if !known {
		return nil, errors.New("the profile has no email, phone_number or custom_identifier")
	}
	if user.sub, _ = user.profile["sub"].(string); user.sub == "" {
		user.sub = rand.Text()
		user.profile["sub"] = user.sub
	}
	return user, nil
}

// taken reports whether another user has one of user's identifiers.
func (t *Tenant) taken(user *account) bool {
	for _, name := range append(identifiers(), "sub") {
		value, _ := user.profile[name].(string)
		if value != "" && t.findUser(name, value) != nil {
			return true
		}
	}
	return false
}

// findUser returns the user whose profile has this value. The case of e-mail
// addresses does not matter.
func (t *Tenant) findUser(name, value string) *account {
	for _, user := range t.users {
		own, _ := user.profile[name].(string)
		if own == value || name == "email" && strings.EqualFold(own, value) {
			return user
		}
	}
	return nil
}

// firstUser returns the user of Token: the one added first, or the example from
// ReachFive's documentation.
func (t *Tenant) firstUser() *account {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.users) > 0 {
		return t.users[0]
	}
	return &account{sub: "AVqvOB58Fg6nZfQ0ZqXt", profile: map[string]any{
		"name":           "John Doe",
		"given_name":     "John",
		"family_name":    "Doe",
		"email":          "john.doe@example.com",
		"email_verified": true,
	}}
}

// idClaims returns the claims of an ID token for a client as ReachFive sets them:
// those of the protocol, and those of the profile that the scope contains.
func (t *Tenant) idClaims(client string, user *account, scope string, authTime time.Time) map[string]any {
	now := t.settings.now()
	claims := map[string]any{
		"new_user":      false,
		"custom_fields": map[string]any{},
		"auth_type":     "password",
	}
	maps.Copy(claims, user.profile)
	if _, ok := claims["email"]; ok && claims["email_verified"] == nil {
		claims["email_verified"] = false
	}
	if _, ok := claims["phone_number"]; ok && claims["phone_number_verified"] == nil {
		claims["phone_number_verified"] = false
	}
	scopes := strings.Fields(scope)
	for name := range claims {
		if asked := scopeOf(name); asked != "" && !slices.Contains(scopes, asked) {
			delete(claims, name)
		}
	}
	maps.Copy(claims, map[string]any{
		"iss":       t.Issuer(),
		"sub":       user.sub,
		"aud":       []string{client},
		"iat":       now.Unix(),
		"exp":       now.Add(tokenLifetime).Unix(),
		"auth_time": authTime.Unix(),
	})
	return claims
}

// scopeOf returns the scope that a claim requires (OpenID Connect Core 1.0 section
// 5.4), or "" for a claim that every token has.
func scopeOf(claim string) string {
	switch claim {
	case "name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "gender",
		"birthdate", "locale", "zoneinfo", "website", "picture", "profile", "updated_at":
		return "profile"
	case "email", "email_verified":
		return "email"
	case "phone_number", "phone_number_verified":
		return "phone"
	case "address":
		return "address"
	}
	return ""
}
