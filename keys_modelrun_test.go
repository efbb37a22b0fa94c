package reachfive_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestKeyCacheDoesWhatItsModelDoes(t *testing.T) {
	steps := map[string]int{}
	rsaKeys()
	rapid.Check(t, func(rt *rapid.T) {
		rapid.SyncTest(rt, func(rt *rapid.T) { checkModel(rt, steps) })
	})
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		t.Logf("%-12s %5d", name, steps[name])
	}
}

// checkModel runs one random sequence.
func checkModel(rt *rapid.T, steps map[string]int) {
	tenant, err := reachfivetest.Start(reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()...))
	if err != nil {
		rt.Fatal(err)
	}
	defer func() {
		if err := tenant.Close(); err != nil {
			rt.Fatal(err)
		}
	}()
	far := reachfivetest.Claim("exp", time.Now().Add(20*365*24*time.Hour).Unix())
	m := &keyModel{tenant: tenant, v: tenant.Verifier(), mode: "up", budget: 2, absent: map[string]bool{}, tokens: map[string]string{
		"key-1": tenant.Token(far), "junk": tenant.Token(far, reachfivetest.KID("junk")),
	}}
	all := maps.Clone(m.tokens) // tokens has the published ones, and junk
	setMode := func(mode string) {
		m.mode = mode
		tenant.SetDown(mode == "failing")
		tenant.OnJWKS(nil)
		if mode == "hanging" {
			tenant.OnJWKS(hang())
		}
	}
	// Jitter makes a sequence hard to repeat: this one is printed as it was.
	var trace []string
	begun := time.Now()
	verify := func(rt *rapid.T, kid string) {
		m.settle(time.Now())
		m.next = m.v.Status().NextAttempt
		before, start := tenant.JWKSRequests(), time.Now()
		ctx := &watchedContext{Context: rt.Context()}
		_, err := m.v.Verify(ctx, all[kid])
		waited := time.Since(start)
		synctest.Wait()
		want, wait, bad := m.verify(kid, start, tenant.JWKSRequests()-before, m.published())
		trace = append(trace, fmt.Sprintf("%v after %v: %s -> %v, %v", time.Since(begun), waited, kid, err, m.v.Status().NextAttempt.Sub(begun)))
		if bad != nil {
			rt.Fatalf("%s: %v\n%s", kid, bad, strings.Join(trace, "\n"))
		}
		if got := reachfive.CodeOf(err); got != want || err != nil && got == "" {
			rt.Fatalf("%s: %q, want %q (%v)\n%s", kid, got, want, err, strings.Join(trace, "\n"))
		}
		if waited != wait {
			rt.Fatalf("%s: waited %v, want %v\n%s", kid, waited, wait, strings.Join(trace, "\n"))
		}
	}
	count := func(name string, step func(rt *rapid.T)) func(rt *rapid.T) {
		return func(rt *rapid.T) {
			steps[name]++
			trace = append(trace, fmt.Sprintf("%v: %s", time.Since(begun), name))
			step(rt)
			synctest.Wait()
			m.settle(time.Now())
			if s := m.v.Status(); s.Failing != m.failing || len(s.Keys) != len(m.set) {
				rt.Fatalf("after %s: failing %v with %d keys, want %v with %d", name, s.Failing, len(s.Keys), m.failing, len(m.set))
			}
		}
	}
	pick := func(rt *rapid.T, tokens map[string]string) string {
		return rapid.SampledFrom(slices.Sorted(maps.Keys(tokens))).Draw(rt, "kid")
	}
	rt.Repeat(map[string]func(*rapid.T){
		"known":   count("known", func(rt *rapid.T) { verify(rt, pick(rt, m.tokens)) }),
		"any":     count("any", func(rt *rapid.T) { verify(rt, pick(rt, all)) }),
		"unknown": count("unknown", func(rt *rapid.T) { verify(rt, "junk") }),
		"rotate": count("rotate", func(*rapid.T) {
			if len(all) < len(rsaKeys()) {
				kid := tenant.Rotate()
				all[kid] = tenant.Token(far)
				m.tokens[kid] = all[kid]
			}
		}),
		"remove": count("remove", func(rt *rapid.T) {
			if len(m.tokens) > 2 { // one key and junk stay
				kid := pick(rt, m.tokens)
				if kid != "junk" {
					tenant.RemoveKey(kid)
					delete(m.tokens, kid)
				}
			}
		}),
		"fail":    count("fail", func(*rapid.T) { setMode("failing") }),
		"hang":    count("hang", func(*rapid.T) { setMode("hanging") }),
		"recover": count("recover", func(*rapid.T) { setMode("up") }),
		"refresh": count("refresh", func(rt *rapid.T) {
			advance(time.Millisecond) // or two fetches that hang could end in any order
			m.settle(time.Now())
			before, start := tenant.JWKSRequests(), time.Now()
			err := m.v.Refresh(rt.Context())
			synctest.Wait()
			fetches := tenant.JWKSRequests() - before
			switch {
			case m.closed:
				if fetches != 0 || err == nil {
					rt.Fatalf("closed: %d fetches, %v", fetches, err)
				}
				return
			case fetches != 1:
				rt.Fatalf("%d fetches", fetches)
			case m.mode == "up":
				m.good(m.published(), start)
			case m.mode == "failing":
				m.hanging = time.Time{} // its outcome is older
				m.failed(start, true)
			default:
				end := start.Add(5 * time.Second)
				m.settle(end) // the one before
				m.failed(end, true)
			}
			if (err == nil) != (m.mode == "up") {
				rt.Fatal(err)
			}
		}),
		"health": count("health", func(rt *rapid.T) {
			m.settle(time.Now())
			before, start := tenant.JWKSRequests(), time.Now()
			err := m.v.HealthCheck(rt.Context())
			synctest.Wait()
			fetches := tenant.JWKSRequests() - before
			if m.serves(start) {
				if err != nil || fetches != 0 {
					rt.Fatalf("a token can be decided: %d fetches, %v", fetches, err)
				}
				return
			}
			// As a request without a kid that anybody knows, up to its fetch.
			may, must := m.due(start)
			switch {
			case !m.hanging.IsZero():
				m.settle(m.hanging)
			case fetches == 1 && may:
				m.fetch(start, true, m.published())
			case fetches != 0 || must:
				rt.Fatalf("%d fetches, may %v, must %v", fetches, may, must)
			}
			if (err == nil) != m.serves(time.Now()) {
				rt.Fatal(err)
			}
		}),
		"advance": count("advance", func(rt *rapid.T) {
			advance(rapid.SampledFrom([]time.Duration{
				time.Second, 3 * time.Second, 10 * time.Second, time.Minute, 4 * time.Minute,
				8 * time.Minute, 9 * time.Minute, 10 * time.Minute, time.Hour, 13 * time.Hour,
			}).Draw(rt, "time"))
		}),
		"close": count("close", func(rt *rapid.T) {
			if rapid.IntRange(0, 9).Draw(rt, "odds") > 0 {
				return
			}
			m.settle(time.Now())
			if err := m.v.Close(); err != nil {
				rt.Fatal(err)
			}
			m.closed, m.hanging = true, time.Time{}
		}),
	})
}
