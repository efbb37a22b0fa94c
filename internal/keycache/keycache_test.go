package keycache

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// kids is a trivial key set: a document is its kids, separated by spaces.
type kids []string

func (k kids) KIDs() []string { return k }

func parseKIDs(document []byte) (Keys, error) {
	if len(document) == 0 {
		return nil, errors.New("no keys")
	}
	return kids(strings.Fields(string(document))), nil
}

// provider answers requests for keys, and notes what the cache tells.
type provider struct {
	*Cache
	t        *testing.T
	counting sync.Mutex
	document string        // "down" is status 503
	delay    time.Duration // of the answer
	requests int
	events   []Event
	warnings []string
}

const keysURL = "https://provider.example/keys"

func newProvider(t *testing.T, document string, change ...func(*Config)) *provider {
	t.Helper()
	p := &provider{t: t, document: document}
	p.Cache = p.cache(change...)
	return p
}

func (p *provider) cache(change ...func(*Config)) *Cache {
	c := Config{
		Issuer: "https://provider.example", JWKSURL: keysURL, Client: &http.Client{Transport: p},
		MaxStale: 24 * time.Hour, Now: time.Now, ParseKeys: parseKIDs,
		ParseDiscovery: func(document []byte) (string, error) { return string(document), nil },
		Report:         func(_ context.Context, e Event) { p.events = append(p.events, e) },
		Warn:           func(text, reason string) { p.warnings = append(p.warnings, text+": "+reason) },
	}
	for _, f := range change {
		f(&c)
	}
	return New(c)
}

func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	p.counting.Lock()
	p.requests++
	document, delay := p.document, p.delay
	p.counting.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	status := http.StatusOK
	if document == "down" {
		status = http.StatusServiceUnavailable
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(document))}, nil
}

// says sets the answer, takes its delay, and asked returns how often there was
// one, when nothing goes on any more.
func (p *provider) says(document string) {
	synctest.Wait()
	p.counting.Lock()
	defer p.counting.Unlock()
	p.document = document
}

func (p *provider) takes(delay time.Duration) {
	synctest.Wait()
	p.counting.Lock()
	defer p.counting.Unlock()
	p.delay = delay
}

func (p *provider) asked() int {
	synctest.Wait()
	p.counting.Lock()
	defer p.counting.Unlock()
	return p.requests
}

// serves fails the test unless these are the kids that serve, and returns how
// long the call waited.
func (p *provider) serves(want ...string) time.Duration {
	p.t.Helper()
	start := time.Now()
	s, err := p.Current(p.t.Context())
	require.NoError(p.t, err)
	assert.ElementsMatch(p.t, want, s.Keys.KIDs())
	return time.Since(start)
}

// unavailable fails the test unless there are no keys for this reason.
func (p *provider) unavailable(reason string) time.Duration {
	p.t.Helper()
	_, err := p.Current(p.t.Context())
	var u *UnavailableError
	require.ErrorAs(p.t, err, &u)
	assert.Equal(p.t, reason, u.Error())
	return u.RetryAfter
}

// knows returns whether a token of this kid finds its key, and the error if that
// cannot be told.
func (p *provider) knows(kid string) (bool, error) {
	since := p.Generation()
	s, err := p.Current(p.t.Context())
	for {
		if err != nil {
			return false, err
		}
		if slices.Contains(s.Keys.KIDs(), kid) {
			return true, nil
		}
		newer, err := p.Newer(p.t.Context(), s, kid, since)
		if newer == nil {
			return false, err
		}
		s = newer
	}
}

// changes are what fetches have changed, when nothing goes on any more.
func (p *provider) changes() (changes []Change) {
	synctest.Wait()
	for _, e := range p.events {
		if e.Change != ChangeNone {
			changes = append(changes, e.Change)
		}
	}
	return changes
}

func TestCacheGoesThroughItsStates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "down")
		assert.GreaterOrEqual(t, p.unavailable("status 503"), time.Second) // empty
		p.unavailable("status 503")
		assert.Equal(t, 1, p.asked(), "backoff")
		p.says("a b")
		time.Sleep(time.Second)
		p.serves("a", "b") // fresh
		p.takes(time.Second)
		time.Sleep(9*time.Minute + 30*time.Second)
		assert.Zero(t, p.serves("a", "b"), "a fetch ahead")
		time.Sleep(2 * time.Second)
		assert.Equal(t, 3, p.asked())
		p.says("down")
		time.Sleep(10 * time.Minute)
		assert.Equal(t, time.Second, p.serves("a", "b"), "the lifetime is over")
		assert.Zero(t, p.serves("a", "b"), "known down")
		for range 24 * 60 { // stale
			time.Sleep(time.Minute)
			if time.Now().Before(p.Status().ServesUntil) {
				assert.Zero(t, p.serves("a", "b"))
			}
		}
		p.unavailable("status 503") // over
		require.Error(t, p.HealthCheck(t.Context()))
		p.says("b c")
		time.Sleep(5 * time.Minute)
		assert.Equal(t, time.Second, p.serves("b", "c"))
		require.NoError(t, p.HealthCheck(t.Context()))
		assert.Equal(t, []Change{ChangeFailing, ChangeRecovered, ChangeFailing, ChangeRecovered}, p.changes())
		last := p.events[len(p.events)-1]
		assert.Equal(t, kids{"a", "b"}, last.Replaced)
		assert.Equal(t, kids{"b", "c"}, last.Keys)
		p.Close()
	})
}

func TestCacheForgetsFetchesThatHaveEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "a")
		for i := range 100 {
			p.says("a")
			if i%2 == 0 {
				p.says("down")
			}
			assert.Equal(t, i%2 == 1, p.Refresh(t.Context()) == nil)
		}
		synctest.Wait()
		assert.Equal(t, 100, p.asked())
		assert.Empty(t, p.running)
		assert.Nil(t, p.pending)
	})
}

func TestCacheHasKeysOfItsStoreAfterARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(slot)
		inStore := func(c *Config) { c.Store = store }
		p := newProvider(t, "a", inStore)
		p.serves("a")
		p.Close()
		p.says("down")
		p.takes(time.Second)
		p.Cache = p.cache(inStore)
		assert.Equal(t, time.Second, p.serves("a"), "a fetch is tried first")
		assert.Zero(t, p.serves("a"))
		time.Sleep(24 * time.Hour)
		p.unavailable("status 503")
		p.Close()

		p.Cache = p.cache(inStore, func(c *Config) { c.Issuer = "https://other.example" })
		p.unavailable("status 503")
		assert.Equal(t, []string{"the stored keys are not used: the record is of another issuer"}, p.warnings)
		p.Close()
	})
}

// slot is a Store in memory.
type slot struct{ record []byte }

func (s *slot) Load(context.Context) ([]byte, error) { return s.record, nil }

func (s *slot) Save(_ context.Context, record []byte) error {
	s.record = record
	return nil
}

func TestCacheThatIsClosedStartsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "a")
		p.serves("a")
		p.Close()
		time.Sleep(time.Hour)
		p.serves("a")
		_, err := p.knows("x")
		require.EqualError(t, err, "the verifier is closed")
		require.EqualError(t, p.Refresh(t.Context()), "the verifier is closed")
		assert.Equal(t, 1, p.asked())
		assert.Zero(t, p.Status().NextAttempt)
	})
}

// The lock may be held while a fetch is started. A request that needs no wait
// does not wait for that either.
func TestCacheServesWithoutItsLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "a")
		p.serves("a")
		known := p.snapshot.Load()
		assert.EqualValues(t, known.refreshAfter, known.quietFor.Load(), "until then it looks at nothing but the clock")
		for _, wait := range []time.Duration{0, defaultLifetime - time.Second} { // then a fetch ahead is due
			time.Sleep(wait)
			p.mu.Lock()
			s := p.serving(t.Context())
			p.mu.Unlock()
			require.NotNil(t, s)
		}
		synctest.Wait()
		assert.Equal(t, 1, p.asked(), "whoever has the lock starts what is due, or the next request")
		p.serves("a")
		synctest.Wait()
		assert.Equal(t, 2, p.asked())
		p.Close()
	})
}

func TestCacheClosesWithinASecondWhateverTheClientDoes(t *testing.T) {
	t.Parallel()
	for _, store := range []Store{nil, new(slot)} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			p := newProvider(t, "", func(c *Config) { c.Store = store }, withTransport(func(*http.Request) (*http.Response, error) {
				<-release
				return nil, io.EOF
			}))
			refreshed := make(chan error, 1)
			go func() { refreshed <- p.Refresh(t.Context()) }()
			synctest.Wait()
			start := time.Now()
			p.Close()
			assert.Equal(t, time.Second, time.Since(start))
			require.EqualError(t, <-refreshed, "the verifier is closed")
			close(release)
		})
	}
}
