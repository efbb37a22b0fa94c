package reachfivetest

import (
	"net/http"
	"time"
)

// faults is how the tenant misbehaves at the moment.
type faults struct {
	down         bool
	delay        time.Duration
	cacheControl string
	onJWKS       func(http.ResponseWriter, *http.Request) bool
	jwksRequests int
}

// SetDown makes the tenant answer 503 to every request that arrives from now
// on, or ends that.
func (t *Tenant) SetDown(down bool) {
	t.mu.Lock()
	t.faults.down = down
	t.mu.Unlock()
}

// SetDelay makes every request that arrives from now on wait for d before it
// is answered, in real time or in that of a testing/synctest bubble. A request
// that its client gives up ends its wait. The keys that a delayed answer
// carries are those of the moment the request arrived. 0 ends it.
func (t *Tenant) SetDelay(d time.Duration) {
	t.mu.Lock()
	t.faults.delay = d
	t.mu.Unlock()
}

// SetCacheControl changes the Cache-Control header of /jwks.json; "" sends
// none.
func (t *Tenant) SetCacheControl(value string) {
	t.mu.Lock()
	t.faults.cacheControl = value
	t.mu.Unlock()
}

// OnJWKS puts hook in front of /jwks.json, after the delay and before the
// answer of a tenant that is down. If it returns true it has answered; nil
// takes it away. It may do whatever an HTTP handler may, for any fault that
// has no method here; to cut the connection it panics with
// http.ErrAbortHandler. A hook that blocks should watch the request's context.
func (t *Tenant) OnJWKS(hook func(w http.ResponseWriter, r *http.Request) bool) {
	t.mu.Lock()
	t.faults.onJWKS = hook
	t.mu.Unlock()
}

// JWKSRequests returns how many requests for /jwks.json have arrived,
// whatever they were answered.
func (t *Tenant) JWKSRequests() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.faults.jwksRequests
}

// arrive notes a request and returns the faults that it meets.
func (t *Tenant) arrive(jwks bool) faults {
	t.mu.Lock()
	defer t.mu.Unlock()
	if jwks {
		t.faults.jwksRequests++
	}
	return t.faults
}

// sleep waits for d, or until r is given up; then it returns false.
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
