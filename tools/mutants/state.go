package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Outcomes of a mutant.
const (
	killed    = "killed"
	survived  = "survived"
	unreached = "not executed"
)

// result is what came of one mutant.
type result struct {
	Key      string
	Function string // a digest of its text
	Outcome  string
	By       string `json:",omitempty"` // the tests that failed, or that timed out
}

// state keeps results across runs, one line of JSON each; the last one holds.
type state struct {
	file    *os.File
	results map[string]result
}

func openState(path string) (*state, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	s := &state{file: file, results: map[string]result{}}
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var r result
		if json.Unmarshal(scanner.Bytes(), &r) == nil { // a line cut off by an interrupt is none
			s.results[r.Key] = r
		}
	}
	return s, scanner.Err()
}

// of returns the result of a mutant, unless its function has changed since.
func (s *state) of(m mutant) (result, bool) {
	r, ok := s.results[m.Key]
	return r, ok && r.Function == m.Function
}

func (s *state) add(m mutant, r result) error {
	r.Key, r.Function = m.Key, m.Function
	s.results[m.Key] = r
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = s.file.Write(append(line, '\n'))
	return err
}

func (s *state) close() { _ = s.file.Close() }

// readEquivalent reads the keys of mutants that change nothing a test could
// see. Each group of keys follows its reason, which starts with "# ".
func readEquivalent(path string) (map[string]string, error) {
	reasons := map[string]string{}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return reasons, nil
	}
	if err != nil {
		return nil, err
	}
	reason, inReason := "", false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		comment, isComment := strings.CutPrefix(line, "# ")
		switch {
		case line == "":
			reason, inReason = "", false
		case isComment && inReason:
			reason += " " + comment
		case isComment:
			reason, inReason = comment, true
		case reason == "":
			return nil, fmt.Errorf("%s: no reason above %q", path, line)
		default:
			inReason = false
			reasons[line] = reason
		}
	}
	return reasons, nil
}
