// Package spa is the backend behind a page that signs in with ReachFive's
// browser SDK: it takes the ID token that the page posts, starts a session of
// its own, and ends it. Copy it, and replace the session store by one that all
// of your instances share.
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
// `reachfive demo --serve` runs this very package behind a page.
package spa

import (
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
	// signInCookie ties the sign-in to the browser that asked for its nonce. On
	// a site of your own call it "__Host-sign-in", which no subdomain can set;
	// browsers take that name over https only.
	signInCookie   = "sign-in"
	signInLifetime = 10 * time.Minute

	profileKey = "profile" // of the session
)

// NewSessions returns sessions whose cookie no script reads, that travels over
// https only, and that no other site makes a browser send. They are kept in
// memory: set Store for more than one instance.
func NewSessions() *scs.SessionManager {
	sessions := scs.New()
	sessions.Lifetime = 12 * time.Hour
	sessions.IdleTimeout = time.Hour
	sessions.HashTokenInStore = true
	sessions.Cookie.Name = "session"
	sessions.Cookie.HttpOnly = true
	sessions.Cookie.Secure = true // browsers make an exception for http://localhost
	sessions.Cookie.SameSite = http.SameSiteStrictMode
	sessions.Cookie.Persist = false
	return sessions
}

// Handler serves
//
//	POST   /session/nonce  the nonce for a sign-in that is about to start
//	POST   /session        idtoken=... signs in; answers with the name to show
//	GET    /me             the profile as it was verified, for who is signed in
//	DELETE /session        signs out
//
// origins are those of pages, other than the backend's own, that may call it:
// "https://app.example.com".
func Handler(v reachfive.TokenVerifier, sessions *scs.SessionManager, origins ...string) http.Handler {
	b := &backend{sessions}
	signIn := reachfive.Middleware(v,
		reachfive.TokenFrom(reachfive.FromForm("idtoken")),
		reachfive.TrustedOrigins(origins...),
		reachfive.ChecksFor(nonceOfThisBrowser))

	// What changes something and carries no token is checked here; a form with
	// a token is checked by the middleware.
	sameSite := http.NewCrossOriginProtection()
	for _, origin := range origins {
		if err := sameSite.AddTrustedOrigin(origin); err != nil {
			panic("spa: " + err.Error()) // a wiring mistake, as TrustedOrigins has it
		}
	}

	mux := http.NewServeMux()
	mux.Handle("POST /session/nonce", sameSite.Handler(http.HandlerFunc(startSignIn)))
	mux.Handle("POST /session", signIn(http.HandlerFunc(b.createSession)))
	mux.Handle("DELETE /session", sameSite.Handler(http.HandlerFunc(b.signOut)))
	mux.HandleFunc("GET /me", b.showProfile)
	return readableBy(origins, sessions.LoadAndSave(mux))
}

// readableBy goes outside everything else: preflights end here, and a page of
// these origins can read why it was refused.
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

// startSignIn answers with a nonce that only this browser can use: the cookie
// holds what the nonce is the digest of, so a token alone does not tell it
// (OpenID Connect Core 1.0 section 15.5.2).
func startSignIn(w http.ResponseWriter, _ *http.Request) {
	secret := rand.Text()
	setSignInCookie(w, secret, int(signInLifetime/time.Second))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, nonceOf(secret))
}

// nonceOfThisBrowser is the check of a token that is posted: it was issued for
// a sign-in that this browser started.
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

type backend struct{ sessions *scs.SessionManager }

// createSession runs once the token is verified. The ID token has done its
// work then: what follows goes by the session.
func (b *backend) createSession(w http.ResponseWriter, r *http.Request) {
	user, _ := reachfive.UserFromContext(r.Context())
	profile, err := json.Marshal(user)
	if err != nil {
		http.Error(w, "the profile cannot be kept", http.StatusInternalServerError)
		return
	}
	// A new session ID: whoever planted the old one is not signed in by this.
	if err := b.sessions.RenewToken(r.Context()); err != nil {
		http.Error(w, "the session cannot be kept", http.StatusInternalServerError)
		return
	}
	b.sessions.Put(r.Context(), profileKey, profile)
	setSignInCookie(w, "", -1) // one nonce, one sign-in
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, DisplayName(user))
}

// DisplayName falls back on what every token has.
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
