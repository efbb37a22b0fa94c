package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// contestant is one thing to be timed.
type contestant struct {
	name string
	run  func() error // one operation; what it returns is looked at once, before the race
	want bool         // whether run is to return no error
}

// result is what came out for one contestant. Every figure of a run is a median
// over its rounds, and every figure here is a median over the runs.
type result struct {
	name   string
	time   time.Duration // of one operation
	ratio  float64       // to the first contestant, within a round
	beyond float64       // the difference to the second one, in the first one's time
	spread float64       // of the ratio over the runs; of the first contestant's time
	allocs float64
	bytes  float64
}

// track is how a race is run.
type track struct {
	runs     int
	rounds   int           // of a run
	turn     time.Duration // of one contestant in one round
	parallel int           // goroutines; 1 is serial
	what     string        // is timed, if a section has several races
	steady   *steadiness   // collects the spreads; nil if nobody asks
}

// race times the contestants. All of them must do what they are meant to.
func (t track) race(contestants []contestant) []result {
	if t.parallel <= 1 {
		// An idle processor would help to collect garbage, by chance.
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	iterations := make([]int, len(contestants))
	for i, c := range contestants {
		for range 3 {
			if err := c.run(); (err == nil) != c.want {
				panic(fmt.Sprintf("%s: %v", c.name, err))
			}
		}
		iterations[i] = calibrate(c.run, t.turn)
	}
	times := make([][][]float64, t.runs) // by run, contestant and round
	order := make([]int, len(contestants))
	for i := range order {
		order[i] = i
	}
	for run := range t.runs {
		times[run] = make([][]float64, len(contestants))
		for range t.rounds {
			rand.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] }) //nolint:gosec // no secret
			for _, i := range order {
				runtime.GC() // a contestant collects its own garbage, and not that of the one before
				times[run][i] = append(times[run][i], t.once(contestants[i].run, iterations[i]))
			}
		}
	}
	results := summarize(times)
	for i, c := range contestants {
		r := &results[i]
		r.name, r.allocs, r.bytes = c.name, testing.AllocsPerRun(100, func() { _ = c.run() }), bytesPerRun(c.run)
		if i > 0 { // the first has a time only, and no ratio that could be steady
			t.steady.add(strings.TrimSpace(t.what+" "+c.name), r.spread)
		}
	}
	return results
}

// summarize makes the figures of times in nanoseconds, which are by run,
// contestant and round.
func summarize(times [][][]float64) []result {
	results := make([]result, len(times[0]))
	for i := range results {
		var nanoseconds, ratios, beyond []float64
		for _, run := range times {
			first, second := run[0], run[min(1, len(run)-1)]
			rounds := len(first)
			ratio, difference := make([]float64, rounds), make([]float64, rounds)
			for r := range rounds {
				ratio[r] = run[i][r] / first[r]
				difference[r] = (run[i][r] - second[r]) / first[r]
			}
			nanoseconds = append(nanoseconds, median(run[i]))
			ratios, beyond = append(ratios, median(ratio)), append(beyond, median(difference))
		}
		results[i] = result{time: time.Duration(median(nanoseconds)), ratio: median(ratios), beyond: median(beyond), spread: ratioSpread(ratios)}
		if i == 0 {
			results[i].spread = spread(nanoseconds)
		}
	}
	return results
}

// once runs the operation n times and returns the nanoseconds of one: of the
// processor if it is serial, else of the clock on the wall.
func (t track) once(run func() error, n int) float64 {
	if t.parallel <= 1 {
		start := processorTime()
		for range n {
			_ = run()
		}
		return float64(processorTime()-start) / float64(n)
	}
	start := time.Now()
	var wg sync.WaitGroup
	each := max(1, n/t.parallel)
	for range t.parallel {
		wg.Go(func() {
			for range each {
				_ = run()
			}
		})
	}
	wg.Wait()
	return float64(time.Since(start).Nanoseconds()) / float64(each*t.parallel)
}

// processorTime is what this process has used, all threads of it: other
// processes do not count.
func processorTime() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// calibrate returns how many operations fill a turn. It goes by the
// processor's time: one that was kept waiting would else have turns so short
// that it meets cold caches and nothing else.
func calibrate(run func() error, turn time.Duration) int {
	for n := 1; ; n *= 2 {
		start := processorTime()
		for range n {
			_ = run()
		}
		if took := processorTime() - start; took >= turn/2 || n > 1<<24 {
			return max(1, int(float64(n)*float64(turn)/float64(max(took, 1))))
		}
	}
}

func bytesPerRun(run func() error) float64 {
	const runs = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		_ = run()
	}
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc-before.TotalAlloc) / runs
}

func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// spread is the range of the values without the lowest and the highest one, in
// parts of their median. With fewer than five it is the whole range.
func spread(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) >= 5 {
		sorted = sorted[1 : len(sorted)-1]
	}
	return (sorted[len(sorted)-1] - sorted[0]) / median(sorted)
}

// ratioSpread is the spread of ratios. Ratios that differ by no more than the last
// digit that a table shows do not differ.
func ratioSpread(ratios []float64) float64 {
	digit := 0.01
	if median(ratios) < smallRatio {
		digit = 0.001
	}
	if wide := spread(ratios); wide*median(ratios) > digit {
		return wide
	}
	return 0
}

// steadiness is the widest spread of a section, and whose it is.
type steadiness struct {
	name   string
	spread float64
}

func (s *steadiness) add(name string, spread float64) {
	if s != nil && spread > s.spread {
		s.name, s.spread = name, spread
	}
}
