package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// trace runs every test once, without a change, and learns what it executes and
// how long it takes. A test that fails here is left out: it does not pass with
// the changes compiled in, for instance because it counts allocations. The
// tests that an earlier run has traced are read from the file at path.
func (s *suite) trace(ctx context.Context, path string, chosen choice) error {
	traced, err := readTraces(path, s.digest)
	if err != nil {
		return err
	}
	var left, all []*test
	for i, b := range s.binaries {
		list := exec.CommandContext(ctx, b.path, "-test.list=^(Test|Fuzz|Example)")
		list.Dir = b.dir
		out, err := list.Output()
		if err != nil {
			return err
		}
		for name := range strings.FieldsSeq(string(out)) {
			if chosen.tests != nil && !chosen.tests.MatchString(name) {
				continue
			}
			if t := traced[fmt.Sprint(i, name)]; t != nil {
				all = append(all, t)
			} else {
				left = append(left, &test{Binary: i, Name: name})
			}
		}
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	var lock sync.Mutex
	done := 0
	inParallel(ctx, left, func(t *test) {
		s.traceOne(ctx, t)
		lock.Lock()
		defer lock.Unlock()
		if ctx.Err() != nil {
			return
		}
		line, err := json.Marshal(struct {
			Digest string
			*test
		}{s.digest, t})
		if err == nil {
			_, _ = file.Write(append(line, '\n')) // a line that is missing is traced again
		}
		all = append(all, t)
		done++
		fmt.Fprintf(os.Stderr, "\r%d of %d tests traced   ", done, len(left))
	})
	fmt.Fprintln(os.Stderr)
	s.order(slices.DeleteFunc(all, func(t *test) bool { return chosen.slowest > 0 && t.Took > chosen.slowest }))
	return ctx.Err()
}

var elapsed = regexp.MustCompile(`(?m)^--- \w+: \S+ \((\d+\.\d+)s\)`)

func (s *suite) traceOne(ctx context.Context, t *test) {
	path := filepath.Join(s.temp, fmt.Sprintf("%d.%s.trace", t.Binary, t.Name))
	out, ok := s.binaries[t.Binary].run(ctx, 3*time.Minute, []string{"MUTANT_TRACE=" + path}, t.Name)
	t.Fails = !ok
	if !ok && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "\nleft out, because it fails without a change: %s\n%s\n", t.Name, lastLines(out, 4))
	}
	if m := elapsed.FindStringSubmatch(out); m != nil {
		seconds, _ := strconv.ParseFloat(m[1], 64) // the pattern admits nothing else
		t.Took = time.Duration(seconds * float64(time.Second))
	}
	text, _ := os.ReadFile(path) // absent if the test executes no change
	for number := range strings.FieldsSeq(string(text)) {
		if id, err := strconv.Atoi(number); err == nil {
			t.Reached = append(t.Reached, id)
		}
	}
}

// order sorts the tests of each change: the quickest first, and of those the
// one that executes the least.
func (s *suite) order(all []*test) {
	slices.SortFunc(all, func(a, b *test) int {
		return cmp.Or(cmp.Compare(a.Took, b.Took), cmp.Compare(len(a.Reached), len(b.Reached)), strings.Compare(a.Name, b.Name))
	})
	for _, t := range all {
		for _, id := range t.Reached {
			if !t.Fails {
				s.reached[id] = append(s.reached[id], t)
			}
		}
	}
}

func readTraces(path, digest string) (map[string]*test, error) {
	traced := map[string]*test{}
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		var t struct {
			Digest string
			test
		}
		if json.Unmarshal([]byte(line), &t) == nil && t.Digest == digest {
			traced[fmt.Sprint(t.Binary, t.Name)] = &t.test
		}
	}
	return traced, nil
}
