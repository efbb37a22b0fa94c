package spa

import (
	"net/http"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"
)

const sessionLifetime = 12 * time.Hour

// NewSessions returns sessions of at most 12 hours that end after an hour
// without a request. Scripts cannot read their cookie, and browsers send it over
// https only and never with a request that another site starts. The sessions
// are kept in memory: put another store into a SessionStore if you run more than
// one instance.
func NewSessions() *scs.SessionManager {
	sessions := scs.New()
	sessions.Store = &SessionStore{Store: sessions.Store}
	sessions.Lifetime = sessionLifetime
	sessions.IdleTimeout = time.Hour
	sessions.HashTokenInStore = true // who reads the store learns no cookie
	sessions.Cookie.Name = "session"
	sessions.Cookie.HttpOnly = true
	sessions.Cookie.Secure = true // browsers make an exception for http://localhost
	sessions.Cookie.SameSite = http.SameSiteStrictMode
	sessions.Cookie.Persist = false
	return sessions
}

// SessionStore keeps a session that has ended from coming back. Because of the
// idle timeout, package scs writes the session at the end of every request. A
// request that began before the sign-out and ends after it would write the
// session again. The empty value that replaces an ended session prevents that.
type SessionStore struct {
	scs.Store
	mu sync.Mutex // no session ends between the two calls of Commit
}

// Find returns no session that has ended.
func (s *SessionStore) Find(token string) ([]byte, bool, error) {
	value, found, err := s.Store.Find(token)
	return value, found && len(value) > 0, err
}

// Commit writes a session, unless it has ended.
func (s *SessionStore) Commit(token string, value []byte, expiry time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, found, err := s.Store.Find(token)
	if err != nil || found && len(kept) == 0 {
		return err
	}
	return s.Store.Commit(token, value, expiry)
}

// Delete ends a session.
func (s *SessionStore) Delete(token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found, err := s.Store.Find(token); err != nil || !found {
		return err
	}
	return s.Store.Commit(token, nil, time.Now().Add(sessionLifetime))
}
