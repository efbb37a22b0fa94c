package main

import (
	"context"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// suite are the tests, and which of them execute which change.
type suite struct {
	temp     string
	binaries []*binary
	tests    []*test
	reached  map[int][]*test // by the number of the change, the quickest first
}

// binary is the compiled tests of one package.
type binary struct{ path, dir string }

type test struct {
	binary *binary
	name   string
	took   time.Duration
}

func (s *suite) remove() { _ = os.RemoveAll(s.temp) }

// run runs some tests of a binary with a change, and reports whether they passed.
func (b *binary) run(ctx context.Context, timeout time.Duration, env string, names ...string) (out string, ok bool) {
	command := exec.CommandContext(ctx, b.path, "-test.failfast", "-test.run=^("+strings.Join(names, "|")+")$",
		"-test.timeout="+timeout.String())
	command.Dir, command.Env = b.dir, append(os.Environ(), "GOWORK=off", env)
	command.WaitDelay = time.Second
	text, err := command.CombinedOutput()
	return string(text), err == nil
}

// trace runs every test once, without a change, and learns what it executes. A
// test that fails here is left out: it does not pass with the changes compiled
// in, for instance because it counts allocations.
func (s *suite) trace(ctx context.Context) error {
	for _, b := range s.binaries {
		list := exec.CommandContext(ctx, b.path, "-test.list=^(Test|Fuzz|Example)")
		list.Dir = b.dir
		out, err := list.Output()
		if err != nil {
			return err
		}
		for name := range strings.FieldsSeq(string(out)) {
			s.tests = append(s.tests, &test{binary: b, name: name})
		}
	}
	var lock sync.Mutex
	done := 0
	inParallel(ctx, s.tests, func(t *test) {
		path := filepath.Join(s.temp, fmt.Sprintf("%s.%s.trace", filepath.Base(t.binary.path), t.name))
		start := time.Now()
		out, ok := t.binary.run(ctx, 3*time.Minute, "MUTANT_TRACE="+path, t.name)
		t.took = time.Since(start)
		text, _ := os.ReadFile(path) // absent if the test executes no change
		lock.Lock()
		defer lock.Unlock()
		done++
		fmt.Fprintf(os.Stderr, "\r%d of %d tests traced   ", done, len(s.tests))
		if ctx.Err() != nil {
			return
		}
		if !ok {
			fmt.Fprintf(os.Stderr, "\nleft out, because it fails without a change: %s\n%s\n", t.name, lastLines(out, 4))
			return
		}
		for number := range strings.FieldsSeq(string(text)) {
			if id, err := strconv.Atoi(number); err == nil {
				s.reached[id] = append(s.reached[id], t)
			}
		}
	})
	fmt.Fprintln(os.Stderr)
	for _, tests := range s.reached {
		slices.SortFunc(tests, func(a, b *test) int { return int(a.took - b.took) })
	}
	return ctx.Err()
}

// try runs the tests that execute a change until one fails.
func (s *suite) try(ctx context.Context, m mutant) result {
	left := s.reached[m.ID]
	if len(left) == 0 {
		return result{Outcome: unreached}
	}
	for budget := 500 * time.Millisecond; len(left) > 0; budget *= 5 {
		n, sum := 0, time.Duration(0)
		for n < len(left) && (n == 0 || sum+left[n].took <= budget) {
			sum += left[n].took
			n++
		}
		for _, b := range s.binaries {
			var names []string
			for _, t := range left[:n] {
				if t.binary == b {
					names = append(names, t.name)
				}
			}
			if len(names) == 0 {
				continue
			}
			if out, ok := b.run(ctx, 30*time.Second+5*sum, fmt.Sprintf("MUTANT=%d", m.ID), names...); !ok {
				return result{Outcome: killed, By: failed(out)}
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
