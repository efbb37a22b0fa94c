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

func TestSharedFetchAsksForKeysOfAnHourAtMost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(2 * time.Hour)
		p.serves("a")
		synctest.Wait()
		assert.Equal(t, []string{"first", "lifetime"}, s.causes())
		assert.Equal(t, []time.Duration{time.Hour, time.Hour}, s.limits)
		p.Close()
	})
}

func TestSharedFetchThatFailedLeavesTheNextToOthersFor2Seconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(11 * time.Minute)
		p.says("down")
		p.serves("a")
		assert.Equal(t, []string{"first", "lifetime"}, withoutLooks(s.causes()))
		p.says("b")
		time.Sleep(2 * time.Second)
		p.serves("a") // and starts a fetch
		time.Sleep(1900 * time.Millisecond)
		assert.Empty(t, withoutLooks(s.causes()))
		time.Sleep(300 * time.Millisecond)
		assert.Equal(t, []string{"lifetime"}, withoutLooks(s.causes()))
		p.serves("b")
		time.Sleep(11 * time.Minute)
		assert.Zero(t, p.serves("b"), "it leaves nothing to others after a good fetch")
		p.Close()
	})
}

func TestSharedFetchThatFailedIsNotMadeGoodByTheKeysOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "down")
		p.unavailable("status 503")
		time.Sleep(time.Second)
		s.says(always(said{}, taken(t, "a", 0)))
		p.serves("a")
		time.Sleep(11 * time.Minute)
		s.says(grants)
		s.causes()
		assert.InDelta(t, 2, p.serves("a").Seconds(), 0.15)
		p.Close()
	})
}

func withoutLooks(causes []string) (fetches []string) {
	for _, cause := range causes {
		if cause != "" {
			fetches = append(fetches, cause)
		}
	}
	return fetches
}

// Keys that cannot be used keep nobody from fetching.
func TestSharedFetchAsksAgainForYoungerKeysThanThoseThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		age, asked time.Duration
	}{
		{"of a while ago", 3 * time.Second, 3 * time.Second},
		{"of this moment", 0, 0},
		{"from the future", -time.Second, 0},
		{"as old as was not asked for", time.Hour, 0},
		{"older than was asked for", 2 * time.Hour, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, s := newScripted(t, "a")
				s.says(func(_ string, youngerThan time.Duration) said {
					if youngerThan == time.Hour {
						return said{record: []byte("broken"), age: tt.age}
					}
					return said{lease: "mine"}
				})
				assert.Zero(t, p.serves("a"))
				assert.Equal(t, []string{"first", "first"}, s.causes())
				assert.Equal(t, []time.Duration{time.Hour, tt.asked}, s.limits)
				require.Len(t, p.events, 1)
				assert.Equal(t, SharedFetched, p.events[0].Shared)
				p.Close()
			})
		})
	}
}

func TestSharedPauseOfOthersIsNotHonouredByAFailureWithoutOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "down")
		p.unavailable("status 503")
		time.Sleep(time.Second)
		pause := said{wait: time.Second, reason: "status 429"}
		s.says(always(pause, pause))
		s.causes()
		p.unavailable("status 429")
		assert.NotContains(t, s.causes(), "asked")
		assert.Equal(t, 1, p.asked())
		p.Close()
	})
}

// A pause binds all processes only if the provider has asked for it.
func TestSharedPauseIsOneThatTheProviderAskedFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status     int
		retryAfter string
		want       ending
	}{
		{http.StatusTooManyRequests, "1", ending{lease: "of first", pause: time.Second, reason: "status 429"}},
		{http.StatusServiceUnavailable, "60", ending{lease: "of first", pause: time.Minute, reason: "status 503"}},
		{http.StatusServiceUnavailable, "", ending{lease: "of first"}},
		{http.StatusInternalServerError, "60", ending{lease: "of first"}},
	} {
		t.Run(http.StatusText(tt.status)+tt.retryAfter, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, s := newScripted(t, "", withTransport(func(*http.Request) (*http.Response, error) {
					return response(tt.status, "", "Retry-After", tt.retryAfter), nil
				}))
				_, err := p.Current(t.Context())
				require.Error(t, err)
				assert.Equal(t, []ending{tt.want}, s.ended())
				p.Close()
			})
		})
	}
}

func TestSharedFetchIsMadeAloneIfTheStoreBreaksItsContract(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]said{
		"a pause without a reason for a fetch": {wait: time.Minute},
		"a reason without a pause":             {reason: "status 429"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, s := newScripted(t, "a")
				s.says(always(answer, said{}))
				assert.InDelta(t, 2, p.serves("a").Seconds(), 0.15)
				p.Close()
			})
		})
	}
}

func TestSharedFetchThatIsClosedAsksNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		s.says(func(string, time.Duration) said {
			time.Sleep(150 * time.Millisecond)
			return said{}
		})
		go func() { _, _ = p.Current(t.Context()) }()
		synctest.Wait()
		p.Close()
		assert.Zero(t, p.asked())
		require.Len(t, p.events, 1)
		assert.Equal(t, SharedWaited, p.events[0].Shared)
		assert.Equal(t, "canceled", p.events[0].Failure)
	})
}

func TestSharedFetchOfARequestAsksNoStoreThatIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		fails := said{err: errors.New("refused")}
		s.says(always(fails, fails))
		p.serves("a")
		assert.Equal(t, []string{"first"}, s.causes())
		time.Sleep(11 * time.Minute)
		p.serves("a")
		assert.Empty(t, withoutLooks(s.causes()))
		assert.Equal(t, 2, p.asked())
		require.NoError(t, p.Refresh(t.Context()))
		assert.Equal(t, []string{"asked"}, s.causes())
		p.Close()
	})
}

// A fetch that waits for others learns from a look that the store has gone down.
func TestSharedFetchWaitsForNobodyWhenTheStoreGoesDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(9*time.Minute + time.Second)
		s.says(func(cause string, _ time.Duration) said {
			if cause == "" {
				time.Sleep(3 * time.Second)
			}
			return said{}
		})
		assert.Equal(t, 200*time.Millisecond, p.serves("a"))
		time.Sleep(500 * time.Millisecond)
		assert.Equal(t, 2, p.asked())
		time.Sleep(3 * time.Second)
		p.Close()
	})
}

// A fetch whose right was given back may end with keys, which it must not share:
// the right is that of another fetch.
func TestSharedFetchThatWasOvertakenPublishesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.takes(time.Second)
		go func() { _, _ = p.Current(t.Context()) }()
		time.Sleep(500 * time.Millisecond)
		s.says(always(said{}, said{}))
		refreshed := make(chan error, 1)
		go func() { refreshed <- p.Refresh(t.Context()) }()
		time.Sleep(time.Second)
		p.serves("a")
		assert.Equal(t, []ending{{lease: "of first"}}, s.ended())
		s.says(grants)
		require.NoError(t, <-refreshed)
		assert.Equal(t, []ending{{lease: "of asked", published: true}}, s.ended())
		p.Close()
	})
}

func TestSharedBeginningsAreRememberedOf64Fetches(t *testing.T) {
	t.Parallel()
	c := newProvider(t, "a").Cache
	start := time.Unix(1_700_000_000, 0)
	at := func(i int) time.Time { return start.Add(time.Duration(i) * time.Second) }
	for i := range 71 {
		c.remember(&fetch{generation: Generation(i + 1), began: at(i)})
	}
	assert.Equal(t, Generation(71), c.generationAt(at(1000)))
	assert.Equal(t, Generation(71), c.generationAt(at(70)))
	assert.Equal(t, Generation(70), c.generationAt(at(70).Add(-1)))
	assert.Equal(t, Generation(8), c.generationAt(at(7)))
	assert.Zero(t, c.generationAt(at(6)))
}
