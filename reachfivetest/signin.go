package reachfivetest

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// webMessage is the response_mode of a sign-in in a hidden frame.
const webMessage = "web_message"

// How long each step of a sign-in is valid.
const (
	tknLifetime  = 5 * time.Minute
	codeLifetime = time.Minute
)

// signIns holds the sign-ins in progress, by the secret that continues each.
type signIns struct {
	tkns    map[string]signIn // from a login to /oauth/authorize
	codes   map[string]signIn // from there to /oauth/token
	refresh map[string]signIn // from there to the next tokens
	access  map[string]signIn // from there to the profile
}

// signIn is what a tkn, a code, an access token or a refresh token refers to.
type signIn struct {
	client      string // the client ID that it belongs to
	user        *account
	scope       string
	authTime    time.Time
	until       time.Time // when a tkn, a code or an access token expires
	redirectURI string    // of a code
	challenge   string    // of a code: S256 of PKCE, "" without
	nonce       string
	newUser     bool // the sign-in that follows a sign-up
}

// put stores s under a new secret, and returns the secret.
func (t *Tenant) put(kept func(*signIns) *map[string]signIn, s signIn) string {
	secret := rand.Text()
	t.keep(kept, secret, s)
	return secret
}

func (t *Tenant) keep(kept func(*signIns) *map[string]signIn, secret string, s signIn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := kept(&t.signIns)
	if *m == nil {
		*m = map[string]signIn{}
	}
	(*m)[secret] = s
}

// take returns what secret refers to, and forgets it: each secret works once.
func (t *Tenant) take(kept func(*signIns) *map[string]signIn, secret string) (signIn, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := *kept(&t.signIns)
	s, ok := m[secret]
	delete(m, secret)
	return s, ok && (s.until.IsZero() || t.settings.now().Before(s.until))
}

func tkns(s *signIns) *map[string]signIn          { return &s.tkns }
func codes(s *signIns) *map[string]signIn         { return &s.codes }
func refreshTokens(s *signIns) *map[string]signIn { return &s.refresh }
func accessTokens(s *signIns) *map[string]signIn  { return &s.access }

// servePasswordLogin is the first step of the browser SDK's loginWithPassword: it
// exchanges an identifier and a password for a tkn.
func (t *Tenant) servePasswordLogin(w http.ResponseWriter, r *http.Request) {
	var login struct {
		ClientID         string `json:"client_id"`
		Scope            string `json:"scope"`
		Email            string `json:"email"`
		PhoneNumber      string `json:"phone_number"`
		CustomIdentifier string `json:"custom_identifier"`
		Password         string `json:"password"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&login); err != nil {
		invalidRequest("The body is not JSON").write(w)
		return
	}
	if !t.isClient(login.ClientID) {
		unknownClient().write(w)
		return
	}
	user := t.authenticate(map[string]string{
		"email":             login.Email,
		"phone_number":      login.PhoneNumber,
		"custom_identifier": login.CustomIdentifier,
	}, login.Password)
	if user == nil {
		writeJSON(w, http.StatusUnauthorized, map[string]any{
			"error":             "invalid_grant",
			"error_id":          rand.Text(),
			"error_description": "Invalid email or password",
			"error_user_msg":    "Invalid email or password",
			"error_message_key": "error.invalidEmailOrPassword",
		})
		return
	}
	now := t.settings.now()
	tkn := t.put(tkns, signIn{client: login.ClientID, user: user, scope: login.Scope, authTime: now, until: now.Add(tknLifetime)})
	writeJSON(w, http.StatusOK, map[string]any{"tkn": tkn})
}

// authenticate returns the user with one of the identifiers and the password.
func (t *Tenant) authenticate(given map[string]string, password string) *account {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, value := range given {
		if value == "" {
			continue
		}
		user := t.findUser(name, value)
		if user != nil && subtle.ConstantTimeCompare([]byte(user.password), []byte(password)) == 1 {
			return user
		}
	}
	return nil
}

// serveAuthorize is the authorization endpoint (OpenID Connect Core 1.0
// section 3.1.2): it exchanges a tkn for a code.
func (t *Tenant) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	redirectURI := q.Get("redirect_uri")
	// Without a valid client and redirect URI nothing is redirected, not even an
	// error (RFC 6749 section 4.1.2.1).
	switch {
	case !t.isClient(q.Get("client_id")):
		unknownClient().write(w)
		return
	case !t.mayRedirectTo(redirectURI), q.Get("response_mode") == webMessage && originOf(redirectURI) == "":
		invalidRequest("The redirect_uri is not one of the client's").write(w)
		return
	}
	answer := url.Values{}
	if q.Has("state") {
		answer.Set("state", q.Get("state"))
	}
	code, refused := t.authorize(q)
	if refused != nil {
		answer.Set("error", refused.code)
		answer.Set("error_description", refused.description)
	} else {
		answer.Set("code", code)
	}
	if q.Get("response_mode") == webMessage {
		writeWebMessage(w, redirectURI, answer)
		return
	}
	redirect(w, redirectURI, answer)
}

// authorize exchanges the tkn of a request for a code.
func (t *Tenant) authorize(q url.Values) (string, *oauthError) {
	refuse := func(code, description string) (string, *oauthError) {
		return "", &oauthError{http.StatusFound, code, description}
	}
	switch {
	case q.Get("response_type") != "code":
		return refuse("unsupported_response_type", "The response_type must be code")
	case !slices.Contains([]string{"", "query", webMessage}, q.Get("response_mode")):
		return refuse("invalid_request", "The response_mode must be query or web_message")
	case q.Has("code_challenge") && q.Get("code_challenge_method") != "S256":
		return refuse("invalid_request", "The code_challenge_method must be S256")
	case q.Has("code_challenge") && len(q.Get("code_challenge")) != 43:
		return refuse("invalid_request", "The code_challenge is not a SHA-256 digest")
	}
	s, ok := t.take(tkns, q.Get("tkn"))
	if !ok || s.client != q.Get("client_id") {
		return refuse("login_required", "Nobody is signed in")
	}
	if q.Has("scope") {
		s.scope = q.Get("scope")
	}
	s.redirectURI = q.Get("redirect_uri")
	s.challenge = q.Get("code_challenge")
	s.nonce = q.Get("nonce")
	s.until = t.settings.now().Add(codeLifetime)
	return t.put(codes, s), nil
}

func (t *Tenant) mayRedirectTo(uri string) bool {
	if len(t.settings.redirectURIs) > 0 {
		return slices.Contains(t.settings.redirectURIs, uri)
	}
	return isRedirectURI(uri)
}

// redirect adds the answer to the query of uri.
func redirect(w http.ResponseWriter, uri string, answer url.Values) {
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", uri+separator+answer.Encode())
	w.WriteHeader(http.StatusFound)
}

func invalidRequest(description string) oauthError {
	return oauthError{http.StatusBadRequest, "invalid_request", description}
}

func unknownClient() oauthError {
	return oauthError{http.StatusUnauthorized, "invalid_client", "The tenant has no such client"}
}
