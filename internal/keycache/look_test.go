package keycache

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLookWithoutKeysIsWaitedForAndBringsThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "", withTransport(func(*http.Request) (*http.Response, error) {
			return response(http.StatusServiceUnavailable, "", "Retry-After", "30"), nil
		}))
		p.unavailable("status 503")
		p.unavailable("status 503")
		assert.Equal(t, []string{"first", ""}, s.causes())
		s.says(always(said{}, taken(t, "a", 0)))
		time.Sleep(6 * time.Second)
		p.serves("a")
		assert.Equal(t, []string{""}, s.causes())
		p.Close()
	})
}

func TestLookIsNotMadeByEveryRequest(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]said{
		"without a record":                  {},
		"with a record that cannot be used": {record: []byte("broken")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, s := newScripted(t, "down")
				s.says(always(said{lease: "mine"}, look))
				p.unavailable("status 503")
				p.unavailable("status 503")
				s.causes()
				for range 5 {
					p.unavailable("status 503")
				}
				assert.Empty(t, s.causes())
				p.Close()
			})
		})
	}
}

func TestLookThatFindsNothingIsSilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		s.causes()
		time.Sleep(6 * time.Second)
		p.serves("a")
		assert.Equal(t, []string{""}, s.causes())
		assert.Len(t, p.events, 1)
		assert.Empty(t, p.warnings)
		snapshot := p.snapshot.Load()
		assert.Equal(t, 11*time.Second, time.Duration(snapshot.quietFor.Load()), "nothing is due until the next look")
		p.Close()
	})
}

// Requests that know that the provider is down do not wait for it, but they do
// wait for keys that another process may have got.
func TestLookBringsNewerKeysInAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(11 * time.Minute)
		p.says("down")
		p.serves("a")
		time.Sleep(20 * time.Second)
		s.says(always(said{}, said{}))
		p.takes(5 * time.Second)
		p.serves("a") // and starts a fetch, which leaves it to others for 7 s
		time.Sleep(10500 * time.Millisecond)
		s.says(always(said{}, taken(t, "b", time.Second)))
		assert.Zero(t, p.serves("b"))
		p.Close()
	})
}

func TestLookIsMadeOneAtATimeBesideFetches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(6 * time.Second)
		s.says(func(cause string, _ time.Duration) said {
			switch cause {
			case "":
				time.Sleep(150 * time.Millisecond)
				return said{}
			case "asked":
				return said{lease: "mine"}
			}
			return said{wait: time.Minute, reason: "status 429"}
		})
		s.causes()
		p.serves("a")
		synctest.Wait()
		p.undecided("x", "status 429")
		p.serves("a")
		assert.Equal(t, []string{"", "unknown_kid"}, s.causes())
		s.ended()
		require.NoError(t, p.Refresh(t.Context()))
		assert.Equal(t, []ending{{lease: "mine", published: true}}, s.ended())
		p.Close()
	})
}

func TestLookEndsWithTheCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(6 * time.Second)
		s.says(func(string, time.Duration) said {
			time.Sleep(150 * time.Millisecond)
			return said{}
		})
		p.serves("a")
		synctest.Wait()
		start := time.Now()
		p.Close()
		assert.Equal(t, 150*time.Millisecond, time.Since(start), "it waits for the call of the store")
		s.causes()
		time.Sleep(time.Minute)
		p.serves("a")
		assert.Empty(t, s.causes(), "there are no looks after it")
		assert.Empty(t, p.Status().SharedError)
	})
}

func TestLookIsMissedByNobodyAfterCloseInAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(11 * time.Minute)
		p.says("down")
		p.serves("a")
		p.Close()
		s.causes()
		time.Sleep(20 * time.Second)
		assert.Zero(t, p.serves("a"))
		assert.Empty(t, s.causes())
	})
}

func TestLookIsNotWaitedForWhileTheStoreIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		fails := said{err: errors.New("refused")}
		s.says(always(fails, fails))
		time.Sleep(6 * time.Second)
		p.serves("a")
		s.causes()
		for range 5 {
			time.Sleep(time.Second)
			p.serves("a")
			assert.Equal(t, []string{""}, s.causes(), "a probe each second")
			p.serves("a")
			assert.Empty(t, s.causes())
		}
		time.Sleep(time.Minute)
		s.says(always(said{}, taken(t, "b", time.Second)))
		p.serves("a")
		synctest.Wait()
		p.serves("b")
		assert.Equal(t, []string{"the shared key store answers again"}, s.notes)
		assert.Len(t, p.warnings, 1)
		p.Close()
	})
}
