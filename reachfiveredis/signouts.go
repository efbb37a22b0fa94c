package reachfiveredis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reachfive-community/reachfive"
)

const (
	defaultRetention  = 30 * 24 * time.Hour
	defaultMaxSilence = 5 * time.Minute
	defaultMaxEntries = 2_000_000

	// keptLonger is how long an entry outlives the retention: a sign-in that
	// counts as recent always meets the entries that refuse it.
	keptLonger = time.Hour

	// retryAfter is what a client hears while nothing can be decided. The store
	// is asked about once a second.
	retryAfter = 2 * time.Second
)

// SignOuts refuses tokens of users that were signed out. It follows the store's
// log in the background and decides from memory. Make it with Store.SignOuts and
// close it with Close. It is safe for concurrent use.
type SignOuts struct {
	store             *Store
	issuers           map[string]*issuer
	logKey, markerKey string

	retention, maxSilence time.Duration
	maxEntries            int64
	replicas              int
	failOpen, fromIAT     bool

	set  *set
	view atomic.Pointer[view]

	starting sync.Once
	follower *follower
	stop     context.CancelFunc
	stopped  chan struct{}
}

// SignOutOption configures Store.SignOuts.
type SignOutOption func(*SignOuts) error

// WithRetention sets how long a sign-out is kept: 1 hour to 366 days, in whole
// seconds, 30 days by default. Tokens of an older sign-in are refused with
// reachfive.CodeReauthenticationRequired, so that entries can be dropped. All
// programs that use one store need the same retention.
func WithRetention(d time.Duration) SignOutOption {
	return func(o *SignOuts) error {
		if d < time.Hour || d > 366*24*time.Hour || d%time.Second != 0 {
			return errors.New("reachfiveredis: a retention is 1 hour to 366 days, in whole seconds")
		}
		o.retention = d
		return nil
	}
}

// WithMaxSilence sets how long decisions go on from what is known while the
// store does not answer: 5 minutes by default, at least 10 s. After that every
// token is answered with reachfive.CodeRevocationsUnavailable.
func WithMaxSilence(d time.Duration) SignOutOption {
	return func(o *SignOuts) error {
		if d < 10*time.Second {
			return errors.New("reachfiveredis: MaxSilence is at least 10 s")
		}
		o.maxSilence = d
		return nil
	}
}

// WithMaxEntries sets the number of entries at which SignOut fails with ErrFull:
// 2,000,000 by default. A million entries take some 50 MB in each process that
// checks tokens.
func WithMaxEntries(n int) SignOutOption {
	return func(o *SignOuts) error {
		if n < 1 {
			return errors.New("reachfiveredis: WithMaxEntries needs at least 1")
		}
		o.maxEntries = int64(n)
		return nil
	}
}

// WithReplicas makes SignOut and Lift wait until n replicas of the Redis server
// have the entry, and fail with ErrNotReplicated if they do not confirm it.
// Without it, a failover can lose a sign-out that was acknowledged.
func WithReplicas(n int) SignOutOption {
	return func(o *SignOuts) error {
		if n < 1 {
			return errors.New("reachfiveredis: WithReplicas needs at least 1")
		}
		o.replicas = n
		return nil
	}
}

// SignInFromIAT takes iat for the time of the sign-in where a token has no
// auth_time. A refreshed token has a later iat than its sign-in: it escapes a
// sign-out unless the user's refresh tokens are revoked at ReachFive, too.
func SignInFromIAT() SignOutOption {
	return func(o *SignOuts) error { o.fromIAT = true; return nil }
}

// InsecureFailOpen accepts tokens while the sign-outs are not known: after
// MaxSilence, and after a start without the store. Users who are known to be
// signed out stay refused.
func InsecureFailOpen() SignOutOption {
	return func(o *SignOuts) error { o.failOpen = true; return nil }
}

// SignOuts returns the sign-outs of the users of issuers, as in
// reachfive.Status.Issuer. It uses no network: Check and Ready start to read the
// store. All errors of configuration are joined.
func (s *Store) SignOuts(issuers []string, opts ...SignOutOption) (*SignOuts, error) {
	o := &SignOuts{
		store: s, issuers: map[string]*issuer{},
		logKey: s.key("signouts", "log"), markerKey: s.key("signouts", "marker"),
		retention: defaultRetention, maxSilence: defaultMaxSilence, maxEntries: defaultMaxEntries,
		set: newSet(), stopped: make(chan struct{}),
	}
	var errs []error
	if len(issuers) == 0 {
		errs = append(errs, errors.New("reachfiveredis: SignOuts needs an issuer"))
	}
	for _, name := range issuers {
		if name == "" || o.issuers[name] != nil {
			errs = append(errs, errors.New("reachfiveredis: an issuer is empty or listed twice"))
			continue
		}
		o.issuers[name] = newIssuer(name)
	}
	for i, opt := range opts {
		if opt == nil {
			errs = append(errs, fmt.Errorf("reachfiveredis: sign-out option %d is nil", i+1))
			continue
		}
		errs = append(errs, opt(o))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	o.view.Store(&view{reason: errLoading, changed: make(chan struct{})})
	return o, nil
}

// start begins to follow the log.
func (o *SignOuts) start() {
	o.starting.Do(func() {
		ctx, stop := context.WithCancel(context.Background())
		o.stop = stop
		o.follower = newFollower(o)
		go func() {
			defer close(o.stopped)
			o.follower.run(ctx)
		}()
	})
}

// Close ends what runs in the background. Check goes on from what is known until
// MaxSilence is over. Close may be called again, and always returns nil.
func (o *SignOuts) Close() error {
	o.starting.Do(func() { close(o.stopped) }) // nothing starts any more
	if o.stop != nil {
		o.stop()
		o.follower.close() // ends a read that is blocked
	}
	<-o.stopped
	return nil
}

// Check returns a Check for reachfive.WithChecks, which runs for every token,
// those of the verified-token cache included. It also takes the User of an
// application session, to end that session. It uses no network, does not wait
// and does not allocate. It refuses
//
//   - a sign-in that is not after a sign-out of the user, or of everyone, with
//     reachfive.CodeRevoked;
//   - a sign-in that is unknown or older than the retention with
//     reachfive.CodeReauthenticationRequired;
//   - every token with reachfive.CodeRevocationsUnavailable while the sign-outs
//     are not known: before the first reading of the store, and when the store
//     has been silent for longer than MaxSilence;
//   - a user of an issuer that SignOuts was not made for with
//     reachfive.CodeForbidden, which wraps ErrUnlistedIssuer.
func (o *SignOuts) Check() reachfive.Check {
	o.start()
	return o.check
}

func (o *SignOuts) check(_ context.Context, u *reachfive.User) error {
	iss, listed := o.issuers[u.Issuer]
	if !listed {
		return ErrUnlistedIssuer
	}
	signIn := u.AuthTime
	if signIn.IsZero() && o.fromIAT {
		signIn = u.IssuedAt
	}
	if signIn.IsZero() {
		return o.signInAgain()
	}
	at, v := signIn.Unix(), o.view.Load()
	before := max(iss.before.Load(), o.set.before(iss.digest(kindSubject, u.Subject)))
	switch {
	case at <= before:
		return &reachfive.Error{Code: reachfive.CodeRevoked, Claim: "auth_time", MaxAge: v.since(before)}
	case !o.failOpen && !v.decides(o.maxSilence):
		return &reachfive.Error{Code: reachfive.CodeRevocationsUnavailable, RetryAfter: retryAfter}
	case at < v.oldestSignIn:
		return o.signInAgain()
	}
	return nil
}

func (o *SignOuts) signInAgain() error {
	return &reachfive.Error{Code: reachfive.CodeReauthenticationRequired, Claim: "auth_time", MaxAge: o.retention}
}
