package spa

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Nonces keeps the nonces of the sign-ins that have started. Each one opens at
// most one session, and none after it has expired. Its methods are safe for
// concurrent use.
//
// With more than one instance, keep them where all instances can reach them. In
// Redis, SET with EX adds a nonce and GETDEL takes it; in SQL, DELETE with
// RETURNING does both halves of Take in one statement.
type Nonces interface {
	// Add keeps nonce until expires.
	Add(ctx context.Context, nonce string, expires time.Time) error
	// Take removes nonce. It reports whether nonce was there and had not
	// expired; of several calls for one nonce at most one returns true.
	Take(ctx context.Context, nonce string) (bool, error)
}

// maxNonces bounds the memory that visitors who never sign in can fill.
const maxNonces = 100_000

// NewNonces returns Nonces in memory, for one instance. Once 100,000 sign-ins
// are under way, Add returns an error until the oldest of them expires.
func NewNonces() Nonces { return &memoryNonces{expires: map[string]time.Time{}} }

type memoryNonces struct {
	mu      sync.Mutex
	expires map[string]time.Time
	added   []string // in the order of Add, which is the order of expiry here
}

func (n *memoryNonces) Add(_ context.Context, nonce string, expires time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	for len(n.added) > 0 {
		oldest := n.added[0]
		if end, waiting := n.expires[oldest]; waiting && now.Before(end) {
			break
		}
		delete(n.expires, oldest)
		n.added = n.added[1:]
	}
	if len(n.expires) >= maxNonces {
		return errors.New("spa: too many sign-ins are under way")
	}
	n.expires[nonce] = expires
	n.added = append(n.added, nonce)
	return nil
}

func (n *memoryNonces) Take(_ context.Context, nonce string) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	end, waiting := n.expires[nonce]
	delete(n.expires, nonce)
	return waiting && time.Now().Before(end), nil
}
