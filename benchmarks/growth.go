package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/reachfive-community/reachfive"
)

// grown is how the time of each contestant grows with something.
type grown struct {
	names []string
	at    []string
	times map[string][]float64 // by name, microseconds
	ratio map[string][]float64 // to the first contestant
}

func (g *grown) add(at string, results []result) {
	if g.times == nil {
		g.times, g.ratio = map[string][]float64{}, map[string][]float64{}
	}
	g.at = append(g.at, at)
	for _, r := range results {
		if !slices.Contains(g.names, r.name) {
			g.names = append(g.names, r.name)
		}
		g.times[r.name] = append(g.times[r.name], float64(r.time.Nanoseconds())/1000)
		g.ratio[r.name] = append(g.ratio[r.name], r.ratio)
	}
}

func (g *grown) table(names ...string) string {
	var rows [][]string
	for _, name := range names {
		row := []string{name}
		for i, us := range g.times[name] {
			row = append(row, fmt.Sprintf("%s (%s)", micros(time.Duration(us*1000)), ratio(g.ratio[name][i])))
		}
		rows = append(rows, row)
	}
	return table(append([]string{""}, g.at...), rows)
}

// uncached are the names of those that verify every token in full.
func (g *grown) uncached() []string {
	return slices.DeleteFunc(slices.Clone(g.names), func(name string) bool { return name == cached })
}

// tokenSize lets the payload grow.
func (b *bench) tokenSize() string {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := newProvider(1, true)
	defer p.Close()
	var g grown
	for _, size := range []int{512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16<<10 - 20} {
		token := rs256(p.keys[0], "key-0", payload(size))
		t := b.track
		t.what = fmt.Sprintf("%.1f KiB", float64(len(token))/1024)
		g.add(t.what, t.race(field(ctx, p, token)))
	}
	b.sizeChart(&g)
	return "µs, and the ratio to the floor of the same token:\n\n" + g.table(g.uncached()...) + "\n" + fromTheCache + g.table(cached)
}

// keysInSet lets the provider publish more keys than the one that fits.
func (b *bench) keysInSet() string {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var g grown
	for _, n := range []int{1, 2, 10, 100} {
		p := newProvider(n, true)
		token := rs256(p.keys[0], "key-0", payload(0))
		contestants := []contestant{{"floor: SHA-256 + RSA", floorRSA(&p.keys[0].PublicKey, token), true}}
		for _, l := range libraries() {
			contestants = append(contestants, entry(ctx, l.name, l.rs256(ctx, p.url(), &p.keys[0].PublicKey), token))
		}
		if n <= 10 {
			bare := newProvider(n, false)
			context.AfterFunc(ctx, bare.Close)
			v := newReachFive(reachfive.WithJWKSURL(bare.url()))
			contestants = append(contestants, entry(ctx, ours+", keys without kid", asVerify(v), rs256(bare.keys[0], "", payload(0))))
		}
		t := b.track
		t.what = fmt.Sprintf("%d keys", n)
		g.add(fmt.Sprint(n), t.race(contestants))
		p.Close()
	}
	return "µs, and the ratio to the floor. Of keys without kid at most 16 are tried:\n\n" + g.table(g.names...)
}

// goroutines lets more callers come at once.
func (b *bench) goroutines() string {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := newProvider(1, true)
	defer p.Close()
	token := rs256(p.keys[0], "key-0", payload(0))
	var rows, cachedRows [][]string
	head := []string{"tokens a second"}
	for _, n := range []int{1, 2, 4, 8, 16} {
		head = append(head, fmt.Sprint(n))
		t := b.several(n)
		t.what = fmt.Sprintf("%d goroutines", n)
		results, fromCache := apart(t.race(field(ctx, p, token)))
		rows, cachedRows = withRates(rows, results), withRates(cachedRows, fromCache)
	}
	return "With so many goroutines; in brackets the time to the floor with as many, and its spread:\n\n" +
		table(head, rows) + "\n" + fromTheCache + table(head, cachedRows)
}

// withRates adds a column to the rows.
func withRates(rows [][]string, results []result) [][]string {
	for i, r := range results {
		if i == len(rows) {
			rows = append(rows, []string{r.name})
		}
		rows[i] = append(rows[i], fmt.Sprintf("%s (%s, %s)", rate(r), ratio(r.ratio), percent(r.spread)))
	}
	return rows
}

// cachedTokens fills the token cache and uses each of its tokens in turn. The
// tokens are HS256, because those are quicker to make; the cache is the same.
func (b *bench) cachedTokens() string {
	ctx := context.Background()
	var claims map[string]any
	check(json.Unmarshal(payload(0), &claims))
	var contestants []contestant
	var memory []string
	for _, n := range []int{1000, 10_000, 100_000} {
		tokens := make([]string, n)
		size := 0
		for i := range tokens {
			claims["sub"] = fmt.Sprintf("AVqvOB58Fg6nZfQ%06d", i)
			tokens[i] = hs256(mustMarshal(claims))
			size = len(tokens[i])
		}
		before := heap()
		v := newReachFive(reachfive.WithClientSecret(secret), reachfive.WithTokenCache(2*n))
		for _, token := range tokens {
			_, err := v.Verify(ctx, token)
			check(err)
		}
		memory = append(memory, fmt.Sprintf("%.0f", float64(heap()-before)/float64(n)))
		rand.Shuffle(n, func(i, j int) { tokens[i], tokens[j] = tokens[j], tokens[i] }) //nolint:gosec // no secret
		var next atomic.Int64
		contestants = append(contestants, contestant{fmt.Sprintf("%d tokens of %d bytes", n, size), func() error {
			_, err := v.Verify(ctx, tokens[int(next.Add(1))%n])
			return err
		}, true})
	}
	var rows [][]string
	for i, r := range b.race(contestants) {
		rows = append(rows, []string{r.name, micros(r.time), ratio(r.ratio), memory[i]})
	}
	return table([]string{"", "µs a hit", "to 1,000", "bytes an entry"}, rows)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far below
}
