package keycache

import "time"

// UnavailableError says that nothing can be decided for lack of keys.
type UnavailableError struct {
	// Reason is the class of the failure, safe to show to operators.
	Reason string
	// RetryAfter is how long from now a new attempt makes sense.
	RetryAfter time.Duration
}

// Error returns the reason.
func (e *UnavailableError) Error() string { return e.Reason }

// unavailable makes the error for what is known now.
func (c *Cache) unavailable(now time.Time) *UnavailableError {
	err := &UnavailableError{RetryAfter: minBackoff}
	f := c.failing.Load()
	switch {
	case c.closed:
		err.Reason = "the verifier is closed"
	case f != nil:
		err.Reason = f.class
		err.RetryAfter = max(f.remaining(now, c.snapshot.Load().serves(now)), minBackoff)
	}
	return err
}

// unavailableUntil is unavailable with a RetryAfter of at least wait.
func (c *Cache) unavailableUntil(now time.Time, wait time.Duration) *UnavailableError {
	err := c.unavailable(now)
	err.RetryAfter = max(err.RetryAfter, wait)
	return err
}
