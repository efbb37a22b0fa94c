package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryTableIsMadeFromASteadyRun(t *testing.T) {
	t.Parallel()
	docs := t.TempDir()
	page := filepath.Join(docs, "performance.md")
	require.NoError(t, os.WriteFile(page, []byte("<!-- verify -->\nold\n<!-- /verify -->\n<!-- keys -->\nold\n<!-- /keys -->\n"), 0o600))
	var log bytes.Buffer
	b := &bench{track: track{steady: &steadiness{}}, docs: docs, bound: 0.1, tries: 2, out: io.Discard, log: &log}
	calls := 0
	measured := func(spreads ...float64) func(*bench) string {
		calls = 0
		return func(b *bench) string {
			b.steady.add("a contestant", spreads[calls])
			b.charts = append(b.charts, chart{"chart.svg", fmt.Sprint(calls)})
			calls++
			return fmt.Sprintf("try %d", calls)
		}
	}

	assert.False(t, b.measure([]section{{"verify", measured(0.11, 5)}}))
	assert.Equal(t, 2, calls)
	assert.Contains(t, log.String(), "NOT WRITTEN, because the runs differ by more than 10 %: verify.")
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "try")
	assert.NoFileExists(t, filepath.Join(docs, "chart.svg"))

	log.Reset()
	assert.True(t, b.measure([]section{{"verify", measured(0.5, 0.1)}}))
	assert.NotContains(t, log.String(), "NOT WRITTEN")
	text, err = os.ReadFile(page)
	require.NoError(t, err)
	assert.Contains(t, string(text), "<!-- verify -->\ntry 2\n")
	chart, err := os.ReadFile(filepath.Join(docs, "chart.svg"))
	require.NoError(t, err)
	assert.Equal(t, "1", string(chart), "the chart of the run that was thrown away")
}

func TestReplaceWritesBetweenTheMarkersAndNowhereElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "performance.md")
	page := "before\n<!-- verify -->\nold\n<!-- /verify -->\nafter\n<!-- keys -->\nkept\n<!-- /keys -->\n"
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := replace(path, "verify", "\nnew\n"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(page, "old", "new", 1); string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if replace(path, "missing", "") == nil {
		t.Error("a section without a place is no error")
	}
}

func TestPayloadGrowsToTheSizeAskedFor(t *testing.T) {
	for _, size := range []int{1 << 10, 2 << 10, 8 << 10, 16<<10 - 20} {
		token := signingInput(header("RS256", "key-0"), payload(size)) + "." + strings.Repeat("x", 342)
		if len(token) > size || len(token) < size-200 {
			t.Errorf("%d bytes, want nearly %d", len(token), size)
		}
	}
}
