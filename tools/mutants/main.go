// Command mutants changes the library in one small place at a time and reports
// the changes that no test notices.
//
// It writes nothing into the tree. Every change is compiled at once into the
// test binaries, through go test -overlay, behind a number that an environment
// variable chooses. It runs each test once to learn which changes it executes,
// and then, for each change, the tests that execute it until one fails: first
// those that noticed other changes of the same function, then the quickest.
//
// A change that survives every test is either a promise without a test, code
// without a use, or equivalent to the original. Those of the last kind are in
// equivalent.txt, each under its reason.
//
//	go run ./mutants -dir .. -state ../bin/mutants.jsonl
//	go run ./mutants -files checks.go,token.go -slowest 1s
//	go run ./mutants -files checks.go -tests Nonce
//
// A change that nothing notices costs a run of every test that executes it, so
// a first run with -slowest finds most of them sooner. Results and traces are
// kept beside the state file, so that an interrupted run continues. A later run
// repeats the survivors, and changes whose function has changed.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	dir := flag.String("dir", "..", "the `directory` of the module")
	packages := flag.String("packages", ".,./internal/keycache", "the packages to change and whose tests to run")
	files := flag.String("files", "", "try the changes of these `files` only, relative to the module, separated by commas")
	tests := flag.String("tests", "", "run only the tests whose name matches this `expression`")
	slowest := flag.Duration("slowest", 0, "leave out the tests that take longer than this; 0 leaves out none")
	state := flag.String("state", "", "the `file` that keeps the results (default bin/mutants.jsonl of the module)")
	known := flag.String("equivalent", "", "the `file` of changes that are equivalent (default tools/mutants/equivalent.txt of the module)")
	list := flag.Bool("list", false, "print the changes and run nothing")
	limit := flag.Duration("for", 0, "stop after this time; a later run continues")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	if *limit > 0 {
		ctx, stop = context.WithTimeout(ctx, *limit)
	}
	root, err := filepath.Abs(*dir)
	if err == nil {
		if *state == "" {
			*state = filepath.Join(root, "bin", "mutants.jsonl")
		}
		if *known == "" {
			*known = filepath.Join(root, "tools", "mutants", "equivalent.txt")
		}
		c := choice{slowest: *slowest}
		if *files != "" {
			c.files = strings.Split(*files, ",")
		}
		if c.tests, err = regexp.Compile(*tests); err == nil {
			err = run(ctx, root, strings.Split(*packages, ","), c, *state, *known, *list)
		}
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// choice is what a run is limited to. Its zero value limits nothing.
type choice struct {
	files   []string       // whose changes to try
	tests   *regexp.Regexp // the names of the tests to run
	slowest time.Duration  // the longest time of a test
}

func (c choice) changes(all []mutant) []mutant {
	if c.files == nil {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(m mutant) bool { return !slices.Contains(c.files, m.File) })
}

// without returns a line for each key that no change has.
func (s *sites) without(keys map[string]string) (lines []string) {
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !slices.ContainsFunc(s.mutants, func(m mutant) bool { return m.Key == key }) {
			lines = append(lines, key+" is no change")
		}
	}
	return lines
}

func run(ctx context.Context, root string, patterns []string, chosen choice, statePath, knownPath string, list bool) error {
	found, err := find(ctx, root, patterns)
	if err != nil {
		return err
	}
	mutants := chosen.changes(found.mutants)
	if list {
		for _, m := range mutants {
			fmt.Printf("%s:%d: %s\n", m.File, m.Line, m.Key)
		}
		return nil
	}
	equivalent, err := readEquivalent(knownPath)
	if err != nil {
		return err
	}
	results, err := openState(statePath)
	if err != nil {
		return err
	}
	defer results.close()
	suite, err := build(ctx, found)
	if err != nil {
		return err
	}
	defer suite.remove()

	count := map[string]int{}
	var left []mutant
	stale := found.without(equivalent)
	for _, m := range mutants {
		old, known := results.of(m)
		_, listed := equivalent[m.Key]
		switch {
		case known && old.Outcome == killed:
			count[killed]++
			if listed {
				stale = append(stale, m.Key+" is killed by "+old.By)
			}
		case listed:
			count["equivalent"]++
		default:
			left = append(left, m)
		}
	}
	if len(left) > 0 {
		if err := suite.trace(ctx, statePath+".traces", chosen); err != nil {
			return err
		}
		for _, m := range found.mutants {
			if r, ok := results.of(m); ok {
				suite.learn(m, r)
			}
		}
	}
	// In random order, so that an interrupted run is a fair sample.
	rand.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
	start := time.Now()
	survivors, done := 0, 0
	for m, r := range suite.tryAll(ctx, left) {
		if err := results.add(m, r); err != nil {
			return err
		}
		done++
		count[r.Outcome]++
		if r.Outcome != killed {
			survivors++
			fmt.Printf("%s:%d: %s: %s\n", m.File, m.Line, r.Outcome, m.Key)
		}
		each := time.Since(start) / time.Duration(done)
		fmt.Fprintf(os.Stderr, "\r%d of %d, %d survived, %v left   ", done, len(left), survivors, (each * time.Duration(len(left)-done)).Round(time.Second))
	}
	fmt.Fprintln(os.Stderr)
	fmt.Printf("%d changes: %d killed, %d equivalent, %d survived, %d not executed by any test, %d to do\n", len(mutants),
		count[killed], count["equivalent"], count[survived], count[unreached],
		len(mutants)-count[killed]-count["equivalent"]-count[survived]-count[unreached])
	for _, line := range stale {
		fmt.Println("equivalent.txt:", line)
	}
	if survivors > 0 || len(stale) > 0 || ctx.Err() != nil {
		return fmt.Errorf("%d survivors, %d stale lines in equivalent.txt, interrupted: %v", survivors, len(stale), ctx.Err() != nil)
	}
	return nil
}
