package reachfivetest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"
)

// tokenRequest is the body of /oauth/token: JSON, or a form from a server.
type tokenRequest struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	GrantType    string `json:"grant_type"`
	Code         string `json:"code"`
	CodeVerifier string `json:"code_verifier"`
	RedirectURI  string `json:"redirect_uri"`
	RefreshToken string `json:"refresh_token"`
}

// serveToken is the token endpoint (OpenID Connect Core 1.0 section 3.1.3).
func (t *Tenant) serveToken(w http.ResponseWriter, r *http.Request) {
	req, err := readTokenRequest(w, r)
	if err != nil {
		invalidRequest("The body is neither JSON nor a form").write(w)
		return
	}
	withSecret := req.ClientSecret != ""
	// Only the client of WithClientID has a secret.
	if !t.isClient(req.ClientID) || withSecret && (req.ClientID != t.ClientID || !same(req.ClientSecret, t.ClientSecret)) {
		unknownClient().write(w)
		return
	}
	var s signIn
	var refused *oauthError
	switch req.GrantType {
	case "authorization_code":
		s, refused = t.redeemCode(req, withSecret)
	case "refresh_token":
		s, refused = t.redeemRefreshToken(req)
	default:
		refused = &oauthError{http.StatusBadRequest, "unsupported_grant_type", "The tenant does not support this grant"}
	}
	if refused != nil {
		refused.write(w)
		return
	}
	t.writeTokens(w, s)
}

func readTokenRequest(w http.ResponseWriter, r *http.Request) (tokenRequest, error) {
	var req tokenRequest
	body := http.MaxBytesReader(w, r.Body, maxBody)
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return req, err
	}
	switch mediaType {
	case "application/json":
		err := json.NewDecoder(body).Decode(&req)
		return req, err
	case "application/x-www-form-urlencoded":
		r.Body = body
		err := r.ParseForm()
		return tokenRequest{
			ClientID:     r.PostForm.Get("client_id"),
			ClientSecret: r.PostForm.Get("client_secret"),
			GrantType:    r.PostForm.Get("grant_type"),
			Code:         r.PostForm.Get("code"),
			CodeVerifier: r.PostForm.Get("code_verifier"),
			RedirectURI:  r.PostForm.Get("redirect_uri"),
			RefreshToken: r.PostForm.Get("refresh_token"),
		}, err
	}
	return req, errors.New("neither JSON nor a form")
}

// redeemCode redeems a code, which works once, even if the rest of the request is
// wrong. A code is bound to its client and its redirect_uri (RFC 6749 section 4.1.3)
// and to its code_challenge (RFC 7636 section 4.6). A client that sent no challenge
// must send its secret.
func (t *Tenant) redeemCode(req tokenRequest, withSecret bool) (signIn, *oauthError) {
	s, ok := t.take(codes, req.Code)
	digest := sha256.Sum256([]byte(req.CodeVerifier))
	verified := s.challenge == "" && withSecret ||
		s.challenge != "" && same(base64.RawURLEncoding.EncodeToString(digest[:]), s.challenge)
	if !ok || !verified || s.client != req.ClientID || s.redirectURI != req.RedirectURI {
		return signIn{}, invalidGrant()
	}
	return s, nil
}

// redeemRefreshToken redeems a refresh token of the same client (RFC 6749 section
// 6), which works once: the answer has the next one. The nonce belongs to the
// sign-in and is not repeated.
func (t *Tenant) redeemRefreshToken(req tokenRequest) (signIn, *oauthError) {
	s, ok := t.take(refreshTokens, req.RefreshToken)
	if !ok || s.client != req.ClientID {
		return signIn{}, invalidGrant()
	}
	s.nonce, s.newUser = "", false
	return s, nil
}

// writeTokens answers with an access token, a refresh token and, if the scope
// contains openid, an ID token.
func (t *Tenant) writeTokens(w http.ResponseWriter, s signIn) {
	now := t.settings.now()
	access, err := t.compact(map[string]any{
		"iss":       t.Issuer(),
		"sub":       s.user.sub,
		"aud":       []string{s.client},
		"client_id": s.client,
		"scope":     s.scope,
		"iat":       now.Unix(),
		"exp":       now.Add(tokenLifetime).Unix(),
		"jti":       rand.Text(), // so that two tokens of the same second differ
	}, nil)
	if err != nil {
		oauthError{http.StatusInternalServerError, "server_error", "The tenant could not sign"}.write(w)
		return
	}
	answer := map[string]any{
		"access_token": access,
		"token_type":   "Bearer",
		"expires_in":   int(tokenLifetime / time.Second),
	}
	if hasScope(s.scope, "openid") {
		claims := t.idClaims(s.client, s.user, s.scope, s.authTime)
		claims["at_hash"] = accessTokenHash(access)
		if s.nonce != "" {
			claims["nonce"] = s.nonce
		}
		if s.newUser {
			claims["new_user"] = true
		}
		id, err := t.compact(claims, nil)
		if err != nil {
			oauthError{http.StatusInternalServerError, "server_error", "The tenant could not sign"}.write(w)
			return
		}
		answer["id_token"] = id
	}
	t.keep(accessTokens, access, signIn{client: s.client, user: s.user, scope: s.scope, authTime: s.authTime, until: now.Add(tokenLifetime)})
	answer["refresh_token"] = t.put(refreshTokens, signIn{client: s.client, user: s.user, scope: s.scope, authTime: s.authTime})
	writeJSON(w, http.StatusOK, answer)
}

// accessTokenHash returns at_hash: the left half of the digest (OpenID Connect Core
// 1.0 section 3.1.3.6).
func accessTokenHash(access string) string {
	digest := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(digest[:len(digest)/2])
}

func hasScope(scope, wanted string) bool {
	for s := range strings.FieldsSeq(scope) {
		if s == wanted {
			return true
		}
	}
	return false
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func invalidGrant() *oauthError {
	return &oauthError{http.StatusBadRequest, "invalid_grant", "The grant is unknown, used, expired, or belongs to another client"}
}
