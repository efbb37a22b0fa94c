package reachfive

import (
	"context"
	"time"

	"github.com/reachfive-community/reachfive/internal/keycache"
)

// Refresh fetches the keys now, regardless of backoff and Retry-After. Call it at
// start, or after a key has leaked. It fails with CodeKeysUnavailable, or with
// ctx's own error. For HS256 and with WithJWKS it does nothing.
//
// With a SharedKeyStore, a fetch that another process began after the call will
// do. A Verifier that has no keys yet also takes keys fetched up to 10 seconds
// before the call, so that processes that start together make one fetch.
func (v *Verifier) Refresh(ctx context.Context) error {
	if cache := v.cache(); cache != nil {
		return keysError(cache.Refresh(ctx))
	}
	return nil
}

// HealthCheck returns nil while a token can be decided. When it cannot, it
// starts the fetch that a request would start, waits for it within ctx, and
// returns its error: CodeKeysUnavailable or ctx's own error. It is for readiness,
// not for liveness: a restart brings no keys.
func (v *Verifier) HealthCheck(ctx context.Context) error {
	if cache := v.cache(); cache != nil {
		return keysError(cache.HealthCheck(ctx))
	}
	return nil
}

// cache is the key cache, nil for HS256 and for fixed keys.
func (v *Verifier) cache() *keycache.Cache {
	if v.keys == nil {
		return nil
	}
	return v.keys.cache
}

// Status is the state of a Verifier and its keys, for a dashboard or for a person
// on call.
type Status struct {
	// Issuer is the iss that tokens must have.
	Issuer string
	// JWKSURL is where the keys come from, without user information and query,
	// which may hold a secret; "" for HS256, with WithJWKS, and before discovery
	// has told it.
	JWKSURL string
	// Algorithm is "RS256" or "HS256".
	Algorithm string
	// Keys are the usable keys.
	Keys []KeyStatus
	// FetchedAt is when the last good fetch began; zero before the first.
	FetchedAt time.Time
	// FreshUntil is when the lifetime of the keys ends; zero before the first
	// good fetch.
	FreshUntil time.Time
	// ServesUntil is when the keys can no longer be used if no fetch is good until
	// then; zero before the first good fetch.
	ServesUntil time.Time
	// NextAttempt is the time from which the next request starts a fetch; zero
	// before the first fetch, which any request starts, and where there will be
	// none: for HS256, with WithJWKS, and after Close.
	NextAttempt time.Time
	// Failing tells whether the last fetch failed.
	Failing bool
	// LastError is the class of the last failure while Failing, as "timeout"
	// or "status 503".
	LastError string
	// StoreError says why the last call of the KeyStore failed, or why its record
	// is not used; "" without a store, and after a call that succeeded.
	StoreError string
	// SharesKeys tells whether there is a SharedKeyStore.
	SharesKeys bool
	// SharedStoreError says why the last call of the SharedKeyStore failed; "" without
	// one, and while it answers.
	SharedStoreError string
	// Fetches counts the fetches of this process that have ended, Failures those
	// that failed. Keys that another process has fetched do not count.
	Fetches, Failures uint64
	// SkippedKeys counts the keys of the last good fetch that are not usable.
	SkippedKeys uint64
}

// KeyStatus is one usable key.
type KeyStatus struct {
	// ID is the kid, "" if the key has none.
	ID string
	// Bits is the size of the modulus.
	Bits int
	// Thumbprint is the SHA-256 JWK thumbprint in base64url (RFC 7638).
	Thumbprint string
}

// Status tells what the Verifier knows. It uses no network and does not wait.
func (v *Verifier) Status() Status {
	s := Status{Issuer: v.issuer, Algorithm: v.algorithm}
	if v.keys == nil {
		return s
	}
	cache := v.keys.cache
	if cache == nil {
		s.addKeys(keySetOf(v.keys.fixed.Keys))
		return s
	}
	known := cache.Status()
	s.addKeys(keySetOf(known.Keys))
	s.JWKSURL = known.URL
	s.FetchedAt, s.FreshUntil, s.ServesUntil = known.FetchedAt, known.FreshUntil, known.ServesUntil
	s.NextAttempt = known.NextAttempt
	s.Failing, s.LastError = known.Failing, known.LastError
	s.StoreError, s.SharedStoreError = known.StoreError, known.SharedError
	s.SharesKeys = known.SharesKeys
	s.Fetches, s.Failures = known.Fetches, known.Failures
	return s
}

func (s *Status) addKeys(set *keySet) {
	if set == nil {
		return
	}
	s.SkippedKeys = uint64(set.skipped) //nolint:gosec // a count
	for _, key := range set.keys {
		s.Keys = append(s.Keys, KeyStatus{ID: key.kid, Bits: key.rsa.N.BitLen(), Thumbprint: key.thumbprint})
	}
}

// Close ends background work within a second. Nothing new is started after it:
// Verify uses the keys that are known. It may be called again, and always
// returns nil.
func (v *Verifier) Close() error {
	if cache := v.cache(); cache != nil {
		cache.Close()
	}
	return nil
}
