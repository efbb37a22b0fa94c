package reachfive

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
)

const storeTimeout = time.Second // for a call of the key store

// KeyStore keeps the last good key set outside of the process. It is called
// off the request path, except for the first load, and each call has a second;
// its context ends then. Calls to Save do not overlap, unless one outlasts its
// second. Whoever can write to it can sign in as anyone.
type KeyStore interface {
	// Load returns what was saved last, and nil if nothing was.
	Load(ctx context.Context) ([]byte, error)
	// Save replaces what was saved before.
	Save(ctx context.Context, record []byte) error
}

// record is what a KeyStore keeps.
type record struct {
	Issuer    string    `json:"issuer"`
	JWKSURL   string    `json:"jwks_url"` // that was fetched
	FetchedAt time.Time `json:"fetched_at"`
	JWKS      []byte    `json:"jwks"` // the document, byte by byte as it came
}

// keyRecords keeps the records of one Verifier in a KeyStore, and trusts what
// it finds there no more than an answer of the network.
type keyRecords struct {
	store   KeyStore
	issuer  string
	jwksURL string // "" with discovery: any will do
	log     func() *slog.Logger

	load   sync.Once
	saving chan struct{} // has one in it while a record is saved
}

func newKeyRecords(c *config, log func() *slog.Logger) *keyRecords {
	if c.store == nil {
		return nil
	}
	return &keyRecords{store: c.store, issuer: c.issuer, jwksURL: c.jwksURL, log: log, saving: make(chan struct{}, 1)}
}

// loadOnce returns the stored key set the first time that it is called. It
// counts as past its lifetime, so that a fetch is tried before it serves. A
// record that does not fit is no error, only no key set and a line in the log.
func (k *keyRecords) loadOnce(ctx context.Context, calls *calls, now time.Time) (set *keySet) {
	k.load.Do(func() {
		bounded, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		stored, err := within(bounded, calls, k.store.Load)
		switch {
		case ctx.Err() != nil: // closed
		case err != nil:
			k.warn("reachfive: the stored keys cannot be read", reasonOf(err))
		case stored != nil:
			if set, err = k.parse(stored, now); err != nil {
				k.warn("reachfive: the stored keys are not used", err.Error())
			}
		}
	})
	return set
}

func (k *keyRecords) parse(stored []byte, now time.Time) (*keySet, error) {
	var r record
	switch {
	case jsonv2.Unmarshal(stored, &r) != nil, len(r.JWKS) > maxDocumentSize:
		return nil, errors.New("the record is broken")
	case r.Issuer != k.issuer:
		return nil, errors.New("the record is of another issuer")
	case k.jwksURL != "" && r.JWKSURL != k.jwksURL:
		return nil, errors.New("the record is of another JWKS URL")
	case r.FetchedAt.After(now):
		return nil, errors.New("the record is dated ahead of now")
	}
	set, err := parseKeySet(r.JWKS)
	if err != nil {
		return nil, err
	}
	// The same moment, but counted back from now: from here on it ages by the
	// monotonic clock as well.
	set.fetchedAt = now.Add(-now.Sub(r.FetchedAt))
	return set, nil
}

// save keeps a good key set. A failure is a line in the log. A record whose
// fetch has been overtaken is not written any more: ctx has ended then.
func (k *keyRecords) save(ctx context.Context, calls *calls, r record) {
	k.saving <- struct{}{}
	defer func() { <-k.saving }()
	if ctx.Err() != nil {
		return
	}
	r.Issuer = k.issuer
	text, err := json.Marshal(r)
	if err == nil {
		// A store that is told to stop has still its second to do so: the next
		// record must not be written while it writes this one.
		second, over := context.WithTimeout(context.Background(), storeTimeout)
		defer over()
		bounded, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		_, err = within(second, calls, func(context.Context) (struct{}, error) {
			return struct{}{}, k.store.Save(bounded, text)
		})
	}
	if err != nil && ctx.Err() == nil {
		k.warn("reachfive: the keys cannot be stored", reasonOf(err))
	}
}

// warn writes a line. A logger that panics on the goroutine of a fetch would end
// the process.
func (k *keyRecords) warn(text, reason string) {
	defer func() { _ = recover() }()
	k.log().Warn(text, slog.String("reason", reason))
}

// reasonOf says why a key store failed. The text of an error that is not of
// this package may carry what a log must not: the URL of a database, with its
// password.
func reasonOf(err error) string {
	if ours, ok := errors.AsType[*fileError](err); ok {
		return ours.Error()
	}
	switch {
	case errors.Is(err, errPanic):
		return "panic in the key store"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "error of the key store"
}
