package main

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestARatioIsTakenWithinARound(t *testing.T) {
	t.Parallel()
	// The machine is ten times slower in the second round of each run.
	results := summarize([][][]float64{
		{{100, 1000, 100}, {200, 2000, 200}, {300, 3000, 300}},
		{{100, 1000, 100}, {200, 2000, 200}, {300, 3000, 300}},
		{{100, 1000, 100}, {200, 2000, 200}, {600, 6000, 600}},
	})
	assert.InDelta(t, 1, results[0].ratio, 0)
	assert.InDelta(t, 2, results[1].ratio, 0)
	assert.InDelta(t, 3, results[2].ratio, 0, "the median of 3, 3 and 6")
	assert.InDelta(t, 1, results[2].beyond, 0, "300 less 200, in the time of the first")
	assert.Equal(t, 300*time.Nanosecond, results[2].time)
	assert.InDelta(t, 0, results[0].spread, 0)
	assert.InDelta(t, 0, results[1].spread, 0)
	assert.InDelta(t, 1, results[2].spread, 0, "from 3 to 6, in parts of 3")
}

func TestTheSpreadOfTheFirstIsThatOfItsTime(t *testing.T) {
	t.Parallel()
	results := summarize([][][]float64{{{100}, {200}}, {{100}, {200}}, {{150}, {300}}})
	assert.InDelta(t, 0.5, results[0].spread, 0)
	assert.InDelta(t, 0, results[1].spread, 0)
}

func TestTheSpreadLeavesOutTheLowestAndTheHighestOfFive(t *testing.T) {
	t.Parallel()
	assert.InDelta(t, 0.2, spread([]float64{110, 1, 100, 900, 90}), 1e-9)
	assert.InDelta(t, 0.4, spread([]float64{80, 100, 100, 120}), 1e-9)
	assert.InDelta(t, 0, spread([]float64{7}), 0)
}

func TestRatiosThatDifferByTheLastDigitShownDoNotDiffer(t *testing.T) {
	t.Parallel()
	assert.InDelta(t, 0, ratioSpread([]float64{0.0031, 0.0035, 0.0040}), 0)
	assert.InDelta(t, 0.5, ratioSpread([]float64{0.003, 0.004, 0.005}), 1e-9)
	assert.InDelta(t, 0, ratioSpread([]float64{0.105, 0.11, 0.114}), 0)
	assert.InDelta(t, 0.2, ratioSpread([]float64{0.9, 1, 1.1}), 1e-9)
}

// It is serial, because the race counts allocations.
func TestTheRaceCallsEveryContestantAndCollectsSpreads(t *testing.T) {
	ctx := t.Context()
	p := newProvider(2, true)
	defer p.Close()
	once := track{runs: 2, rounds: 1, turn: time.Microsecond, parallel: 2, steady: &steadiness{}}
	results := once.race(field(ctx, p, rs256(p.keys[0], "key-0", payload(0)))) // panics if one fails
	assert.Len(t, results, len(libraries())+3)
	for _, r := range results {
		assert.Positive(t, r.time, r.name)
		assert.Positive(t, r.ratio, r.name)
	}
	assert.Positive(t, once.steady.spread, "no two runs take the same time")
	assert.NotEmpty(t, once.steady.name)

	failing := []contestant{{"refuses", func() error { return errors.New("no") }, true}}
	assert.Panics(t, func() { once.race(failing) }, "a contestant that does not do what it is timed for")
}
