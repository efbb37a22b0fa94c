package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive"
)

// machine names what the figures were measured on, and how.
func (b *bench) machine() string {
	model := "an unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range bytes.Lines(info) {
			if name, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("Measured on %s, %s with GOMAXPROCS %d, %s/%s, on %s; medians of %d runs of %d rounds, each contestant %v a round.\n",
		model, runtime.Version(), runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH,
		time.Now().UTC().Format("2 January 2006"), b.runs, b.rounds, b.turn)
}

// cached marks the contestants that find the token in the token cache. They do
// something else than the others, and have a table of their own.
const cached = ours + ", token cached"

// field is every library with the same token and key, behind the floor.
func field(ctx context.Context, p *provider, token string) []contestant {
	key := &p.keys[0].PublicKey
	floor := floorRSA(key, token)
	contestants := []contestant{
		{"floor: SHA-256 + RSA", floor, true},
		{"floor + strict decoding (json/v2)", withDecode(floor, token), true},
	}
	for _, l := range libraries() {
		contestants = append(contestants, entry(ctx, l.name, l.rs256(ctx, p.url(), key), token))
	}
	v := newReachFive(reachfive.WithJWKSURL(p.url()), reachfive.WithTokenCache(1000))
	return append(contestants, entry(ctx, cached, asVerify(v), token))
}

func entry(ctx context.Context, name string, v verify, text string) contestant {
	token := encode(text)
	return contestant{name, func() error { _, err := v(ctx, token); return err }, true}
}

// apart takes the cached contestants out of the results of a race.
func apart(results []result) (uncached, fromCache []result) {
	for _, r := range results {
		if r.name == cached {
			fromCache = append(fromCache, r)
		} else {
			uncached = append(uncached, r)
		}
	}
	return uncached, fromCache
}

const fromTheCache = "The same token from the cache of `WithTokenCache`, its signature not verified again:\n\n"

func (b *bench) verify() string {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := newProvider(1, true)
	defer p.Close()
	token := rs256(p.keys[0], "key-0", payload(0))
	results, fromCache := apart(b.race(field(ctx, p, token)))
	b.verifyChart(results)
	return fmt.Sprintf("RS256 with RSA-2048, a token of %d bytes, one goroutine:\n\n%s\n%s%s", len(token),
		timesTable(results, "the floor"), fromTheCache, timesTable(fromCache, "the floor"))
}

func (b *bench) verifyParallel() string {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := newProvider(1, true)
	defer p.Close()
	token := rs256(p.keys[0], "key-0", payload(0))
	t := b.several(runtime.GOMAXPROCS(0))
	t.rounds = b.rounds
	results, fromCache := apart(t.race(field(ctx, p, token)))
	return fmt.Sprintf("The same with %d goroutines, in turns of %v:\n\n%s\n%s%s", t.parallel, t.turn,
		rates(results), fromTheCache, rates(fromCache))
}

// several is a race of so many goroutines. Each of them adds a turn's length, so
// that starting them has its true share.
func (b *bench) several(goroutines int) track {
	t := b.track
	t.rounds = max(1, b.rounds/3)
	t.parallel = goroutines
	t.turn *= time.Duration(goroutines)
	return t
}

func rates(results []result) string {
	var rows [][]string
	for _, r := range results {
		rows = append(rows, []string{r.name, rate(r), ratio(r.ratio), percent(r.spread)})
	}
	return table([]string{"", "tokens a second", "time, to the floor", "spread"}, rows)
}

func (b *bench) verifyHS256() string {
	ctx := context.Background()
	token := hs256(payload(0))
	floor := floorHMAC(token)
	contestants := []contestant{
		{"HMAC + strict decoding (json/v2)", withDecode(floor, token), true},
		{"HMAC alone", floor, true},
	}
	for _, l := range libraries() {
		if l.hs256 != nil {
			name, _, _ := strings.Cut(l.name, " + ") // no key set is asked
			contestants = append(contestants, entry(ctx, name, l.hs256(), token))
		}
	}
	v := newReachFive(reachfive.WithClientSecret(secret), reachfive.WithTokenCache(1000))
	results, fromCache := apart(b.race(append(contestants, entry(ctx, cached, asVerify(v), token))))
	return fmt.Sprintf("HS256, a token of %d bytes:\n\n%s\n%s%s", len(token),
		timesTable(results, "HMAC + decoding"), fromTheCache, timesTable(fromCache, "HMAC + decoding"))
}
