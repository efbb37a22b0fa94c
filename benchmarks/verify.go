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

// machine says what the figures were measured on, and with what.
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
	return fmt.Sprintf("Measured on %s, %s with GOMAXPROCS %d, %s/%s, on %s; %d rounds of %v a contestant.\n",
		model, runtime.Version(), runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH,
		time.Now().UTC().Format("2 January 2006"), b.rounds, b.turn)
}

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
		if l.name == ours {
			v := newReachFive(reachfive.WithJWKSURL(p.url()), reachfive.WithTokenCache(1000))
			contestants = append(contestants, entry(ctx, ours+", token cached", asVerify(v), token))
		}
	}
	return contestants
}

func entry(ctx context.Context, name string, v verify, token string) contestant {
	return contestant{name, func() error { return v(ctx, token) }, true}
}

func (b *bench) verify() string {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := newProvider(1, true)
	defer p.Close()
	token := rs256(p.keys[0], "key-0", payload(0))
	results := b.race(field(ctx, p, token))
	if b.docs != "" {
		check(b.verifyChart(results))
	}
	return fmt.Sprintf("RS256 with RSA-2048, a token of %d bytes, one goroutine:\n\n%s", len(token), timesTable(results, "the floor"))
}

func (b *bench) verifyParallel() string {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := newProvider(1, true)
	defer p.Close()
	token := rs256(p.keys[0], "key-0", payload(0))
	parallel := b.track
	parallel.parallel = runtime.GOMAXPROCS(0)
	parallel.turn *= time.Duration(parallel.parallel)
	results := parallel.race(field(ctx, p, token))
	var rows [][]string
	for _, r := range results {
		rows = append(rows, []string{r.name, fmt.Sprintf("%.0f", 1e9/float64(r.time)), ratio(r.ratio)})
	}
	return fmt.Sprintf("The same with %d goroutines:\n\n%s", parallel.parallel,
		table([]string{"", "tokens a second", "time, to the floor"}, rows))
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
		if l.hs256 == nil {
			continue
		}
		contestants = append(contestants, entry(ctx, strings.TrimSuffix(l.name, " + jwk.Cache"), l.hs256(), token))
		if l.name == ours {
			v := newReachFive(reachfive.WithClientSecret(secret), reachfive.WithTokenCache(1000))
			contestants = append(contestants, entry(ctx, ours+", token cached", asVerify(v), token))
		}
	}
	return fmt.Sprintf("HS256, a token of %d bytes:\n\n%s", len(token), timesTable(b.race(contestants), "HMAC + decoding"))
}
