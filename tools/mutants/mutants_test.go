package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const source = `package example

import "time"

const size = 3

type pair struct{ a, b int }

func Between(x, low, high int) bool { return x >= low && x < high }

func Outside(x int) bool {
	if x < 0 || x > 9 {
		return true
	}
	return false
}

func Sum(values []int) (sum int) {
	for i := 0; i < len(values); i++ {
		sum += values[i]
	}
	return sum
}

func Pause(n int) time.Duration {
	if n != 0 {
		return time.Duration(n+1) * time.Second
	}
	p := pair{a: size, b: [size]int{}[0]}
	return time.Duration(p.a+p.b) * time.Minute
}

func Unused() int { return len("never called") }
`

// The tests do not call Unused, and try no value at the upper bound of Between and
// none above that of Outside.
// Two changes of Pause have no effect.
const tests = `package example

import (
	"testing"
	"time"
)

func TestBetween(t *testing.T) {
	if !Between(3, 3, 9) || Between(2, 3, 9) || Between(20, 3, 9) {
		t.Fatal()
	}
}

func TestOutside(t *testing.T) {
	if !Outside(-1) || Outside(0) || Outside(9) {
		t.Fatal()
	}
}

func TestSum(t *testing.T) {
	if Sum([]int{1, 2, 3}) != 6 || Sum(nil) != 0 {
		t.Fatal()
	}
}

func TestPause(t *testing.T) {
	if Pause(1) != 2*time.Second || Pause(0) != 3*time.Minute {
		t.Fatal()
	}
}
`

func example(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example\n\ngo 1.26\n", "example.go": source, "example_test.go": tests} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestRunFindsWhatNoTestNotices(t *testing.T) {
	root := example(t)
	state, known := filepath.Join(root, "state.jsonl"), filepath.Join(root, "equivalent.txt")
	err := run(context.Background(), root, []string{"."}, choice{}, state, known, false)
	if err == nil || !strings.HasPrefix(err.Error(), "6 survivors, 0 stale") {
		t.Fatal(err)
	}
	s, err := openState(state)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for key, r := range s.results {
		if r.Outcome != killed {
			left = append(left, r.Outcome+": "+key)
		}
	}
	slices.Sort(left)
	want := []string{
		"not executed: example.go Outside: never: x > 9",
		"not executed: example.go Unused: one more: len(\"never called\")",
		"survived: example.go Between: < is <=: x < high",
		"survived: example.go Outside: one more: 9",
		"survived: example.go Pause: + is -: p.b",
		"survived: example.go Pause: one more: 0 (2)",
	}
	if !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
	if len(s.results) < 20 {
		t.Errorf("only %d changes", len(s.results))
	}

	// A reason takes a change off the list; one for a change that a test kills
	// is stale.
	text := "# Nobody asks for the bound,\n# and nobody calls Unused.\n"
	for _, line := range want {
		_, key, _ := strings.Cut(line, ": ")
		text += key + "\n"
	}
	if err := os.WriteFile(known, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(context.Background(), root, []string{"."}, choice{}, state, known, false); err != nil {
		t.Error(err)
	}
	for _, stale := range []string{"example.go Between: never: x >= low && x < high", "example.go Between: of a line that is gone"} {
		if err := os.WriteFile(known, []byte(text+"\n# Wrong.\n"+stale+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := run(context.Background(), root, []string{"."}, choice{}, state, known, false); err == nil || !strings.HasPrefix(err.Error(), "0 survivors, 1 stale") {
			t.Error(stale, err)
		}
	}
}

func TestRunIsLimitedToTheChosenFilesAndTests(t *testing.T) {
	root := example(t)
	state, known := filepath.Join(root, "state.jsonl"), filepath.Join(root, "equivalent.txt")
	limited := func(c choice) map[string]string {
		t.Helper()
		err := run(context.Background(), root, []string{"."}, c, state, known, false)
		if err != nil && !strings.Contains(err.Error(), "survivors") {
			t.Fatal(err)
		}
		s, err := openState(state)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		outcomes := map[string]string{}
		for key, r := range s.results {
			outcomes[key] = r.Outcome
		}
		return outcomes
	}
	if tried := limited(choice{files: []string{"other.go"}}); len(tried) != 0 {
		t.Errorf("tried %v", tried)
	}
	const ofSum, ofBetween = "example.go Sum: removed: sum += values[i]", "example.go Between: never: x >= low && x < high"
	if tried := limited(choice{tests: regexp.MustCompile("Between")}); tried[ofSum] != unreached || tried[ofBetween] != killed {
		t.Errorf("%s, %s", tried[ofSum], tried[ofBetween])
	}
}

// A test that noticed another change of the function runs first, then one that
// noticed another of the file, then the quickest; a slow one keeps its place.
func TestLikelyTestsRunFirst(t *testing.T) {
	all := []*test{{Name: "a"}, {Name: "b"}, {Name: "c", Took: likelyTime / 2}, {Name: "d", Took: 2 * likelyTime}}
	s := &suite{reached: map[int][]*test{1: all}, noticed: map[string]map[string]int{}}
	order := func() (names string, first int) {
		ordered, first := s.tests(mutant{ID: 1, File: "x.go", Function: "f"})
		for _, t := range ordered {
			names += t.Name
		}
		return names, first
	}
	if names, first := order(); names != "abcd" || first != 0 {
		t.Error(names, first)
	}
	s.learn(mutant{File: "x.go", Function: "g"}, result{Outcome: killed, By: "b"})
	s.learn(mutant{File: "x.go", Function: "g"}, result{Outcome: killed, By: "b"})
	s.learn(mutant{File: "x.go", Function: "f"}, result{Outcome: killed, By: "c"})
	s.learn(mutant{File: "x.go", Function: "f"}, result{Outcome: killed, By: "d"})
	s.learn(mutant{File: "x.go", Function: "f"}, result{Outcome: survived})
	if names, first := order(); names != "cbad" || first != 2 {
		t.Error(names, first)
	}
}

func TestKeysOfTheTestBinariesAreMadeBeforehand(t *testing.T) {
	root := example(t)
	text := `package example

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestKeys(t *testing.T) {
	pool, _ := os.ReadFile(os.Getenv("MUTANT_KEYS"))
	for i := range 33 {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil || key.Validate() != nil {
			t.Fatal("no good key", err)
		}
		prime := fmt.Sprintf("%x", key.Primes[0])
		if strings.Contains(string(pool), prime) != (i < 32) {
			t.Fatal(i)
		}
		pool = []byte(strings.ReplaceAll(string(pool), prime, ""))
	}
}
`
	if err := os.WriteFile(filepath.Join(root, "keys_test.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := find(t.Context(), root, []string{"."})
	if err != nil {
		t.Fatal(err)
	}
	s, err := build(t.Context(), found)
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove()
	if out, ok := s.binaries[0].run(t.Context(), time.Minute, nil, "TestKeys"); !ok {
		t.Error(out)
	}
}

func TestEquivalentsHaveAReason(t *testing.T) {
	path := filepath.Join(t.TempDir(), "equivalent.txt")
	if err := os.WriteFile(path, []byte("# One\n# reason.\na\nb\n\n# Another.\nc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readEquivalent(path)
	if err != nil || len(got) != 3 || got["b"] != "One reason." || got["c"] != "Another." {
		t.Error(got, err)
	}
	if err := os.WriteFile(path, []byte("# A reason.\na\n\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readEquivalent(path); err == nil {
		t.Error("a change without a reason is accepted")
	}
}
