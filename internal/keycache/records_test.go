package keycache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// storeFunc is a Store whose Save is a function.
type storeFunc struct {
	slot
	save func(ctx context.Context, record []byte) error
}

func (s *storeFunc) Save(ctx context.Context, record []byte) error { return s.save(ctx, record) }

// fetchedKIDs returns the document of a record.
func fetchedKIDs(t *testing.T, text []byte) string {
	t.Helper()
	var r record
	require.NoError(t, json.Unmarshal(text, &r))
	return string(r.JWKS)
}

func TestRecordsAreWrittenOneAtATimeAndTheNewestLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var saved []string
		var told []error
		release := make(chan struct{})
		p := newProvider(t, "a", func(c *Config) {
			c.Store = &storeFunc{save: func(ctx context.Context, record []byte) error {
				saved = append(saved, fetchedKIDs(t, record))
				<-release // whatever ctx says
				told = append(told, ctx.Err())
				return nil
			}}
		})
		p.serves("a")
		for _, document := range []string{"b", "c", "d"} {
			p.says(document)
			require.NoError(t, p.Refresh(t.Context()))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []string{"a"}, saved)
		assert.Equal(t, "the keys cannot be stored: timeout", p.Status().StoreError)
		assert.Equal(t, []string{"the keys cannot be stored: timeout"}, p.warnings)
		close(release)
		synctest.Wait()
		assert.Equal(t, []string{"a", "d"}, saved)
		assert.Equal(t, []error{context.Canceled, nil}, told, "the first was told to stop")
		assert.Empty(t, p.Status().StoreError)
		p.Close()
	})
}

func TestRecordsAreNotWrittenAfterClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		saves := 0
		p := newProvider(t, "a", func(c *Config) {
			c.Store = &storeFunc{save: func(ctx context.Context, _ []byte) error {
				saves++
				<-ctx.Done()
				time.Sleep(10 * time.Second) // and takes its time to stop
				return ctx.Err()
			}}
		})
		p.serves("a")
		p.says("b")
		require.NoError(t, p.Refresh(t.Context())) // its record waits
		synctest.Wait()
		start := time.Now()
		p.Close()
		assert.Equal(t, time.Second, time.Since(start))
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, 1, saves)
	})
}

func TestRecordOfAnOlderFetchIsNotQueued(t *testing.T) {
	t.Parallel()
	r := &records{store: new(slot)}
	assert.True(t, r.enqueue(2, []byte("two")))
	assert.False(t, r.enqueue(1, []byte("one")))
	_, text := r.dequeue()
	assert.Equal(t, "two", string(text))
	_, text = r.dequeue()
	assert.Nil(t, text)
}

// safeError is an error whose text may be logged.
type safeError struct{ error }

func (safeError) SafeToLog() {}

func TestReasonOfAStoresFailureShowsNoSecret(t *testing.T) {
	t.Parallel()
	secret := errors.New("redis://:hunter2@db/")
	for want, err := range map[string]error{
		"error of the key store": secret,
		"disk full":              safeError{errors.New("disk full")},
		"panic in the key store": errPanic,
		"timeout":                context.DeadlineExceeded,
	} {
		assert.Equal(t, want, reasonOf(err))
	}
}

func TestRecordThatDoesNotMatchIsIgnored(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	good := record{Issuer: "i", JWKSURL: "u", URLDigest: digestOf("u"), FetchedAt: now, JWKS: []byte("a b")}
	for _, tt := range []struct {
		want   string
		change func(*record)
	}{
		{"", func(*record) {}},
		{"the record is of another issuer", func(r *record) { r.Issuer = "j" }},
		{"the record is of another JWKS URL", func(r *record) { r.URLDigest = digestOf("v") }},
		{"the record is dated in the future", func(r *record) { r.FetchedAt = now.Add(1) }},
		{"the record is broken", func(r *record) { r.JWKS = make([]byte, maxDocumentSize+1) }},
		{"", func(r *record) { r.JWKS = append([]byte("a b"), bytes.Repeat([]byte(" "), maxDocumentSize-3)...) }},
		{"no keys", func(r *record) { r.JWKS = nil }},
	} {
		rec := good
		tt.change(&rec)
		text, err := json.Marshal(rec)
		require.NoError(t, err)
		r := &records{rules: recordRules{issuer: "i", jwksURL: "u", parseKeys: parseKIDs}}
		s, err := r.parse(text, now)
		if tt.want == "" {
			require.NoError(t, err)
			assert.Equal(t, kids{"a", "b"}, s.Keys)
			continue
		}
		require.EqualError(t, err, tt.want)
	}
}

// A call of the store has a second. What it does after that counts, late or not.
func TestRecordsGiveTheirStoreASecond(t *testing.T) {
	t.Parallel()
	for _, late := range []error{nil, errors.New("disk full")} {
		synctest.Test(t, func(t *testing.T) {
			var told time.Duration // when the context ended
			p := newProvider(t, "a", func(c *Config) {
				c.Store = &storeFunc{save: func(ctx context.Context, _ []byte) error {
					start := time.Now()
					<-ctx.Done()
					told = time.Since(start)
					time.Sleep(2 * time.Second)
					return late
				}}
			})
			const timeout = "the keys cannot be stored: timeout"
			p.serves("a")
			synctest.Wait()
			time.Sleep(time.Second - time.Nanosecond)
			synctest.Wait()
			assert.Empty(t, p.Status().StoreError)
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			assert.Equal(t, time.Second, told)
			assert.Equal(t, timeout, p.Status().StoreError)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if late == nil {
				assert.Empty(t, p.Status().StoreError)
			} else {
				assert.Equal(t, timeout, p.Status().StoreError)
			}
			p.Close()
		})
	}
}
