package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// replace puts text between the markers of a section: the rest of the page is
// written by hand.
func replace(path, section, text string) error {
	page, err := os.ReadFile(path) //nolint:gosec // the page that was asked for
	if err != nil {
		return err
	}
	begin, end := "<!-- "+section+" -->\n", "<!-- /"+section+" -->"
	before, rest, found := strings.Cut(string(page), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has no place for the section %q", path, section)
	}
	return os.WriteFile(path, []byte(before+begin+strings.TrimSpace(text)+"\n"+end+after), 0o644) //nolint:gosec // a page for everybody
}

// table writes Markdown. All columns but the first are figures.
func table(head []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(head)
	b.WriteString("|---" + strings.Repeat("|---:", len(head)-1) + "|\n")
	for _, row := range rows {
		line(row)
	}
	return b.String()
}

// timesTable is the table of a race.
func timesTable(results []result, first string) string {
	var rows [][]string
	for _, r := range results {
		rows = append(rows, []string{r.name, micros(r.time), ratio(r.ratio), fmt.Sprintf("%.0f", r.allocs), fmt.Sprintf("%.0f", r.bytes)})
	}
	return table([]string{"", "µs", "to " + first, "allocations", "bytes"}, rows)
}

func micros(d time.Duration) string {
	switch us := float64(d.Nanoseconds()) / 1000; {
	case us < 10:
		return fmt.Sprintf("%.2f", us)
	case us < 1000:
		return fmt.Sprintf("%.1f", us)
	default:
		return fmt.Sprintf("%.0f", us)
	}
}

// smallRatio is what a ratio is below that is shown with a third digit.
const smallRatio = 0.1

func ratio(r float64) string {
	if r < smallRatio {
		return fmt.Sprintf("%.3f", r)
	}
	return fmt.Sprintf("%.2f", r)
}

func rate(r result) string { return fmt.Sprintf("%.0f", 1e9/float64(r.time)) }

func percent(part float64) string { return fmt.Sprintf("%.0f %%", 100*part) }

// kibibytes reads a column of the size table back.
func kibibytes(at string) float64 {
	number, _, _ := strings.Cut(at, " ")
	value, err := strconv.ParseFloat(number, 64)
	check(err)
	return value
}
