package keycache

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
)

const (
	sharedTimeout = 200 * time.Millisecond // for a call of the shared store
	recordVersion = 1

	// storeTick is how much older a record may be than the store's clock can tell.
	storeTick = time.Millisecond
)

// SharedStore lets many processes share one fetch of the keys. Its methods are
// those of reachfive.SharedKeyStore.
type SharedStore interface {
	Ask(ctx context.Context, name, cause string, youngerThan time.Duration) (record []byte, age time.Duration, lease string, wait time.Duration, reason string, err error)
	Publish(ctx context.Context, name, lease string, record []byte, fresh, keep time.Duration) error
	Release(ctx context.Context, name, lease string, pause time.Duration, reason string) error
}

// reply is what the shared store returns for one Ask. Without a record, a lease
// and a wait, another process is fetching.
type reply struct {
	askedAt time.Time
	record  []byte
	age     time.Duration
	lease   string
	wait    time.Duration
	reason  string
}

// sharedRecord is what processes share. Its version also stands in the name, so
// that processes of two releases do not replace each other's records.
type sharedRecord struct {
	Version  int   `json:"version"`
	Lifetime int64 `json:"lifetime_seconds"`
	record         // FetchedAt is for people: ages go by the store's clock
}

// shared is a SharedStore that may hang, fail, panic, or hold the records of
// others.
type shared struct {
	store SharedStore
	name  string
	rules recordRules
	now   func() time.Time
	warn  func(text, reason string)
	note  func(text string)

	isDown   atomic.Bool               // the last call failed
	lookedAt atomic.Pointer[time.Time] // when the store last said what is newest, or was last asked in vain

	mu       sync.Mutex
	err      string            // why the last call failed; "" if it did not
	inFlight int               // calls that have not returned
	rejected [sha256.Size]byte // the record that was warned about last
	known    [sha256.Size]byte // the record of the keys at hand
	lease    string            // the right to fetch that this process has, "" for none
	yields   bool              // this process could not reach the provider: others go first
}

func newShared(c Config) *shared {
	if c.Shared == nil {
		return nil
	}
	return &shared{
		store: c.Shared, name: nameOf(c.Issuer, c.JWKSURL), rules: newRecordRules(c),
		now: c.Now, warn: c.Warn, note: c.Note,
	}
}

// nameOf is the name of the records of processes that are configured alike.
func nameOf(issuer, jwksURL string) string { return "v1-" + digestOf(issuer+"\n"+jwksURL) }

// down reports whether the last call of the store failed.
func (s *shared) down() bool { return s.isDown.Load() }

// lastError is why the last call of the store failed, "" if it did not.
func (s *shared) lastError() string {
	if s == nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

var errHanging = errors.New("an earlier call has not returned")

// call calls the store, for sharedTimeout at most. While the store is down and a
// call hangs there is no other, so that calls that never return do not pile up.
func (s *shared) call(ctx context.Context, calls *foreignCalls, call func(context.Context) (reply, error)) (reply, error) {
	s.mu.Lock()
	if s.down() && s.inFlight > 0 {
		s.mu.Unlock()
		return reply{}, errHanging
	}
	s.inFlight++
	s.mu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	r, err := callForeign(bounded, calls, func(ctx context.Context) (reply, error) {
		defer func() {
			s.mu.Lock()
			s.inFlight--
			s.mu.Unlock()
		}()
		return call(ctx)
	})
	switch {
	case err == nil:
		s.succeeded()
	case ctx.Err() == nil: // else it is the caller who gave up
		s.failed(reasonOf(err))
	}
	return r, err
}

func (s *shared) failed(reason string) {
	s.mu.Lock()
	wasUp := !s.isDown.Swap(true)
	s.err = reason
	s.mu.Unlock()
	if wasUp {
		tell(func() { s.warn("the shared key store does not answer", reason) })
	}
}

func (s *shared) succeeded() {
	s.mu.Lock()
	wasDown := s.isDown.Swap(false)
	s.err = ""
	s.mu.Unlock()
	if wasDown {
		tell(func() { s.note("the shared key store answers again") })
	}
}

// ask asks for a record of a fetch that was granted less than youngerThan ago, or
// for the right to fetch. With CauseLook it asks for a record only.
func (s *shared) ask(ctx context.Context, calls *foreignCalls, cause Cause, youngerThan time.Duration) (reply, error) {
	text := string(cause)
	if cause == CauseLook {
		text = ""
	}
	askedAt := s.now()
	return s.call(ctx, calls, func(ctx context.Context) (r reply, err error) {
		r.askedAt = askedAt
		r.record, r.age, r.lease, r.wait, r.reason, err = s.store.Ask(ctx, s.name, text, youngerThan)
		if err == nil && r.lease != "" && ctx.Err() != nil {
			// The caller has given up. If the right to fetch were kept, everybody
			// would wait for a fetch that nobody makes.
			s.releaseLate(r.lease)
			return reply{}, ctx.Err()
		}
		return r, err
	})
}

func (s *shared) releaseLate(lease string) {
	ctx, cancel := context.WithTimeout(context.Background(), sharedTimeout)
	defer cancel()
	_ = s.store.Release(ctx, s.name, lease, 0, "")
}

// hold notes the right to fetch that this process has been given.
func (s *shared) hold(lease string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lease = lease
}

// let ends the right to fetch in the notes. It reports whether it was there: if
// not, a later fetch of this process has given it back.
func (s *shared) let(lease string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lease == "" || s.lease != lease {
		return false
	}
	s.lease = ""
	return true
}

// held returns the right to fetch that this process has, "" for none.
func (s *shared) held() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lease
}

// setKnown notes the record of the keys at hand.
func (s *shared) setKnown(digest [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = digest
}

// publish shares the keys of a good answer, and ends the right to fetch.
func (s *shared) publish(calls *foreignCalls, lease string, a answer, keep time.Duration) {
	text, err := json.Marshal(sharedRecord{
		Version: recordVersion, Lifetime: int64(a.lifetime / time.Second),
		record: s.rules.record(a),
	})
	if err != nil || !s.let(lease) {
		return
	}
	s.setKnown(sha256.Sum256(text))
	_, _ = s.call(context.Background(), calls, func(ctx context.Context) (reply, error) {
		return reply{}, s.store.Publish(ctx, s.name, lease, text, a.lifetime, keep)
	})
}

// release ends the right to fetch without keys. If the provider has asked for a
// pause, it binds all processes.
func (s *shared) release(calls *foreignCalls, lease string, pause time.Duration, reason string) {
	if !s.let(lease) {
		return
	}
	_, _ = s.call(context.Background(), calls, func(ctx context.Context) (reply, error) {
		return reply{}, s.store.Release(ctx, s.name, lease, pause, reason)
	})
}

// read reads the record of a reply to an Ask with youngerThan. If the record
// cannot be used it warns, once for each record, and ok is false. It is false
// without a warning for the record of the keys at hand.
func (s *shared) read(r reply, youngerThan time.Duration) (a answer, ok bool) {
	digest := sha256.Sum256(r.record)
	s.mu.Lock()
	known, rejected := digest == s.known, digest == s.rejected
	s.mu.Unlock()
	if known {
		return answer{}, false
	}
	a, err := s.parse(r, youngerThan)
	if err == nil {
		a.digest = digest
		return a, true
	}
	if !rejected {
		s.mu.Lock()
		s.rejected = digest
		s.mu.Unlock()
		tell(func() { s.warn("the shared keys are not used", err.Error()) })
	}
	return answer{}, false
}

func (s *shared) parse(r reply, youngerThan time.Duration) (answer, error) {
	var version struct {
		Version int `json:"version"`
	}
	var rec sharedRecord
	switch {
	case len(r.record) > 2*maxDocumentSize || jsonv2.Unmarshal(r.record, &version) != nil:
		return answer{}, errBrokenRecord
	case version.Version > recordVersion:
		return answer{}, errors.New("the record is of a later version")
	case jsonv2.Unmarshal(r.record, &rec) != nil:
		return answer{}, errBrokenRecord
	case r.age < 0:
		return answer{}, errRecordFromFuture
	case r.age >= youngerThan:
		return answer{}, errors.New("the record is older than was asked for")
	}
	lifetime := time.Duration(min(max(rec.Lifetime, 0), int64(maxLifetime/time.Second))) * time.Second
	if r.age >= lifetime {
		return answer{}, errors.New("the lifetime of the record is over")
	}
	keys, err := s.rules.keysOf(rec.record)
	if err != nil {
		return answer{}, err
	}
	return answer{
		shared: SharedTaken, keys: keys, document: rec.JWKS, url: s.rules.urlOf(rec.record), lifetime: lifetime,
		fetchedAt: r.askedAt.Add(-r.age - storeTick), // and from here on by the monotonic clock
		lookedAt:  r.askedAt,
	}, nil
}

// tell calls the logger of a user. If it panicked on the goroutine of a fetch,
// the process would end.
func tell(log func()) {
	defer func() { _ = recover() }()
	log()
}
