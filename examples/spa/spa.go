// Package spa is the backend of a page that signs in with ReachFive's browser
// SDK: it verifies the ID token that the page posts, starts a session, and ends
// it. Copy it. If you run more than one instance, give the sessions and the
// nonces a store that all instances share.
//
// The page asks for a nonce, signs in with it, and posts the ID token:
//
//	const nonce = await (await fetch('/session/nonce', { method: 'POST' })).text()
//	await client.loginWithPassword({ email, password, auth: { redirectUri, nonce } })
//	// on the way back: exchangeAuthorizationCodeWithPkce, which has the ID token
//	xhr.open('POST', '/session')
//	xhr.setRequestHeader('Content-Type', 'application/x-www-form-urlencoded')
//	xhr.send('idtoken=' + idToken)
//
// `reachfive demo --serve` serves this package with a page.
package spa

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/rs/cors"

	"github.com/reachfive-community/reachfive"
)

const (
	// signInCookie ties the sign-in to the browser that asked for its nonce. In
	// production call it "__Host-sign-in": no subdomain can set a cookie of that
	// name. Browsers accept the name over https only.
	signInCookie   = "sign-in"
	signInLifetime = 10 * time.Minute

	profileKey = "profile" // of the session
)

// Handler serves
//
//	POST   /session/nonce  starts a sign-in; answers with its nonce
//	POST   /session        idtoken=... signs in; answers with the name to show
//	GET    /me             the verified profile of the user who is signed in
//	DELETE /session        signs out
//
// origins are the origins of pages, other than the backend's own, that may call
// it: "https://app.example.com". Handler panics on one that no browser sends.
func Handler(v reachfive.TokenVerifier, sessions *scs.SessionManager, nonces Nonces, origins ...string) http.Handler {
	origins = browserOrigins(origins)
	b := &backend{sessions, nonces}
	signIn := reachfive.Middleware(v,
		reachfive.TokenFrom(reachfive.FromForm("idtoken")),
		reachfive.TrustedOrigins(origins...),
		reachfive.ChecksFor(nonceOfThisBrowser))

	// The middleware checks the origin of a form with a token. The requests
	// without a token that change something are checked here.
	sameSite := http.NewCrossOriginProtection()
	for _, origin := range origins {
		if err := sameSite.AddTrustedOrigin(origin); err != nil {
			panic("spa: " + err.Error())
		}
	}

	mux := http.NewServeMux()
	mux.Handle("POST /session/nonce", sameSite.Handler(http.HandlerFunc(b.startSignIn)))
	mux.Handle("POST /session", signIn(http.HandlerFunc(b.createSession)))
	mux.Handle("DELETE /session", sameSite.Handler(http.HandlerFunc(b.signOut)))
	mux.HandleFunc("GET /me", b.showProfile)
	return readableBy(origins, sessions.LoadAndSave(mux))
}

// readableBy adds the CORS headers. It wraps everything else, so that it answers
// preflights, which carry no token, and a page can read why it was refused.
func readableBy(origins []string, next http.Handler) http.Handler {
	if len(origins) == 0 {
		return next // to package cors an empty list means every origin
	}
	return cors.New(cors.Options{
		AllowedOrigins:   origins,
		AllowedMethods:   []string{http.MethodGet, http.MethodPost, http.MethodDelete},
		ExposedHeaders:   []string{"WWW-Authenticate", "Retry-After"},
		AllowCredentials: true,
	}).Handler(next)
}

// startSignIn answers with a nonce that only this browser can use: its cookie
// holds the value that the nonce is the digest of, so that nobody who sees the
// token can make the cookie (OpenID Connect Core 1.0 section 15.5.2).
func (b *backend) startSignIn(w http.ResponseWriter, r *http.Request) {
	secret := rand.Text()
	if err := b.nonces.Add(r.Context(), nonceOf(secret), time.Now().Add(signInLifetime)); err != nil {
		unavailable(w, "no sign-in can start at the moment")
		return
	}
	setSignInCookie(w, secret, int(signInLifetime/time.Second))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, nonceOf(secret))
}

// nonceOfThisBrowser returns the check that a posted token was issued for a
// sign-in that this browser started.
func nonceOfThisBrowser(r *http.Request) ([]reachfive.Check, error) {
	cookie, err := r.Cookie(signInCookie)
	if err != nil || cookie.Value == "" {
		return nil, reachfive.CodeWrongNonce
	}
	return []reachfive.Check{reachfive.Nonce(nonceOf(cookie.Value))}, nil
}

func nonceOf(secret string) string {
	digest := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

func setSignInCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: signInCookie, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode,
	})
}

type backend struct {
	sessions *scs.SessionManager
	nonces   Nonces
}

// createSession runs once the token is verified. From here on the session says
// who the user is; the ID token is not needed again.
func (b *backend) createSession(w http.ResponseWriter, r *http.Request) {
	user, _ := reachfive.UserFromContext(r.Context())
	// The nonce is taken last: a token that is refused for another reason, or
	// cannot be verified during an outage, does not use it up.
	unused, err := b.nonces.Take(r.Context(), user.Nonce)
	if err != nil {
		unavailable(w, "the sign-in cannot be completed at the moment")
		return
	}
	if !unused {
		refuseNonce().ServeHTTP(w, r)
		return
	}
	profile, err := json.Marshal(user)
	if err != nil {
		http.Error(w, "the profile cannot be kept", http.StatusInternalServerError)
		return
	}
	// Nothing of the session before survives: neither its ID, which somebody
	// else may have planted, nor the data of another user.
	if err := b.sessions.Destroy(r.Context()); err != nil {
		http.Error(w, "the session cannot be kept", http.StatusInternalServerError)
		return
	}
	b.sessions.Put(r.Context(), profileKey, profile)
	setSignInCookie(w, "", -1)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, DisplayName(user))
}

// refuseNonce answers as the middleware does when the Nonce check fails.
func refuseNonce() http.Handler {
	used := func(context.Context, *reachfive.User) error { return reachfive.CodeWrongNonce }
	return reachfive.Require(used)(http.NotFoundHandler())
}

// unavailable answers 503: a store did not answer, which says nothing about the
// user.
func unavailable(w http.ResponseWriter, text string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Retry-After", "1")
	http.Error(w, text, http.StatusServiceUnavailable)
}

// DisplayName returns the user's name, or the subject if the token has no name.
func DisplayName(user *reachfive.User) string {
	if user.Name != "" {
		return user.Name
	}
	return user.Subject
}

func (b *backend) showProfile(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	profile := b.sessions.GetBytes(r.Context(), profileKey)
	if profile == nil {
		http.Error(w, "nobody is signed in", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(profile)
}

func (b *backend) signOut(w http.ResponseWriter, r *http.Request) {
	if err := b.sessions.Destroy(r.Context()); err != nil {
		http.Error(w, "the session cannot be ended", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
