package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
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

// result is what came out for one contestant.
type result struct {
	name   string
	time   time.Duration // median of one operation
	ratio  float64       // median over the rounds, to the first contestant
	beyond float64       // median of the difference to the second one, in the first one's time
	allocs float64
	bytes  float64
}

// track is how a race is run.
type track struct {
	rounds   int
	turn     time.Duration // of one contestant in one round
	parallel int           // goroutines; 1 is serial
}

// race times the contestants. All of them must do what they are meant to.
func (t track) race(contestants []contestant) []result {
	iterations := make([]int, len(contestants))
	for i, c := range contestants {
		for range 3 {
			if err := c.run(); (err == nil) != c.want {
				panic(fmt.Sprintf("%s: %v", c.name, err))
			}
		}
		iterations[i] = calibrate(c.run, t.turn)
	}
	times := make([][]float64, len(contestants))
	order := make([]int, len(contestants))
	for i := range order {
		order[i] = i
	}
	for range t.rounds {
		runtime.GC()                                                                         // one's garbage is not another's pause
		rand.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] }) //nolint:gosec // no secret
		for _, i := range order {
			times[i] = append(times[i], t.once(contestants[i].run, iterations[i]))
		}
	}
	results := make([]result, len(contestants))
	for i, c := range contestants {
		ratios, beyond := make([]float64, t.rounds), make([]float64, t.rounds)
		for r := range t.rounds {
			ratios[r] = times[i][r] / times[0][r]
			beyond[r] = (times[i][r] - times[min(1, len(times)-1)][r]) / times[0][r]
		}
		results[i] = result{
			name: c.name, time: time.Duration(median(times[i])), ratio: median(ratios), beyond: median(beyond),
			allocs: testing.AllocsPerRun(100, func() { _ = c.run() }), bytes: bytesPerRun(c.run),
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
