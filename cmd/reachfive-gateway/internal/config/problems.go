package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// position is a place in the file, both counted from 1.
type position struct{ line, column int }

// Problem is one mistake in a configuration.
type Problem struct {
	Line, Column int
	Path         string // the key, such as policies.api.tenants[0]; "" for the whole file
	Text         string
}

// Problems collects every mistake of a configuration file.
type Problems struct {
	file      string
	positions map[string]position
	list      []Problem
}

// Add reports a mistake at path, which stands in the file at that key or, if it
// is absent, at the nearest key above.
func (p *Problems) Add(path, format string, args ...any) {
	at := position{1, 1}
	for key := path; ; key = parent(key) {
		if found, ok := p.positions[key]; ok {
			at = found
			break
		}
		if key == "" {
			break
		}
	}
	p.addAt(at, path, fmt.Sprintf(format, args...))
}

func (p *Problems) addAt(at position, path, text string) {
	p.list = append(p.list, Problem{Line: at.line, Column: at.column, Path: path, Text: text})
}

// has reports whether a mistake at path or below is known already.
func (p *Problems) has(path string) bool {
	return slices.ContainsFunc(p.list, func(known Problem) bool {
		rest, below := strings.CutPrefix(known.Path, path)
		return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// List returns the problems in the order of the file.
func (p *Problems) List() []Problem {
	list := slices.Clone(p.list)
	slices.SortStableFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return list
}

// Err returns all problems as one error, one a line, or nil.
func (p *Problems) Err() error {
	if len(p.list) == 0 {
		return nil
	}
	return p
}

// Error implements error.
func (p *Problems) Error() string {
	var b strings.Builder
	for i, problem := range p.List() {
		if i > 0 {
			b.WriteByte('\n')
		}
		if p.file != "" {
			b.WriteString(p.file + ":")
		}
		fmt.Fprintf(&b, "%d:%d: ", problem.Line, problem.Column)
		if problem.Path != "" {
			b.WriteString(problem.Path + ": ")
		}
		b.WriteString(problem.Text)
	}
	return b.String()
}

// parent is the path of the mapping or sequence that holds path.
func parent(path string) string {
	if end := strings.LastIndexAny(path, ".["); end >= 0 {
		return path[:end]
	}
	return ""
}

// join appends a key to a path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
