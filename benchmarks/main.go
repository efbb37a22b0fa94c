package main

import (
	"flag"
	"fmt"
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

// bench is one run of the program.
type bench struct {
	track
	root string // of the repository
	docs string // "" if nothing is written
}

func main() {
	write := flag.String("write", "", "the `directory` whose performance.md and charts are written")
	only := flag.String("only", "", "run these `sections` only, separated by commas")
	root := flag.String("root", "..", "the `directory` of the repository")
	rounds := flag.Int("rounds", 300, "rounds of a race")
	turn := flag.Duration("turn", time.Millisecond, "time of one contestant in one round")
	flag.Parse()

	b := &bench{track: track{rounds: *rounds, turn: *turn, parallel: 1}, root: *root, docs: *write}
	sections := []section{
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
		{"profile", (*bench).profile},
	}
	for _, s := range sections {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), s.name) {
			continue
		}
		start := time.Now()
		text := s.run(b)
		fmt.Printf("## %s\n\n%s\n", s.name, text)
		fmt.Fprintf(os.Stderr, "%s: %v\n", s.name, time.Since(start).Round(time.Second))
		if b.docs != "" {
			check(replace(filepath.Join(b.docs, "performance.md"), s.name, text))
		}
	}
}
