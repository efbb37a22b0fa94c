package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	"time"
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

func mutantSecond(id int, v time.Duration) time.Duration {
	if mutantOn(id) {
		return v + time.Second
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

var _, _, _ = mutantMore[int], mutantMinus[int], mutantZero[int]
`

// build compiles the test binaries of the packages with all changes in them.
func build(ctx context.Context, found *sites) (*suite, error) {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return nil, err
	}
	s := &suite{temp: dir, reached: map[int][]*test{}, noticed: map[string]map[string]int{}}
	replace := map[string]string{}
	digest := sha256.New()
	put := func(path, text string) error {
		replace[path] = filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		_, _ = digest.Write([]byte(text))
		return os.WriteFile(replace[path], []byte(text), 0o600)
	}
	keys, ofRSA, err := poolKeys(ctx, dir)
	if err != nil {
		return s, err
	}
	for _, path := range slices.Sorted(maps.Keys(ofRSA)) {
		if err := put(path, ofRSA[path]); err != nil {
			return s, err
		}
	}
	for _, p := range found.packages {
		for _, path := range slices.Sorted(maps.Keys(p.files)) {
			if err := put(path, p.files[path]); err != nil {
				return s, err
			}
		}
		tests, err := filepath.Glob(filepath.Join(p.dir, "*_test.go"))
		if err != nil {
			return s, err
		}
		for _, path := range tests {
			text, err := os.ReadFile(path)
			if err != nil {
				return s, err
			}
			_, _ = digest.Write(text)
		}
		if err := put(filepath.Join(p.dir, "mutants_helpers.go"), fmt.Sprintf(helpers, p.name, len(found.mutants)+1)); err != nil {
			return s, err
		}
	}
	s.digest = hex.EncodeToString(digest.Sum(nil)[:8])
	overlay := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return s, err
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return s, err
	}
	for i, p := range found.packages {
		b := &binary{path: filepath.Join(dir, fmt.Sprintf("%d.test", i)), dir: p.dir, keys: keys}
		compile := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", b.path, ".")
		compile.Dir, compile.Env = p.dir, append(os.Environ(), "GOWORK=off")
		if out, err := compile.CombinedOutput(); err != nil {
			return s, fmt.Errorf("%w in %s, the changed text is in %s:\n%s", err, p.dir, dir, out)
		}
		s.binaries = append(s.binaries, b)
	}
	return s, nil
}
