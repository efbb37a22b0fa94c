package reachfivetest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// serveConfig serves what the browser SDK requests first. Because is_public is
// true, the SDK uses PKCE.
func (t *Tenant) serveConfig(w http.ResponseWriter, r *http.Request) {
	if !t.isClient(r.URL.Query().Get("client_id")) {
		unknownClient().write(w)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"sso":                        false,
		"sms":                        false,
		"web_authn":                  false,
		"language":                   "en",
		"pkce_enforced":              true,
		"is_public":                  true,
		"is_implicit_flow_forbidden": true,
		"social_providers":           []string{},
		"password_policy":            map[string]any{"minLength": 8, "minStrength": 2, "allowUpdateWithAccessTokenOnly": true},
		"consents":                   []string{},
		"custom_fields":              []string{},
		"resource_base_url":          t.Issuer() + "/hassets/sdk",
		"mfa_sms_enabled":            false,
		"mfa_email_enabled":          false,
		"rba_enabled":                false,
		"login_type_allowed":         map[string]bool{"email": true, "phone_number": true, "custom_identifier": false},
	})
}

// serveSignup adds a user and signs the user in, as servePasswordLogin does for an
// existing user.
func (t *Tenant) serveSignup(w http.ResponseWriter, r *http.Request) {
	var signup struct {
		ClientID string         `json:"client_id"`
		Scope    string         `json:"scope"`
		Data     map[string]any `json:"data"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&signup); err != nil {
		invalidRequest("The body is not JSON").write(w)
		return
	}
	if !t.isClient(signup.ClientID) {
		unknownClient().write(w)
		return
	}
	password, _ := signup.Data["password"].(string)
	for _, own := range []string{"password", "sub", "email_verified", "phone_number_verified", "new_user"} {
		delete(signup.Data, own) // a user may not set these
	}
	user, err := newAccount(password, signup.Data)
	if err != nil {
		invalidRequest("A sign-up needs an identifier and a password").write(w)
		return
	}
	t.mu.Lock()
	taken := t.taken(user)
	if !taken {
		t.users = append(t.users, user)
	}
	t.mu.Unlock()
	if taken {
		oauthError{http.StatusConflict, "email_already_exists", "Another account has that identifier"}.write(w)
		return
	}
	now := t.settings.now()
	tkn := t.put(tkns, signIn{client: signup.ClientID, user: user, scope: signup.Scope, authTime: now, until: now.Add(tknLifetime), newUser: true})
	writeJSON(w, http.StatusOK, map[string]any{"id": user.sub, "tkn": tkn})
}

// serveUserinfo answers an access token with its user's profile (OpenID
// Connect Core 1.0 section 5.3), or with the members of it that fields names.
func (t *Tenant) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	t.mu.Lock()
	s, ok := t.signIns.access[token]
	t.mu.Unlock()
	if !ok || !t.settings.now().Before(s.until) {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		oauthError{http.StatusUnauthorized, "invalid_token", "The access token is unknown, expired or revoked"}.write(w)
		return
	}
	claims := t.idClaims(s.client, s.user, s.scope, s.authTime)
	for _, name := range []string{"iss", "aud", "iat", "exp", "auth_time", "auth_type", "new_user"} {
		delete(claims, name) // they describe a sign-in, not a profile
	}
	claims["id"] = s.user.sub
	if fields := r.URL.Query().Get("fields"); fields != "" {
		wanted := strings.FieldsFunc(fields, func(c rune) bool { return c == ',' || c == ' ' })
		for name := range claims {
			if !slices.Contains(wanted, name) {
				delete(claims, name)
			}
		}
	}
	writeJSON(w, http.StatusOK, claims)
}

// serveRevoke revokes an access or a refresh token. As RFC 7009 section 2 requires,
// an unknown token gets the same answer, and another client's token is refused.
func (t *Tenant) serveRevoke(w http.ResponseWriter, r *http.Request) {
	var revoke struct {
		ClientID string `json:"client_id"`
		Token    string `json:"token"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&revoke); err != nil {
		invalidRequest("The body is not JSON").write(w)
		return
	}
	if !t.isClient(revoke.ClientID) {
		unknownClient().write(w)
		return
	}
	if !t.revoke(revoke.ClientID, revoke.Token) {
		invalidGrant().write(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// revoke forgets a token. It returns false for a token of another client.
func (t *Tenant) revoke(client, token string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, issued := range []map[string]signIn{t.signIns.access, t.signIns.refresh} {
		if s, ok := issued[token]; ok && s.client != client {
			return false
		}
		delete(issued, token)
	}
	return true
}

// serveLogout redirects the browser back. The tenant keeps no session of its own
// (sso is false in its config), so there is nothing to end.
func (t *Tenant) serveLogout(w http.ResponseWriter, r *http.Request) {
	back := r.URL.Query().Get("redirect_to")
	switch {
	case back == "":
		w.WriteHeader(http.StatusNoContent)
	case !t.mayReturnTo(back):
		invalidRequest("The redirect_to is not one of the client's").write(w)
	default:
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", back)
		w.WriteHeader(http.StatusFound)
	}
}

// mayReturnTo reports whether uri is a page of an origin that sign-ins return to.
func (t *Tenant) mayReturnTo(uri string) bool {
	return isRedirectURI(uri) && t.isPageOrigin(originOf(uri))
}
