package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// caches runs BenchmarkTokenCache of this package and of the root package by
// turns. Only the root package can reach our cache.
func (b *bench) caches() string {
	dir, err := os.MkdirTemp("", "caches")
	check(err)
	defer func() { _ = os.RemoveAll(dir) }()
	ctx := context.Background()
	here, err := filepath.Abs(".")
	check(err)
	binaries := []string{filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")}
	for i, source := range []string{b.root, here} {
		build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binaries[i], ".") //nolint:gosec // our own paths
		build.Dir = source
		build.Stderr = os.Stderr
		check(build.Run())
	}
	figures := map[string]map[string][]float64{}
	var names []string
	line := regexp.MustCompile(`(?m)^BenchmarkTokenCache/([^/]+)/(\w+?)(?:-\d+)?\s+\d+\s+(.*)$`)
	for range b.runs {
		for _, binary := range binaries {
			run := exec.CommandContext(ctx, binary, "-test.run=^$", "-test.bench=^BenchmarkTokenCache$", "-test.benchtime=150ms") //nolint:gosec // built above
			run.Dir = dir
			run.Stderr = os.Stderr
			out, err := run.Output()
			check(err)
			for _, m := range line.FindAllStringSubmatch(string(out), -1) {
				name, operation := m[1], m[2]
				if figures[name] == nil {
					figures[name] = map[string][]float64{}
					names = append(names, name)
				}
				fields := strings.Fields(m[3])
				for i := 0; i+1 < len(fields); i += 2 {
					value, err := strconv.ParseFloat(fields[i], 64)
					check(err)
					unit := operation + " " + fields[i+1]
					figures[name][unit] = append(figures[name][unit], value)
				}
			}
		}
	}
	var rows [][]string
	for _, name := range names {
		row := []string{strings.ReplaceAll(name, "_", " ")}
		for _, unit := range []string{"hit ns/op", "parallel ns/op", "put ns/op", "flood %hits", "memory B/entry"} {
			if len(figures[name][unit]) == 0 {
				panic("no figure of " + name + " for " + unit)
			}
			values := figures[name][unit]
			row = append(row, fmt.Sprintf("%.0f", median(values)))
			b.steady.add(name+" "+unit, spread(values))
		}
		rows = append(rows, row)
	}
	return "10,000 entries, digests of 32 bytes, pointers to a User; medians of " + fmt.Sprint(b.runs) + " runs by turns:\n\n" +
		table([]string{"", "hit, ns", "hit, all cores, ns", "put and evict, ns", "hot tokens known in a flood, %", "bytes an entry"}, rows)
}
