package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// helpers is what the changed text of a package calls. MUTANT chooses the
// change that is made; MUTANT_TRACE names a file that gets the number of each
// change that is executed.
const helpers = `package %s

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
)

var (
	mutantID, _ = strconv.Atoi(os.Getenv("MUTANT"))
	mutantTrace = os.Getenv("MUTANT_TRACE")
	mutantSeen  [%d]atomic.Bool
)

func mutantOn(id int) bool {
	if mutantTrace != "" {
		mutantReached(id)
	}
	return id == mutantID
}

func mutantReached(id int) {
	if mutantSeen[id].Swap(true) {
		return
	}
	if file, err := os.OpenFile(mutantTrace, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600); err == nil {
		_, _ = fmt.Fprintln(file, id)
		_ = file.Close()
	}
}

type mutantInteger interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

func mutantMore[T mutantInteger](id int, v T) T {
	if mutantOn(id) {
		return v + 1
	}
	return v
}

func mutantMinus[T mutantInteger | ~float32 | ~float64](id int, v T) T {
	if mutantOn(id) {
		return -v
	}
	return v
}

func mutantZero[T any](id int, v T) T {
	if mutantOn(id) {
		return *new(T)
	}
	return v
}

var _, _ = mutantMore[int], mutantMinus[int]
var _ = mutantZero[int]
`

// build compiles the test binaries of the packages with all changes in them.
func build(ctx context.Context, found *sites) (*suite, error) {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return nil, err
	}
	s := &suite{temp: dir, reached: map[int][]*test{}}
	replace := map[string]string{}
	put := func(path, text string) error {
		replace[path] = filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		return os.WriteFile(replace[path], []byte(text), 0o600)
	}
	for _, p := range found.packages {
		for path, text := range p.files {
			if err := put(path, text); err != nil {
				return s, err
			}
		}
		if err := put(filepath.Join(p.dir, "mutants_helpers.go"), fmt.Sprintf(helpers, p.name, len(found.mutants)+1)); err != nil {
			return s, err
		}
	}
	overlay := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return s, err
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return s, err
	}
	for i, p := range found.packages {
		b := &binary{path: filepath.Join(dir, fmt.Sprintf("%d.test", i)), dir: p.dir}
		compile := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", b.path, ".")
		compile.Dir, compile.Env = p.dir, append(os.Environ(), "GOWORK=off")
		if out, err := compile.CombinedOutput(); err != nil {
			return s, fmt.Errorf("%w in %s, the changed text is in %s:\n%s", err, p.dir, dir, out)
		}
		s.binaries = append(s.binaries, b)
	}
	return s, nil
}
