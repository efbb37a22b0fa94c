package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"
)

// fetches counts how often each library asks the provider for its keys, which
// takes ten milliseconds a time, while many callers come at once.
func (b *bench) fetches() string {
	var rows [][]string
	for _, l := range libraries() {
		if l.name == fixedKey {
			continue // fetches nothing
		}
		same := func(good string, _ int) string { return good }
		unknownKID := func(good string, n int) string {
			_, rest, _ := strings.Cut(good, ".")
			junk := header("RS256", fmt.Sprintf("junk-%d", n))
			return base64.RawURLEncoding.EncodeToString([]byte(junk)) + "." + rest
		}
		badSignature := func(good string, n int) string {
			return good[:len(good)-20] + fmt.Sprintf("%06d", n) + good[len(good)-14:]
		}
		rows = append(rows, []string{
			l.name,
			flood(l, 1000, 1000, false, same),
			flood(l, 10_000, 100, true, unknownKID),
			flood(l, 1000, 100, true, badSignature),
		})
	}
	return "Requests at the key endpoint:\n\n" +
		table([]string{"", "1,000 first requests at once", "10,000 unknown kids", "1,000 bad signatures of a known kid"}, rows)
}

// flood verifies so many variants of a good token in so many goroutines, and
// returns how often the keys were fetched. With warm, they are fetched before,
// and only what comes after that counts.
func flood(l library, calls, goroutines int, warm bool, variant func(good string, n int) string) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p := newProvider(1, true)
	defer p.Close()
	p.delay = 10 * time.Millisecond
	v := l.rs256(ctx, p.url(), &p.keys[0].PublicKey)
	good := rs256(p.keys[0], "key-0", payload(0))
	if warm {
		_, err := v(ctx, encode(good))
		check(err)
		p.requests.Store(0)
	}
	ready := make(chan struct{})
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			<-ready
			for n := g; n < calls; n += goroutines {
				_, _ = v(ctx, encode(variant(good, n)))
			}
		})
	}
	close(ready)
	wg.Wait()
	return fmt.Sprint(p.requests.Load())
}
