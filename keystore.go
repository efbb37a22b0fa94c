package reachfive

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
)

// KeyStore keeps the last good key set outside of the process. It is called
// off the request path, except for the first load, and each call has a second.
// Whoever can write to it can sign in as anyone.
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
	JWKS      string    `json:"jwks"` // the document as it came
}

// keyRecords keeps the records of one Verifier in a KeyStore, and trusts what
// it finds there no more than an answer of the network.
type keyRecords struct {
	store   KeyStore
	issuer  string
	jwksURL string // "" with discovery: any will do
	logger  *slog.Logger
	loaded  atomic.Bool
}

func newKeyRecords(c *config) *keyRecords {
	if c.store == nil {
		return nil
	}
	return &keyRecords{store: c.store, issuer: c.issuer, jwksURL: c.jwksURL, logger: c.logger}
}

// loadOnce returns the stored key set the first time that it is called. It
// counts as past its lifetime, so that a fetch is tried before it serves. A
// record that does not fit is no error, only no key set and a line in the log.
func (k *keyRecords) loadOnce(ctx context.Context, now time.Time) *keySet {
	if k.loaded.Swap(true) {
		return nil
	}
	stored, err := bounded(ctx, k.store.Load)
	if err != nil {
		k.logger.Warn("reachfive: the stored keys cannot be read")
		return nil
	}
	if stored == nil {
		return nil
	}
	set, err := k.parse(stored, now)
	if err != nil {
		k.logger.Warn("reachfive: the stored keys are not used", slog.String("reason", err.Error()))
		return nil
	}
	return set
}

func (k *keyRecords) parse(stored []byte, now time.Time) (*keySet, error) {
	var r record
	switch {
	case jsonv2.Unmarshal(stored, &r) != nil:
		return nil, errors.New("the record is broken")
	case r.Issuer != k.issuer:
		return nil, errors.New("the record is of another issuer")
	case k.jwksURL != "" && r.JWKSURL != k.jwksURL:
		return nil, errors.New("the record is of another JWKS URL")
	case r.FetchedAt.After(now):
		return nil, errors.New("the record is dated ahead of now")
	}
	set, err := parseKeySet([]byte(r.JWKS))
	if err != nil {
		return nil, err
	}
	set.fetchedAt = r.FetchedAt
	return set, nil
}

// save keeps a good key set. A failure is a line in the log.
func (k *keyRecords) save(ctx context.Context, r record) {
	r.Issuer = k.issuer
	text, err := json.Marshal(r)
	if err == nil {
		_, err = bounded(ctx, func(ctx context.Context) ([]byte, error) { return nil, k.store.Save(ctx, text) })
	}
	if err != nil {
		k.logger.Warn("reachfive: the keys cannot be stored")
	}
}

// bounded calls a caller's key store, which may hang or panic.
func bounded(ctx context.Context, call func(context.Context) ([]byte, error)) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	type outcome struct {
		stored []byte
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		defer func() {
			if recover() != nil {
				done <- outcome{err: errors.New("the key store panicked")}
			}
		}()
		stored, err := call(ctx)
		done <- outcome{stored, err}
	}()
	select {
	case o := <-done:
		return o.stored, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
