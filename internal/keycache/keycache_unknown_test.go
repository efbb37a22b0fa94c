package keycache

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCacheAsksForUnknownKIDsFromItsBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "a")
		p.serves("a")
		for _, kid := range []string{"x", "y"} {
			known, err := p.knows(kid)
			require.NoError(t, err)
			assert.False(t, known)
		}
		p.says("a b")
		_, err := p.knows("b")
		var u *UnavailableError
		require.ErrorAs(t, err, &u)
		assert.Equal(t, 10*time.Second, u.RetryAfter)
		assert.Equal(t, "too many tokens of unknown kids", u.Reason)
		for _, kid := range []string{"x", ""} {
			known, err := p.knows(kid)
			require.NoError(t, err, "it was asked about, or there is nothing to ask about")
			assert.False(t, known)
		}
		assert.Equal(t, 3, p.asked())
		time.Sleep(10 * time.Second)
		known, err := p.knows("b")
		require.NoError(t, err)
		assert.True(t, known)
		p.Close()
	})
}

// Requests that wait for a fetch which another kid has paid for get its verdict,
// too, but only if they came before it.
func TestCacheAnswersThoseWhoCameBeforeTheFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "a")
		p.serves("a")
		since := p.Generation()
		s, err := p.Current(t.Context())
		require.NoError(t, err)
		_, err = p.knows("x")
		require.NoError(t, err)
		newer, err := p.Newer(t.Context(), s, "y", since)
		require.NoError(t, err)
		require.NotNil(t, newer)
		none, err := p.Newer(t.Context(), newer, "y", since)
		require.NoError(t, err)
		assert.Nil(t, none, "the provider was asked since it came")
		assert.Equal(t, 2, p.asked())
		_, err = p.Newer(t.Context(), newer, "y", p.Generation())
		require.NoError(t, err)
		assert.Equal(t, 3, p.asked(), "this one came later")
		p.Close()
	})
}

// The kid of a fetch that Refresh has overtaken is looked for by Refresh's.
func TestCacheRemembersTheKIDOfAFetchThatWasOvertaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "a")
		p.serves("a")
		_, err := p.knows("y")
		require.NoError(t, err)
		p.takes(time.Hour)
		go func() { _, _ = p.knows("x") }()
		synctest.Wait()
		p.takes(0)
		require.NoError(t, p.Refresh(t.Context()))
		known, err := p.knows("x") // the budget is empty
		require.NoError(t, err)
		assert.False(t, known)
		p.Close()
	})
}

// A request that has waited for a fetch that failed does not wait for another.
func TestCacheGivesUpOnAnUnknownKIDAfterAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "a")
		p.serves("a")
		p.says("down")
		_, err := p.knows("x")
		require.Error(t, err)
		time.Sleep(time.Second) // the pause is over
		s, err := p.Current(t.Context())
		require.NoError(t, err)
		since := p.Generation()
		require.Error(t, p.Refresh(t.Context())) // which has no pause of its own
		before := p.asked()
		_, err = p.Newer(t.Context(), s, "x", since)
		require.EqualError(t, err, "status 503")
		assert.Equal(t, before, p.asked())
		p.Close()
	})
}

// The last answer of the provider was a failure: a key may have been added since.
func TestCacheDoesNotTrustWhatItLearnedBeforeAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "a")
		p.serves("a")
		for _, kid := range []string{"x", "y", "x"} { // the third finds the budget empty
			known, err := p.knows(kid)
			require.NoError(t, err)
			assert.False(t, known)
		}
		p.says("down")
		require.Error(t, p.Refresh(t.Context()))
		time.Sleep(2 * time.Second) // over the pause, and before the budget regains one
		_, err := p.knows("x")
		require.Error(t, err)
		p.Close()
	})
}

func TestCacheLetsACallerOfAnUnknownKIDGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "a")
		p.serves("a")
		p.takes(3 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := p.Newer(ctx, p.snapshot.Load(), "x", p.Generation())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
		p.Close()
	})
}
