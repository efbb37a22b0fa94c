package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// suite are the tests, and which of them execute which change.
type suite struct {
	temp     string
	digest   string // of the changed text and the tests
	binaries []*binary
	reached  map[int][]*test // by the number of the change, the quickest first

	lock    sync.Mutex
	noticed map[string]map[string]int // how many changes of a function, and of a file, each test has noticed
}

// binary is the compiled tests of one package.
type binary struct{ path, dir, keys string }

// test is a test, how long it takes, and the numbers of the changes that it
// executes.
type test struct {
	Binary  int // its index
	Name    string
	Took    time.Duration
	Reached []int
	Fails   bool // without a change
}

func (s *suite) remove() { _ = os.RemoveAll(s.temp) }

// run runs some tests of a binary with a change, and reports whether they passed.
func (b *binary) run(ctx context.Context, timeout time.Duration, env []string, names ...string) (out string, ok bool) {
	command := exec.CommandContext(ctx, b.path, "-test.failfast", "-test.v", "-test.run=^("+strings.Join(names, "|")+")$",
		"-test.timeout="+timeout.String())
	command.Dir, command.Env = b.dir, slices.Concat(os.Environ(), []string{"GOWORK=off", "MUTANT_KEYS=" + b.keys}, env)
	command.WaitDelay = time.Second
	text, err := command.CombinedOutput()
	return string(text), err == nil
}

// likely is how many tests are tried first because they noticed other changes
// nearby, and likelyTime how long one of them may take.
const (
	likely     = 3
	likelyTime = time.Second
)

// learn counts the test that noticed a change.
func (s *suite) learn(m mutant, r result) {
	if r.Outcome != killed {
		return
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, place := range [...]string{m.Function, m.File} {
		if s.noticed[place] == nil {
			s.noticed[place] = map[string]int{}
		}
		s.noticed[place][r.By]++
	}
}

// tests returns the tests that execute a change, in the order to run them, and
// how many of them are likely to notice it.
func (s *suite) tests(m mutant) (all []*test, first int) {
	all = slices.Clone(s.reached[m.ID])
	s.lock.Lock()
	defer s.lock.Unlock()
	rank := func(t *test) int {
		if t.Took > likelyTime {
			return 0
		}
		return 1000*s.noticed[m.Function][t.Name] + s.noticed[m.File][t.Name]
	}
	for first < min(likely, len(all)) {
		best := slices.MaxFunc(all[first:], func(a, b *test) int { return cmp.Compare(rank(a), rank(b)) })
		if rank(best) == 0 {
			break
		}
		i := slices.Index(all, best)
		copy(all[first+1:i+1], all[first:i]) // the others keep their order
		all[first] = best
		first++
	}
	return all, first
}

// try runs the tests that execute a change until one fails.
func (s *suite) try(ctx context.Context, m mutant) result {
	left, first := s.tests(m)
	if len(left) == 0 {
		return result{Outcome: unreached}
	}
	for budget := 300 * time.Millisecond; len(left) > 0; budget *= 6 {
		n, sum := 0, time.Duration(0)
		for n < len(left) && (n == 0 || n < first || first == 0 && sum+left[n].Took <= budget) {
			sum += left[n].Took
			n++
		}
		first = 0
		for i, b := range s.binaries {
			var names []string
			for _, t := range left[:n] {
				if t.Binary == i {
					names = append(names, t.Name)
				}
			}
			if len(names) == 0 {
				continue
			}
			if out, ok := b.run(ctx, 10*time.Second+10*sum, []string{fmt.Sprintf("MUTANT=%d", m.ID)}, names...); !ok {
				r := result{Outcome: killed, By: failed(out)}
				s.learn(m, r)
				return r
			}
		}
		left = left[n:]
	}
	return result{Outcome: survived}
}

// tryAll yields the results of the mutants in the order in which they end.
func (s *suite) tryAll(ctx context.Context, mutants []mutant) iter.Seq2[mutant, result] {
	return func(yield func(mutant, result) bool) {
		var lock sync.Mutex
		inner, stop := context.WithCancel(ctx)
		defer stop()
		inParallel(inner, mutants, func(m mutant) {
			r := s.try(inner, m)
			lock.Lock()
			defer lock.Unlock()
			if inner.Err() == nil && !yield(m, r) {
				stop()
			}
		})
	}
}

// inParallel calls f for each item, for as many at once as there are processors.
func inParallel[T any](ctx context.Context, items []T, f func(T)) {
	next := make(chan T)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for item := range next {
				f(item)
			}
		})
	}
	for _, item := range items {
		if ctx.Err() != nil {
			break
		}
		next <- item
	}
	close(next)
	workers.Wait()
}

// failed is what the output of the tests names as failed.
func failed(out string) string {
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: "); ok {
			name, _, _ = strings.Cut(name, " ")
			return name
		}
	}
	if strings.Contains(out, "panic: test timed out") {
		return "a timeout"
	}
	if strings.Contains(out, "panic: ") || strings.Contains(out, "fatal error: ") {
		return "a panic"
	}
	return lastLines(out, 1)
}

func lastLines(out string, n int) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
