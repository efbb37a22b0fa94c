package keycache

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSharedStoreThatTakesNoKeysIsNamedInTheStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		s.fails = context.DeadlineExceeded
		p.serves("a")
		synctest.Wait()
		assert.Equal(t, []string{"the shared key store does not answer: timeout"}, p.warnings)
		assert.Equal(t, "timeout", p.Status().SharedError)
		p.Close()
	})
}

func TestSharedStoreIsNamedOnlyWhenItChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(6 * time.Second)
		p.serves("a")
		synctest.Wait()
		assert.Empty(t, s.notes, "it was never down")
		s.says(always(said{err: errors.New("refused")}, said{err: errors.New("refused")}))
		for range 3 {
			time.Sleep(6 * time.Second)
			p.serves("a")
		}
		s.says(grants)
		for range 3 {
			time.Sleep(6 * time.Second)
			p.serves("a")
		}
		synctest.Wait()
		assert.Len(t, p.warnings, 1)
		assert.Len(t, s.notes, 1)
		assert.Empty(t, p.Status().SharedError)
		p.Close()
	})
}

func TestSharedRecordThatCannotBeUsedIsNamedOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		warning string
		record  []byte
		age     time.Duration
	}{
		{"the record is broken", []byte("broken"), 0},
		{"the record is broken", []byte(`{"version":1,"jwks":7}`), 0},
		{"the record is of a later version", []byte(`{"version":2,"jwks":7}`), 0},
		{"the record is dated in the future", recordOf(t, "b", time.Hour), -time.Second},
		{"the record is older than was asked for", recordOf(t, "b", time.Hour), time.Hour},
		{"the lifetime of the record is over", recordOf(t, "b", 0), 0},
		{"the lifetime of the record is over", recordOf(t, "b", -time.Minute), 0},
		{"the lifetime of the record is over", recordOf(t, "b", 2*time.Second), 2 * time.Second},
		{"the record is broken", padded(recordOf(t, "b", time.Hour), 2*maxDocumentSize+1), 0},
		{"no keys", recordOf(t, "", time.Hour), 0},
	} {
		t.Run(tt.warning, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, s := newScripted(t, "a")
				p.serves("a")
				s.says(always(said{lease: "mine"}, said{record: tt.record, age: tt.age}))
				for range 3 {
					time.Sleep(6 * time.Second)
					p.serves("a")
				}
				synctest.Wait()
				assert.Equal(t, []string{"the shared keys are not used: " + tt.warning}, p.warnings)
				assert.Equal(t, 1, p.asked())
				p.Close()
			})
		})
	}
}

func TestSharedStoreThatGrantsTheRightTooLateGetsItBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		s.says(func(string, time.Duration) said {
			time.Sleep(time.Second)
			return said{lease: "late"}
		})
		assert.Equal(t, 200*time.Millisecond, p.serves("a"))
		time.Sleep(time.Second)
		assert.Equal(t, []ending{{lease: "late"}}, s.ended())
		p.Close()
	})
}

func TestSharedStoreThatAnswersTooLateGetsNothingBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		s.says(func(string, time.Duration) said {
			time.Sleep(time.Second)
			return said{}
		})
		p.serves("a")
		time.Sleep(time.Second)
		assert.Empty(t, s.ended())
		p.Close()
	})
}

func TestSharedStoreThatTakesNoRightBackIsNamedInTheStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "down")
		s.fails = context.DeadlineExceeded
		p.unavailable("status 503")
		synctest.Wait()
		assert.Equal(t, "timeout", p.Status().SharedError)
		p.Close()
	})
}

// A quick call of the store makes the age of a record look smaller.
func TestSharedStoreReturnsTheKeysOfTheProcessItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		synctest.Wait()
		time.Sleep(6 * time.Second)
		s.says(always(said{}, said{record: s.record, age: 5 * time.Second}))
		p.serves("a")
		synctest.Wait()
		assert.Len(t, p.events, 1)
		assert.Empty(t, p.warnings)
		p.Close()
	})
}

func TestSharedStoreOutlivesALoggerThatPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a", func(c *Config) {
			c.Warn = func(string, string) { panic("of the logger") }
			c.Note = func(string) { panic("of the logger") }
		})
		s.says(always(said{err: errors.New("refused")}, said{}))
		p.serves("a")
		time.Sleep(6 * time.Second)
		p.serves("a")
		synctest.Wait()
		assert.Empty(t, p.Status().SharedError)
		p.Close()
	})
}

func TestSharedStoreThatFailsIsNotBelieved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		failed := taken(t, "b", 0)
		failed.lease, failed.err = "mine", errors.New("refused")
		s.says(always(failed, failed))
		p.serves("a")
		time.Sleep(6 * time.Second)
		p.serves("a")
		synctest.Wait()
		p.serves("a")
		assert.Empty(t, s.ended())
		p.Close()
	})
}

// padded returns the record with spaces, so that it is of this size.
func padded(record []byte, size int) []byte {
	return append(record, bytes.Repeat([]byte(" "), size-len(record))...)
}

func TestSharedRecordIsUsedWithinItsBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		s.says(always(said{record: padded(recordOf(t, "b", 48*time.Hour), 2*maxDocumentSize)}, said{}))
		p.serves("b")
		status := p.Status()
		assert.Equal(t, time.Hour, status.FreshUntil.Sub(status.FetchedAt), "an hour at most")
		assert.Equal(t, keysURL, status.URL)
		p.Close()
	})
}
