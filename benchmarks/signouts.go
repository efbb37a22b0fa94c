package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// signOuts runs the benchmarks of reachfiveredis with a real redis-server: how
// soon 500 readers hear of a sign-out, and what 1,000,000 sign-outs cost.
func (b *bench) signOuts() string {
	server := os.Getenv("REDIS_SERVER")
	if server == "" {
		server = "redis-server"
	}
	if _, err := exec.LookPath(server); err != nil {
		return "Not measured: there is no " + server + ". `make setup` brings it.\n"
	}
	dir, err := os.MkdirTemp("", "signouts")
	check(err)
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, binary := context.Background(), filepath.Join(dir, "signouts")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, ".") //nolint:gosec // our own paths
	build.Dir = filepath.Join(b.root, "reachfiveredis")
	build.Env = append(os.Environ(), "GOWORK=off")
	build.Stderr = os.Stderr
	check(build.Run())

	figures := map[string][]float64{} // by benchmark and unit
	for range b.runs {
		for _, call := range [][]string{
			{"-test.bench=^BenchmarkReaders$", "-test.benchtime=20x"},
			{"-test.bench=^BenchmarkMillion$", "-test.benchtime=200ms"},
		} {
			run := exec.CommandContext(ctx, binary, append(call, "-test.run=^$")...) //nolint:gosec // built above
			run.Dir = filepath.Join(b.root, "reachfiveredis")
			run.Stderr = os.Stderr
			out, err := run.Output()
			check(err)
			collect(figures, string(out))
		}
	}
	ratios := make([]float64, 0, b.runs)
	for i, check := range figures["Million/check cpu-ns/op"] {
		ratios = append(ratios, 100*check/figures["Million/verify cpu-ns/op"][i])
	}
	figures["ratio"] = ratios
	b.steady.add("a check with 1,000,000 sign-outs", spread(ratios))

	var rows [][]string
	for _, row := range []struct{ name, figure, format string }{
		{"500 readers refuse after, p50", "Readers p50-ms", "%.1f ms"},
		{"500 readers refuse after, p99", "Readers p99-ms", "%.1f ms"},
		{"the last of 500 readers refuses after", "Readers max-ms", "%.1f ms"},
		{"1,000,000 sign-outs: memory of Redis", "Million/held redis-MB", "%.0f MB"},
		{"heap of a process", "Million/held heap-MB", "%.0f MB"},
		{"heap of a process while it reads them, at most", "Million/held peak-MB", "%.0f MB"},
		{"time to read them", "Million/held load-ms", "%.0f ms"},
		{"a check", "Million/check cpu-ns/op", "%.0f ns"},
		{"allocations of a check", "Million/check allocs/op", "%.0f"},
		{"a check, to a verification of RS256", "ratio", "%.2f %%"},
	} {
		values := figures[row.figure]
		if len(values) != b.runs {
			panic("no figure of " + row.figure)
		}
		rows = append(rows, []string{
			row.name, fmt.Sprintf(row.format, median(values)),
			fmt.Sprintf(row.format, slices.Min(values)), fmt.Sprintf(row.format, slices.Max(values)),
		})
	}
	return "One redis-server and all readers on this machine; " + fmt.Sprint(b.runs) + " runs, with 20 sign-outs each:\n\n" +
		table([]string{"", "median", "lowest", "highest"}, rows)
}

// collect adds the figures that a benchmark printed.
func collect(figures map[string][]float64, output string) {
	line := regexp.MustCompile(`(?m)^Benchmark([\w/]+?)(?:-\d+)?\s+\d+\s+(.*)$`)
	for _, m := range line.FindAllStringSubmatch(output, -1) {
		fields := strings.Fields(m[2])
		for i := 0; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			check(err)
			figures[m[1]+" "+fields[i+1]] = append(figures[m[1]+" "+fields[i+1]], value)
		}
	}
}
