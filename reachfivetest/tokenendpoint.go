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

// tokenRequest is the body of /oauth/token, JSON from a browser, JSON or a
// form from a server.
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
	if req.ClientID != t.ClientID || withSecret && !same(req.ClientSecret, t.ClientSecret) {
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
		refused = &oauthError{http.StatusBadRequest, "unsupported_grant_type", "The tenant has no such grant"}
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

// redeemCode takes a code, which works once, also if the rest of the request
// is wrong. It is bound to its redirect_uri (RFC 6749 section 4.1.3) and to
// its code_challenge (RFC 7636 section 4.6); a client that sent none must
// prove itself by its secret.
func (t *Tenant) redeemCode(req tokenRequest, withSecret bool) (signIn, *oauthError) {
	s, ok := t.take(codes, req.Code)
	digest := sha256.Sum256([]byte(req.CodeVerifier))
	verified := s.challenge == "" && withSecret ||
		s.challenge != "" && same(base64.RawURLEncoding.EncodeToString(digest[:]), s.challenge)
	if !ok || !verified || s.redirectURI != req.RedirectURI {
		return signIn{}, invalidGrant()
	}
	return s, nil
}

// redeemRefreshToken takes a refresh token, which works once: the answer has
// the next one. The nonce belonged to the sign-in and is not repeated.
func (t *Tenant) redeemRefreshToken(req tokenRequest) (signIn, *oauthError) {
	s, ok := t.take(refreshTokens, req.RefreshToken)
	if !ok {
		return signIn{}, invalidGrant()
	}
	s.nonce, s.newUser = "", false
	return s, nil
}

// writeTokens answers with an access token, a refresh token, and, if openid
// was asked for, an ID token.
func (t *Tenant) writeTokens(w http.ResponseWriter, s signIn) {
	now := t.settings.now()
	access, err := t.compact(map[string]any{
		"iss":       t.Issuer(),
		"sub":       s.user.sub,
		"aud":       []string{t.ClientID},
		"client_id": t.ClientID,
		"scope":     s.scope,
		"iat":       now.Unix(),
		"exp":       now.Add(tokenLifetime).Unix(),
		"jti":       rand.Text(), // revoking one ends no other of the same second
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
		claims := t.idClaims(s.user, s.scope, s.authTime)
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
	t.keep(accessTokens, access, signIn{user: s.user, scope: s.scope, authTime: s.authTime, until: now.Add(tokenLifetime)})
	answer["refresh_token"] = t.put(refreshTokens, signIn{user: s.user, scope: s.scope, authTime: s.authTime})
	writeJSON(w, http.StatusOK, answer)
}

// accessTokenHash is at_hash: the left half of the digest (OpenID Connect
// Core 1.0 section 3.1.3.6).
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
	return &oauthError{http.StatusBadRequest, "invalid_grant", "The grant is unknown, used, expired or not yours"}
}
