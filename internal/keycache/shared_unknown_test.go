package keycache

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// undecided fails the test unless it is not known whether the kid exists, for
// this reason, and returns how long the caller is told to wait.
func (p *provider) undecided(kid, reason string) time.Duration {
	p.t.Helper()
	known, err := p.knows(kid)
	var u *UnavailableError
	require.ErrorAs(p.t, err, &u)
	assert.False(p.t, known)
	assert.Equal(p.t, reason, u.Error())
	return u.RetryAfter
}

func TestSharedBudgetThatOthersHaveSpentCostsNoneOfTheProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(time.Minute)
		p.serves("a")
		s.says(always(said{wait: 3 * time.Second}, said{}))
		for range 3 {
			s.causes()
			assert.Equal(t, 3*time.Second, p.undecided("x", "too many tokens of unknown kids"))
			assert.Equal(t, []string{"unknown_kid", ""}, s.causes(), "the key may be in what others have fetched")
			p.undecided("y", "too many tokens of unknown kids")
			assert.Empty(t, s.causes(), "the pause is known")
			time.Sleep(3 * time.Second)
		}
		assert.False(t, p.Status().Failing, "nothing is wrong with the provider")
		assert.Equal(t, uint64(1), p.Status().Fetches)
		assert.Equal(t, []Change{ChangeHealthy}, p.changes())
		s.says(grants)
		known, err := p.knows("x")
		require.NoError(t, err)
		assert.False(t, known)
		assert.Equal(t, 2, p.asked())
		p.Close()
	})
}

func TestSharedBudgetThatIsSpentMakesNoLooksMoreFrequent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		s.says(always(said{wait: 3 * time.Second}, said{}))
		time.Sleep(4 * time.Second)
		p.undecided("x", "too many tokens of unknown kids")
		assert.Equal(t, []string{"first", "unknown_kid", ""}, s.causes())
		time.Sleep(4 * time.Second)
		p.serves("a")
		assert.Empty(t, s.causes(), "it looked with the fetch")
		p.Close()
	})
}

func TestSharedPauseMakesNoLooksMoreFrequent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		s.says(always(said{wait: 3 * time.Second, reason: "status 429"}, said{}))
		time.Sleep(time.Second)
		p.undecided("x", "status 429")
		assert.Equal(t, []string{"first", "unknown_kid"}, s.causes())
		p.serves("a")
		assert.Empty(t, s.causes())
		p.Close()
	})
}

// The keys of a fetch that others made before the token came may lack its key.
func TestSharedKeysOfAnEarlierFetchRefuseNoKID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(time.Minute)
		s.says(always(said{wait: 4 * time.Second}, taken(t, "a b", 2*time.Second)))
		known, err := p.knows("b")
		require.NoError(t, err)
		assert.True(t, known)
		assert.Equal(t, 4*time.Second, p.undecided("x", "too many tokens of unknown kids"))
		assert.Equal(t, 1, p.asked())
		time.Sleep(4 * time.Second)
		s.says(grants)
		p.says("a b x")
		known, err = p.knows("x")
		require.NoError(t, err)
		assert.True(t, known)
		p.Close()
	})
}

func TestSharedKeysOfAnEarlierFetchDoNotMakeAKIDOfItsOwnKnownAsAbsent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(time.Minute)
		s.says(always(said{wait: 4 * time.Second}, taken(t, "a b", 2*time.Second)))
		assert.Equal(t, 4*time.Second, p.undecided("x", "too many tokens of unknown kids"))
		assert.Equal(t, 1, p.asked())
		p.Close()
	})
}

func TestSharedKeysEndTheFetchesThatTheyAreAsNewAs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(time.Minute)
		p.serves("a")
		p.takes(4 * time.Second)
		refused := make(chan time.Duration, 1)
		start := time.Now()
		go func() {
			known, err := p.knows("x")
			assert.NoError(t, err)
			assert.False(t, known)
			refused <- time.Since(start)
		}()
		time.Sleep(time.Second)
		s.says(always(taken(t, "a b", 0), said{}))
		time.Sleep(time.Second)
		s.says(func(_ string, youngerThan time.Duration) said {
			if youngerThan < time.Second {
				return said{} // another process fetches
			}
			return taken(t, "a b", 500*time.Millisecond)
		})
		require.NoError(t, p.Refresh(t.Context()))
		assert.Less(t, <-refused, 3500*time.Millisecond, "as soon as the keys are there")
		assert.Equal(t, 2, p.asked())

		s.causes()
		p.takes(0)
		known, err := p.knows("x")
		require.NoError(t, err)
		assert.False(t, known)
		p.Close()
	})
}

// A look may bring keys that are older than the fetch that runs.
func TestSharedKeysEndNoFetchThatIsNewer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(time.Minute)
		p.serves("a") // looks
		time.Sleep(4 * time.Second)
		p.says("a b x")
		p.takes(4 * time.Second)
		s.says(always(said{}, said{}))
		found := make(chan bool, 1)
		go func() {
			known, err := p.knows("x")
			assert.NoError(t, err)
			found <- known
		}()
		time.Sleep(3 * time.Second)
		s.says(always(said{lease: "mine"}, taken(t, "a b", 8*time.Second)))
		time.Sleep(3500 * time.Millisecond)
		p.serves("a", "b")
		assert.True(t, <-found)
		assert.Equal(t, 2, p.asked())
		p.serves("a", "b", "x")
		p.Close()
	})
}

func TestSharedFetchOfAKIDThatOthersMakeIsWaitedForFor5Seconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(time.Minute)
		s.says(always(said{}, said{}))
		for range 3 {
			start := time.Now()
			assert.Equal(t, time.Second, p.undecided("x", "too many tokens of unknown kids"))
			assert.InDelta(t, 5, time.Since(start).Seconds(), 0.15)
			time.Sleep(time.Second)
		}
		assert.Equal(t, 1, p.asked())
		assert.False(t, p.Status().Failing)
		p.Close()
	})
}

func TestSharedKeysOfALaterFetchRefuseAKID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(time.Minute)
		p.serves("a")
		s.says(func(cause string, youngerThan time.Duration) said {
			if cause == "" || youngerThan < 500*time.Millisecond {
				return said{}
			}
			return taken(t, "a b", 100*time.Millisecond)
		})
		known, err := p.knows("x")
		require.NoError(t, err)
		assert.False(t, known)
		assert.Equal(t, 1, p.asked())

		s.says(always(said{wait: time.Hour}, said{}))
		assert.Equal(t, 10*time.Second, p.undecided("y", "too many tokens of unknown kids"), "not for as long as a broken store says")
		s.causes()
		known, err = p.knows("x")
		require.NoError(t, err)
		assert.False(t, known, "the provider was asked about it")
		assert.Empty(t, s.causes())
		p.Close()
	})
}

// A look may bring keys of a fetch that began after the one that runs.
func TestSharedKeysOfALookEndTheFetchThatTheyAreAsNewAs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(time.Minute)
		p.serves("a") // looks
		time.Sleep(4 * time.Second)
		p.takes(4 * time.Second)
		s.says(always(said{}, said{}))
		refused := make(chan time.Time, 1)
		go func() {
			known, err := p.knows("x")
			assert.NoError(t, err)
			assert.False(t, known)
			refused <- time.Now()
		}()
		time.Sleep(3 * time.Second)
		s.says(always(said{lease: "mine"}, taken(t, "a b", 2*time.Second)))
		time.Sleep(3500 * time.Millisecond)
		p.serves("a", "b")
		now := time.Now()
		assert.Equal(t, now, <-refused)
		p.Close()
	})
}

// The age of a record is known to the tick of the store's clock only.
func TestSharedKeysOfTheSameMomentAreNotNewer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s := newScripted(t, "a")
		p.serves("a")
		time.Sleep(time.Minute)
		same := taken(t, "b", time.Minute-500*time.Microsecond)
		s.says(always(said{wait: time.Second}, same))
		p.serves("a")
		p.undecided("x", "too many tokens of unknown kids")
		synctest.Wait()
		require.Len(t, p.events, 2)
		assert.Equal(t, "too many tokens of unknown kids", p.events[1].Failure)
		s.says(func(cause string, youngerThan time.Duration) said {
			if cause == "" || youngerThan < 9*time.Minute {
				return grants(cause, youngerThan)
			}
			return taken(t, "b", youngerThan-500*time.Microsecond)
		})
		time.Sleep(8 * time.Minute)
		p.serves("a")
		assert.Equal(t, 2, p.asked(), "they keep nobody from fetching")
		p.Close()
	})
}
