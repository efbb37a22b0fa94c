package reachfivetest

import (
	"net/http"
	"time"
)

// faults are the tenant's current faults.
type faults struct {
	down         bool
	delay        time.Duration
	cacheControl string
	onJWKS       func(http.ResponseWriter, *http.Request) bool
	jwksRequests int
}

// SetDown takes the tenant down, so that it answers every further request with 503,
// or brings it up again.
func (t *Tenant) SetDown(down bool) {
	t.mu.Lock()
	t.faults.down = down
	t.mu.Unlock()
}

// SetDelay delays the answer to every further request by d, in real time or in that
// of a testing/synctest bubble. The delay ends early if the client cancels the
// request. A delayed answer has the keys of the time when the request arrived. 0
// ends the delays.
func (t *Tenant) SetDelay(d time.Duration) {
	t.mu.Lock()
	t.faults.delay = d
	t.mu.Unlock()
}

// SetCacheControl changes the Cache-Control header of /jwks.json; "" removes it.
func (t *Tenant) SetCacheControl(value string) {
	t.mu.Lock()
	t.faults.cacheControl = value
	t.mu.Unlock()
}

// OnJWKS calls hook for every request for /jwks.json, after the delay and before
// the tenant answers, also while it is down. If hook returns true, it has answered
// itself. A nil hook removes it. It is for faults that have no method here: hook may
// do what any HTTP handler may, and panic with http.ErrAbortHandler to close the
// connection. A hook that blocks should watch the request's context.
func (t *Tenant) OnJWKS(hook func(w http.ResponseWriter, r *http.Request) bool) {
	t.mu.Lock()
	t.faults.onJWKS = hook
	t.mu.Unlock()
}

// JWKSRequests returns how many requests for /jwks.json have arrived, whatever the
// answers were.
func (t *Tenant) JWKSRequests() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.faults.jwksRequests
}

// arrive counts a request and returns the faults that apply to it.
func (t *Tenant) arrive(jwks bool) faults {
	t.mu.Lock()
	defer t.mu.Unlock()
	if jwks {
		t.faults.jwksRequests++
	}
	return t.faults
}

// sleep waits for d. It returns false if r is cancelled first.
func sleep(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return r.Context().Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
