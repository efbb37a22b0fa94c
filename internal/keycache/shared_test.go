package keycache

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// said is what a store answers to one Ask.
type said struct {
	record []byte
	age    time.Duration
	lease  string
	wait   time.Duration
	reason string
	err    error
}

// ending is a call of Publish or Release.
type ending struct {
	lease     string
	published bool
	pause     time.Duration
	reason    string
}

// script is a SharedStore that answers what a test tells it to.
type script struct {
	mu      sync.Mutex
	answer  func(cause string, youngerThan time.Duration) said
	asked   []string        // the causes, "" for a look
	limits  []time.Duration // how young a record they asked for, in the same order
	endings []ending
	record  []byte // that was published last
	notes   []string
	fails   error // of Publish and Release
}

// newScripted returns a cache whose store grants every fetch, and the provider.
func newScripted(t *testing.T, document string, change ...func(*Config)) (*provider, *script) {
	t.Helper()
	s := &script{}
	s.says(grants)
	shares := func(c *Config) { c.Shared, c.Note = s, func(text string) { s.notes = append(s.notes, text) } }
	return newProvider(t, document, append([]func(*Config){shares}, change...)...), s
}

// grants is a store without a record.
func grants(cause string, _ time.Duration) said {
	if cause == "" {
		return said{}
	}
	return said{lease: "of " + cause}
}

// always returns the same answer for every fetch, and look for every look.
func always(fetch, look said) func(string, time.Duration) said {
	return func(cause string, _ time.Duration) said {
		if cause == "" {
			return look
		}
		return fetch
	}
}

func (s *script) says(answer func(cause string, youngerThan time.Duration) said) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *script) Ask(_ context.Context, _, cause string, youngerThan time.Duration) (record []byte, age time.Duration, lease string, wait time.Duration, reason string, err error) {
	s.mu.Lock()
	s.asked, s.limits = append(s.asked, cause), append(s.limits, youngerThan)
	answer := s.answer
	s.mu.Unlock()
	a := answer(cause, youngerThan) // which may take its time
	return a.record, a.age, a.lease, a.wait, a.reason, a.err
}

func (s *script) Publish(_ context.Context, _, lease string, record []byte, _, _ time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record = record
	s.endings = append(s.endings, ending{lease: lease, published: true})
	return s.fails
}

func (s *script) Release(_ context.Context, _, lease string, pause time.Duration, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endings = append(s.endings, ending{lease: lease, pause: pause, reason: reason})
	return s.fails
}

// causes are the causes of the questions since the last call, "" for a look.
func (s *script) causes() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// ended are the calls of Publish and Release since the last call.
func (s *script) ended() []ending {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	endings := s.endings
	s.endings = nil
	return endings
}

// recordOf is the record of another process that has fetched this document.
func recordOf(t *testing.T, document string, lifetime time.Duration) []byte {
	t.Helper()
	text, err := json.Marshal(sharedRecord{
		Version: recordVersion, Lifetime: int64(lifetime / time.Second),
		record: record{
			Issuer: "https://provider.example", JWKSURL: keysURL, URLDigest: digestOf(keysURL), JWKS: []byte(document),
		},
	})
	require.NoError(t, err)
	return text
}

// taken is an answer with keys of this age.
func taken(t *testing.T, document string, age time.Duration) said {
	t.Helper()
	return said{record: recordOf(t, document, 10*time.Minute), age: age}
}

func TestSharedRefreshWithoutKeysTakesThoseOfProcessesThatStartedWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		var limit time.Duration
		s.says(func(_ string, youngerThan time.Duration) said {
			limit = youngerThan
			return taken(t, "a", 9*time.Second)
		})
		require.NoError(t, p.Refresh(t.Context()))
		assert.Equal(t, []string{"asked"}, s.causes())
		assert.Equal(t, 10*time.Second, limit)
		assert.Zero(t, p.asked())
		p.serves("a")

		s.says(func(_ string, youngerThan time.Duration) said {
			limit = youngerThan
			return said{lease: "mine"}
		})
		require.NoError(t, p.Refresh(t.Context()))
		assert.Zero(t, limit, "with keys, only those of a fetch that began after the call will do")
		assert.Equal(t, 1, p.asked())
		p.Close()
	})
}

func TestSharedRefreshOvertakesTheFetchThatHasTheRight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		assert.Equal(t, []ending{{lease: "of first", published: true}}, s.ended())
		require.NoError(t, p.Refresh(t.Context()))
		assert.Equal(t, []ending{{lease: "of asked", published: true}}, s.ended(), "there was no right to give back")

		p.takes(4 * time.Second)
		go func() { _, _ = p.knows("x") }()
		synctest.Wait()
		p.takes(0)
		require.NoError(t, p.Refresh(t.Context()))
		time.Sleep(5 * time.Second)
		assert.Equal(t, []ending{{lease: "of unknown_kid"}, {lease: "of asked", published: true}}, s.ended())
		time.Sleep(11 * time.Minute)
		assert.Zero(t, p.serves("a"), "the end of that fetch is no reason to leave the next to others")
		p.Close()
	})
}

// A process that could not reach the provider leaves the fetch to the others for
// a while. A person who asks for one does not wait for that.
func TestSharedRefreshLeavesTheFetchToNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "down")
		p.unavailable("status 503")
		time.Sleep(time.Second)
		p.says("a")
		s.causes()
		require.NoError(t, p.Refresh(t.Context()))
		assert.Equal(t, []string{"asked"}, s.causes())
		p.Close()
	})
}

// Without keys a process waits for less than the provider has asked for, and then
// asks whatever the others do.
func TestSharedPauseEndsEarlierInAProcessWithoutKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		requests, status := 0, http.StatusTooManyRequests
		p, s := newScripted(t, "", withTransport(func(*http.Request) (*http.Response, error) {
			requests++
			return response(status, "a", "Retry-After", "120"), nil
		}))
		assert.Equal(t, 30*time.Second, p.unavailable("status 429"))
		assert.Equal(t, []ending{{lease: "of first", pause: 2 * time.Minute, reason: "status 429"}}, s.ended())
		end := time.Now().Add(2 * time.Minute)
		pauses := func(longer time.Duration) func(string, time.Duration) said {
			return func(cause string, _ time.Duration) said {
				switch cause {
				case "":
					return said{}
				case "asked":
					return said{lease: "mine"}
				}
				return said{wait: time.Until(end) + longer, reason: "status 429"}
			}
		}
		time.Sleep(30 * time.Second)
		s.says(pauses(2 * time.Second))
		p.unavailable("status 429")
		assert.Equal(t, 1, requests, "another pause binds it, too")
		time.Sleep(30 * time.Second)
		s.says(pauses(3 * time.Second)) // a second is for what the calls take
		synctest.Wait()
		status = http.StatusOK
		p.serves("a")
		assert.Equal(t, 2, requests)
		p.Close()
	})
}

func TestSharedPauseHasOnlyReasonsThatAreSafeToLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		s.says(always(said{wait: 4 * time.Second, reason: "redis://user:password@host"}, said{}))
		assert.Equal(t, 4*time.Second, p.unavailable("the provider asked for a pause").Round(time.Second))
		assert.Zero(t, p.asked())
		assert.Zero(t, p.Status().Failures, "this process has not asked")
		p.Close()
	})
}

func TestSharedFetchThatNobodyMakesIsMadeWithoutTheRightAfter7Seconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(11 * time.Minute)
		s.says(always(said{}, said{}))
		p.says("b")
		assert.InDelta(t, 2, p.serves("a").Seconds(), 0.15, "known keys serve meanwhile")
		time.Sleep(4700 * time.Millisecond)
		assert.Equal(t, 1, p.asked())
		time.Sleep(600 * time.Millisecond)
		assert.Equal(t, 2, p.asked())
		p.serves("b")
		p.Close()
	})
}

func TestSharedFetchAheadIsLeftToTheOthersWithoutAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(9*time.Minute + time.Second)
		s.says(always(said{}, said{}))
		p.serves("a")
		time.Sleep(8 * time.Second)
		synctest.Wait()
		assert.Equal(t, 9*time.Minute+time.Second, s.limits[1], "newer keys than those at hand")
		assert.Equal(t, 9*time.Minute+time.Second, s.limits[2], "the look, too")
		assert.Equal(t, 1, p.asked())
		require.Len(t, p.events, 2)
		assert.Equal(t, Event{Cause: CauseAhead, Shared: SharedWaited, Failure: "another process fetches the keys", Took: p.events[1].Took}, p.events[1])
		assert.False(t, p.Status().Failing)
		assert.Zero(t, p.Status().Failures)
		p.Close()
	})
}
