package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// section is one table of docs/performance.md, or several that belong together.
type section struct {
	name string
	run  func(*bench) string
}

// bench is one call of the program.
type bench struct {
	track

	root   string  // of the repository
	docs   string  // "" if nothing is written
	bound  float64 // of a spread
	tries  int     // of a section whose spread is over the bound
	load   time.Duration
	out    io.Writer
	log    io.Writer
	charts []chart // of the section that runs
}

func sections() []section {
	return []section{
		{"machine", (*bench).machine},
		{"verify", (*bench).verify},
		{"parallel", (*bench).verifyParallel},
		{"hs256", (*bench).verifyHS256},
		{"middleware", (*bench).middleware},
		{"refusals", (*bench).refusals},
		{"fetches", (*bench).fetches},
		{"token-size", (*bench).tokenSize},
		{"keys", (*bench).keysInSet},
		{"goroutines", (*bench).goroutines},
		{"cached-tokens", (*bench).cachedTokens},
		{"caches", (*bench).caches},
		{"binary", (*bench).binary},
		{"gateway", (*bench).gateway},
		{"signouts", (*bench).signOuts},
		{"profile", (*bench).profile},
	}
}

func main() {
	write := flag.String("write", "", "the `directory` whose performance.md and charts are written")
	only := flag.String("only", "", "run these `sections` only, separated by commas")
	root := flag.String("root", "..", "the `directory` of the repository")
	runs := flag.Int("runs", 7, "runs, over which the spread is taken")
	rounds := flag.Int("rounds", 15, "rounds of a run")
	turn := flag.Duration("turn", 20*time.Millisecond, "time of one contestant in one round, long enough for several collections of garbage")
	bound := flag.Float64("spread", 0.1, "write no section in which the runs differ by more than this part of the median")
	load := flag.Duration("load", 3*time.Second, "time of one run of wrk; fortio gets two thirds of it")
	tries := flag.Int("tries", 3, "measure a section that is over the spread so many times")
	flag.Parse()

	b := &bench{
		track: track{runs: *runs, rounds: *rounds, turn: *turn, parallel: 1, steady: &steadiness{}},
		root:  *root, docs: *write, bound: *bound, tries: *tries, load: *load, out: os.Stdout, log: os.Stderr,
	}
	var chosen []section
	for _, s := range sections() {
		if *only == "" || slices.Contains(strings.Split(*only, ","), s.name) {
			chosen = append(chosen, s)
		}
	}
	if !b.measure(chosen) {
		os.Exit(1)
	}
}

// measure runs the sections and writes those that were steady. It reports
// whether all of them were.
func (b *bench) measure(sections []section) bool {
	var left []string
	for _, s := range sections {
		if !b.section(s) {
			left = append(left, s.name)
		}
	}
	if len(left) > 0 {
		_, _ = fmt.Fprintf(b.log, "\nNOT WRITTEN, because the runs differ by more than %s: %s.\n"+
			"Stop what else uses the machine, and run these sections again.\n", percent(b.bound), strings.Join(left, ","))
	}
	return len(left) == 0
}

func (b *bench) section(s section) bool {
	for try := 1; try <= b.tries; try++ {
		*b.steady, b.charts = steadiness{}, nil
		start := time.Now()
		text := s.run(b)
		_, _ = fmt.Fprintf(b.log, "%s: %v, spread %s %s\n", s.name, time.Since(start).Round(time.Second), percent(b.steady.spread), b.steady.name)
		if b.steady.spread > b.bound {
			_, _ = fmt.Fprintf(b.log, "%s: THROWN AWAY, try %d of %d: the bound is %s\n\n%s\n", s.name, try, b.tries, percent(b.bound), text)
			continue
		}
		_, _ = fmt.Fprintf(b.out, "## %s\n\n%s\n", s.name, text)
		if b.docs != "" {
			check(replace(filepath.Join(b.docs, "performance.md"), s.name, text))
			for _, c := range b.charts {
				check(os.WriteFile(filepath.Join(b.docs, c.file), []byte(c.svg), 0o644)) //nolint:gosec // a picture for everybody
			}
		}
		return true
	}
	return false
}
