package keycache

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
)

const storeTimeout = time.Second // for a call of the store

// Store keeps one record outside of the process.
type Store interface {
	// Load returns the record that was saved last, and nil if there is none.
	Load(ctx context.Context) ([]byte, error)
	// Save replaces the record.
	Save(ctx context.Context, record []byte) error
}

// SafeError is an error of a Store whose text may be logged. The text of any
// other may contain a secret: the URL of a database, with its password.
type SafeError interface {
	error
	SafeToLog()
}

// record is what a Store keeps. It has the URL without the parts that may contain
// a secret, so records are compared by the digest of the whole URL.
type record struct {
	Issuer    string    `json:"issuer"`
	JWKSURL   string    `json:"jwks_url"`
	URLDigest string    `json:"jwks_url_sha256"`
	FetchedAt time.Time `json:"fetched_at"`
	JWKS      []byte    `json:"jwks"` // the document, byte by byte as it came
}

func digestOf(place string) string {
	sum := sha256.Sum256([]byte(place))
	return hex.EncodeToString(sum[:])
}

// recordRules makes the records of one Cache, and reads those that others may have
// written. It trusts them no more than an answer of the network.
type recordRules struct {
	issuer    string
	jwksURL   string // "" with discovery: any will do
	parseKeys func([]byte) (Keys, error)
}

func newRecordRules(c Config) recordRules {
	return recordRules{issuer: c.Issuer, jwksURL: c.JWKSURL, parseKeys: c.ParseKeys}
}

func (r recordRules) record(a answer) record {
	return record{
		Issuer: r.issuer, JWKSURL: withoutCredentials(a.url), URLDigest: digestOf(a.url),
		FetchedAt: a.fetchedAt, JWKS: a.document,
	}
}

var (
	errBrokenRecord     = errors.New("the record is broken")
	errRecordFromFuture = errors.New("the record is dated in the future")
)

// keysOf returns the keys of a record. They pass admission again.
func (r recordRules) keysOf(rec record) (Keys, error) {
	switch {
	case len(rec.JWKS) > maxDocumentSize:
		return nil, errBrokenRecord
	case rec.Issuer != r.issuer:
		return nil, errors.New("the record is of another issuer")
	case r.jwksURL != "" && rec.URLDigest != digestOf(r.jwksURL):
		return nil, errors.New("the record is of another JWKS URL")
	}
	return r.parseKeys(rec.JWKS)
}

// urlOf is where the keys of a record were fetched.
func (r recordRules) urlOf(rec record) string { return cmp.Or(r.jwksURL, rec.JWKSURL) }

// records keeps the records of one Cache in a Store.
type records struct {
	store Store
	rules recordRules
	warn  func(text, reason string)

	load sync.Once

	mu      sync.Mutex
	err     string // the last error, "" after a good call
	newest  Generation
	waiting []byte             // the record to write next
	writing bool               // a goroutine writes records
	cancel  context.CancelFunc // of the call of Save that runs
	closed  bool
}

func newRecords(c Config) *records {
	if c.Store == nil {
		return nil
	}
	return &records{store: c.Store, rules: newRecordRules(c), warn: c.Warn}
}

// loadOnce returns the stored keys the first time that it is called. They count
// as past their lifetime, so that a fetch is tried before they serve. If the
// record does not match, it warns and returns no keys.
func (r *records) loadOnce(ctx context.Context, calls *foreignCalls, now time.Time) (s *Snapshot) {
	r.load.Do(func() {
		bounded, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		stored, err := callForeign(bounded, calls, r.store.Load)
		switch {
		case ctx.Err() != nil: // closed
		case err != nil:
			r.failed("the stored keys cannot be read", reasonOf(err))
		case stored != nil:
			if s, err = r.parse(stored, now); err != nil {
				r.failed("the stored keys are not used", err.Error())
			}
		}
	})
	return s
}

func (r *records) parse(stored []byte, now time.Time) (*Snapshot, error) {
	var rec record
	if jsonv2.Unmarshal(stored, &rec) != nil {
		return nil, errBrokenRecord
	}
	keys, err := r.rules.keysOf(rec)
	switch {
	case err != nil:
		return nil, err
	case rec.FetchedAt.After(now):
		return nil, errRecordFromFuture
	}
	// The same moment, but counted back from now: from here on it ages by the
	// monotonic clock as well.
	return &Snapshot{Keys: keys, restored: true, fetchedAt: now.Add(-now.Sub(rec.FetchedAt))}, nil
}

// save keeps the keys of a good answer. Calls of Store.Save do not overlap: if one
// runs, it is told to stop, and the goroutine that waits for it writes this record
// next, unless there is a newer one by then. So a call that hangs blocks one
// goroutine, however many fetches follow.
func (r *records) save(calls *foreignCalls, g Generation, a answer) {
	text, err := json.Marshal(r.rules.record(a))
	if err != nil || !r.enqueue(g, text) {
		return
	}
	for {
		ctx, text := r.dequeue()
		if text == nil {
			return
		}
		r.write(ctx, calls, text)
	}
}

// enqueue makes text the record to write next. It reports whether the caller is
// the one to write.
func (r *records) enqueue(g Generation, text []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g < r.newest {
		return false
	}
	r.newest, r.waiting = g, text
	if r.cancel != nil {
		r.cancel() // the call that runs, if one does
	}
	writing := r.writing
	r.writing = true
	return !writing
}

// dequeue returns the record to write, nil if there is none, and the context for
// the call.
func (r *records) dequeue() (context.Context, []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel != nil {
		r.cancel() // of the call before
	}
	text := r.waiting
	r.waiting = nil
	if text == nil || r.closed {
		r.writing = false
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	r.cancel = cancel
	return ctx, text
}

// write calls Save and waits until it has returned, however long that takes. It
// warns as soon as the time for it is over.
func (r *records) write(ctx context.Context, calls *foreignCalls, text []byte) {
	done := startForeign(calls, func() (struct{}, error) { return struct{}{}, r.store.Save(ctx, text) })
	timeout := time.NewTimer(storeTimeout)
	defer timeout.Stop()
	select {
	case result := <-done:
		switch {
		case result.err == nil:
			r.succeeded()
		case !errors.Is(ctx.Err(), context.Canceled): // else it was told to stop
			r.failed(cannotStore, reasonOf(result.err))
		}
	case <-timeout.C:
		r.failed(cannotStore, reasonOf(context.DeadlineExceeded))
		if result := <-done; result.err == nil {
			r.succeeded()
		}
	}
}

// close tells the call of Save that runs to stop. No other follows.
func (r *records) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.cancel != nil {
		r.cancel()
	}
}

const cannotStore = "the keys cannot be stored"

func (r *records) failed(text, reason string) {
	r.mu.Lock()
	r.err = text + ": " + reason
	r.mu.Unlock()
	tell(func() { r.warn(text, reason) })
}

func (r *records) succeeded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = ""
}

// lastError is the last error of the store, "" after a good call.
func (r *records) lastError() string {
	if r == nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// reasonOf says why a store failed, in words that are safe to log.
func reasonOf(err error) string {
	if safe, ok := errors.AsType[SafeError](err); ok {
		return safe.Error()
	}
	switch {
	case errors.Is(err, errPanic):
		return "panic in the key store"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "error of the key store"
}
