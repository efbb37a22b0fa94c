package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEveryContestantDoesWhatItIsTimedFor(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := newProvider(2, true)
	defer p.Close()
	token := rs256(p.keys[0], "key-0", payload(0))
	tampered := rs256(p.keys[1], "key-0", payload(0))
	for _, l := range libraries() {
		t.Run(l.name, func(t *testing.T) {
			v := l.rs256(ctx, p.url(), &p.keys[0].PublicKey)
			if err := v(ctx, token); err != nil {
				t.Error(err)
			}
			if v(ctx, tampered) == nil {
				t.Error("a token of another key was accepted")
			}
			if l.hs256 == nil {
				return
			}
			v = l.hs256()
			if err := v(ctx, hs256(payload(0))); err != nil {
				t.Error(err)
			}
			if v(ctx, token) == nil {
				t.Error("a token of another algorithm was accepted")
			}
		})
	}
	once := track{rounds: 1, turn: time.Microsecond, parallel: 2}
	for _, r := range once.race(field(ctx, p, token)) { // panics if one fails
		if r.time <= 0 || r.ratio <= 0 {
			t.Errorf("%s: no figures", r.name)
		}
	}
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
