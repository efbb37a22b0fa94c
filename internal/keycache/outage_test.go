package keycache

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCacheKnowsForFiveMinutesAfterThePauseThatTheProviderIsDown(t *testing.T) {
	t.Parallel()
	for silence, wait := range map[time.Duration]time.Duration{
		0: 0, 5*time.Minute - time.Nanosecond: 0, 5 * time.Minute: time.Second, 20 * time.Hour: time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newProvider(t, "a")
			p.serves("a")
			p.says("down")
			time.Sleep(10 * time.Minute)
			p.serves("a")
			time.Sleep(time.Until(p.Status().NextAttempt) + silence)
			p.takes(time.Second)
			assert.Equal(t, wait, p.serves("a"), "%v after the pause", silence)
			p.Close()
		})
	}
}

// A late answer does not end an outage: a newer fetch has failed since.
func TestCacheTakesOldAnswersForWhatTheyAre(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "a")
		p.serves("a")
		p.says("a b")
		p.takes(2 * time.Second)
		go func() { _, _ = p.knows("b") }()
		synctest.Wait()
		p.says("down")
		p.takes(time.Second)
		require.Error(t, p.Refresh(t.Context()))
		time.Sleep(2 * time.Second)
		p.serves("a", "b") // the older answer is still newer than the keys before
		assert.True(t, p.Status().Failing)
		assert.Equal(t, []Change{ChangeHealthy, ChangeFailing}, p.changes())

		p.says("c") // an answer that is older than newer keys is dropped
		p.takes(2 * time.Second)
		time.Sleep(10 * time.Second)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = p.knows("c")
		}()
		synctest.Wait()
		p.says("d")
		p.takes(0)
		require.NoError(t, p.Refresh(t.Context()))
		<-done
		time.Sleep(time.Minute)
		p.serves("d")
		p.Close()
	})
}

func TestCacheThatIsClosedWhileItFetchesHasNotFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "a")
		p.takes(time.Hour)
		done := make(chan error, 1)
		go func() {
			_, err := p.Current(t.Context())
			done <- err
		}()
		synctest.Wait()
		p.Close()
		require.EqualError(t, <-done, "the verifier is closed")
		assert.False(t, p.Status().Failing)
		assert.Empty(t, p.changes())
	})
}

// Two requests for unknown kids share one fetch, if they came before it began.
func TestCacheSharesAFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "a")
		p.serves("a")
		p.takes(time.Second)
		p.says("a b")
		done := make(chan bool, 2)
		since := p.Generation()
		s, err := p.Current(t.Context())
		require.NoError(t, err)
		for range 2 {
			go func() {
				newer, err := p.Newer(t.Context(), s, "b", since)
				done <- err == nil && newer != nil
			}()
		}
		assert.True(t, <-done)
		assert.True(t, <-done)
		assert.Equal(t, 2, p.asked())
		p.Close()
	})
}

func TestCacheGivesEachCallerOfRefreshItsOwnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "down")
		p.takes(time.Second)
		go func() { _ = p.Refresh(t.Context()) }()
		synctest.Wait()
		errs := make(chan error, 2)
		for range 2 { // both wait for that one, and then share the next
			go func() { errs <- p.Refresh(t.Context()) }()
		}
		first, second := <-errs, <-errs
		require.EqualError(t, first, "status 503")
		assert.Equal(t, first, second)
		assert.NotSame(t, first, second)
		assert.Equal(t, 2, p.asked())
		p.Close()
	})
}

// Both answers are here; the older one gets the lock last.
func TestCacheDropsAnAnswerThatIsOvertakenAtTheLastMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "a")
		older, newer := &fetch{generation: 1, cause: CauseFirst}, &fetch{generation: 2, cause: CauseAsked}
		good := func(kid string) answer {
			return answer{keys: kids{kid}, fetchedAt: time.Now(), lifetime: time.Hour}
		}
		_, _, serves := p.take(newer, good("b"))
		assert.True(t, serves)
		event, turn, serves := p.take(older, good("a"))
		assert.False(t, serves, "it would be stored")
		assert.Equal(t, Event{Cause: CauseFirst, Keys: kids{"a"}}, event, "and it is reported")
		assert.NotNil(t, turn.done)
		p.serves("b")
	})
}
