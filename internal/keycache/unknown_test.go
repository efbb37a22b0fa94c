package keycache

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestFetchBudgetRegainsOneFetchAtATime(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	b := newFetchBudget()
	for _, step := range []struct {
		after    time.Duration // since the start
		taken    bool
		refillIn time.Duration // after that
	}{
		{0, true, 0},
		{4 * time.Second, true, 6 * time.Second},
		{9 * time.Second, false, time.Second},
		{10 * time.Second, true, 10 * time.Second},
		{19 * time.Second, false, time.Second},
		{time.Hour, true, 0}, // full again, and not more than that
		{time.Hour, true, 10 * time.Second},
		{time.Hour, false, 10 * time.Second},
		{2 * time.Hour, true, 0},
		{3 * time.Hour, true, 0}, // two at most, though one was left
		{3 * time.Hour, true, 10 * time.Second},
		{3 * time.Hour, false, 10 * time.Second},
	} {
		now := start.Add(step.after)
		assert.Equal(t, step.taken, b.take(now), "%v", step.after)
		assert.Equal(t, step.refillIn, b.refillIn(now), "%v", step.after)
	}
}

func TestFetchBudgetStartsAgainWhenTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	b := newFetchBudget()
	assert.True(t, b.take(start))
	assert.True(t, b.take(start))
	back := start.Add(-time.Hour)
	assert.Zero(t, b.refillIn(back))
	assert.False(t, b.take(back))
	assert.Equal(t, 10*time.Second, b.refillIn(back))
	assert.True(t, b.take(back.Add(10*time.Second)))
}

// What is given back is never more than the budget, and is there when the pause
// of the other processes is over.
func TestFetchBudgetTakesBackWhatWasNotSpent(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	b := newFetchBudget()
	assert.True(t, b.take(start))
	assert.True(t, b.take(start))
	b.refund(start, 0)
	assert.True(t, b.take(start))
	assert.False(t, b.take(start))
	later := start.Add(time.Minute)
	assert.True(t, b.take(later))
	b.refund(later, 3*time.Second)
	b.refund(later, 4*time.Second)
	assert.Equal(t, 4*time.Second, b.refillIn(later))
	assert.False(t, b.take(later.Add(4*time.Second-1)))
	later = later.Add(4 * time.Second)
	assert.Zero(t, b.refillIn(later))
	assert.True(t, b.take(later))
	b.refund(later, 30*time.Second)
	assert.False(t, b.take(later), "spent by others")
	later = later.Add(30 * time.Second)
	assert.True(t, b.take(later))
	assert.True(t, b.take(later))
	assert.False(t, b.take(later))
	b.spent = pause{later, time.Minute}
	assert.Equal(t, time.Minute, b.refillIn(later), "the longer of the two pauses")
}

func TestAbsentKIDsAreThoseThatTheNewestKeysLack(t *testing.T) {
	t.Parallel()
	a := newAbsentKIDs()
	a.learn(nil, kids{"a"}, []string{"x", "a"})
	assert.True(t, a.has("x"))
	assert.False(t, a.has("a"))
	a.learn(kids{"a"}, kids{"a", "b"}, nil)
	assert.False(t, a.has("a"), "not removed")
	a.learn(kids{"a", "b"}, kids{"b"}, nil)
	assert.True(t, a.has("a"), "removed")
	assert.True(t, a.has("x"), "the successor lacks it, too")
	a.learn(kids{"b"}, kids{"a", "x"}, nil)
	assert.False(t, a.has("a"))
	assert.False(t, a.has("x"))
	assert.True(t, a.has("b"))
}

func TestAbsentKIDsAreBounded(t *testing.T) {
	t.Parallel()
	a := newAbsentKIDs()
	a.learn(kids{"removed"}, kids{"a"}, nil)
	for i := range 1001 {
		a.learn(kids{"a"}, kids{"a"}, []string{strconv.Itoa(i)})
		a.learn(kids{"a"}, kids{"a"}, []string{"often"}) // stays, because it comes again
	}
	assert.Len(t, a.named.known, 1000)
	assert.Len(t, a.named.order, 1000)
	assert.False(t, a.has("1"))
	assert.True(t, a.has("2"))
	assert.True(t, a.has("often"))
	assert.True(t, a.has("removed"))
	for i := range 1000 {
		a.learn(kids{"k" + strconv.Itoa(i)}, kids{"a"}, nil)
	}
	assert.False(t, a.has("removed"))
	assert.Len(t, a.removed.known, 1000)
}
