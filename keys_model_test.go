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

// keyModel is section 5 of the key cache's contract in small: what a Verifier
// must know and may do, from the outside. Jitter leaves spans of time in which a
// fetch may start or not; there the model believes what it sees.
type keyModel struct {
	tenant *reachfivetest.Tenant
	v      *reachfive.Verifier
	tokens map[string]string
	mode   string // of the provider: up, failing, hanging
	closed bool

	set       map[string]bool // nil: none
	absent    map[string]bool // kids that the provider was asked about
	fetchedAt time.Time

	failing  bool
	failedAt time.Time // the last failure
	backoff  time.Duration
	since    time.Time // when the backoff began
	next     time.Time // what Status said of the next attempt, before the call
	hanging  time.Time // when the fetch in flight ends; zero: none runs

	budget   int
	regained time.Time
}

const (
	modelLifetime = 10 * time.Minute
	modelStale    = 24 * time.Hour
)

// published are the kids that a good fetch brings now.
func (m *keyModel) published() map[string]bool {
	kids := map[string]bool{}
	for kid := range m.tokens {
		if kid != "junk" {
			kids[kid] = true
		}
	}
	return kids
}

// good takes in what a good fetch brings.
func (m *keyModel) good(published map[string]bool, at time.Time) {
	for kid := range m.set {
		m.absent[kid] = true
	}
	maps.DeleteFunc(m.absent, func(kid string, _ bool) bool { return published[kid] })
	m.set, m.fetchedAt, m.failing, m.hanging = maps.Clone(published), at, false, time.Time{}
}

// failed takes in the end of a fetch that failed.
func (m *keyModel) failed(at time.Time, asked bool) {
	switch {
	case !m.failing:
		m.backoff, m.since = time.Second, at
	case !asked:
		m.backoff, m.since = min(2*m.backoff, time.Minute), at
	}
	m.failing, m.failedAt = true, at
}

// settle takes in a fetch that has ended since.
func (m *keyModel) settle(now time.Time) {
	if !m.hanging.IsZero() && !now.Before(m.hanging) {
		at := m.hanging
		m.hanging = time.Time{}
		m.failed(at, false)
	}
}

// due reports whether a fetch may start, and whether it must if it is wanted.
func (m *keyModel) due(now time.Time) (may, must bool) {
	if m.closed {
		return false, false
	}
	if !m.failing {
		return true, true
	}
	passed := now.Sub(m.since)
	return passed >= m.backoff*3/4, passed >= m.backoff
}

func (m *keyModel) serves(now time.Time) bool {
	return m.set != nil && now.Sub(m.fetchedAt) < modelStale
}

// knownDown goes by the end of the pause, which Status tells: it has jitter. While
// the keys are fresh, Status may tell when the fetch ahead is due instead. A fetch
// that was asked for and failed has no pause of its own.
func (m *keyModel) knownDown(now time.Time) bool {
	end := m.next
	if latest := m.since.Add(m.backoff); end.After(latest) {
		end = latest
	}
	if end.Before(m.failedAt) {
		end = m.failedAt
	}
	return m.failing && now.Sub(end) < 5*time.Minute
}

func (m *keyModel) pay(now time.Time) bool {
	for m.budget < 2 && now.Sub(m.regained) >= 10*time.Second {
		m.budget++
		m.regained = m.regained.Add(10 * time.Second)
	}
	if m.budget == 0 {
		return false
	}
	if m.budget == 2 {
		m.regained = now
	}
	m.budget--
	return true
}

// fetch is what a fetch that starts now does to the model, for a caller who
// waits for it or not. It returns how long a waiting caller waits.
func (m *keyModel) fetch(now time.Time, waits bool, published map[string]bool) time.Duration {
	switch m.mode {
	case "up":
		m.good(published, now)
		return 0
	case "failing":
		m.failed(now, false)
		return 0
	}
	m.hanging = now.Add(5 * time.Second)
	if !waits {
		return 0
	}
	m.settle(m.hanging)
	return 5 * time.Second
}

// verify predicts a call of Verify that was seen to start fetches fetches: the
// verdict and how long it takes.
func (m *keyModel) verify(kid string, now time.Time, fetches int, published map[string]bool) (want reachfive.Code, wait time.Duration, err error) {
	age, have := now.Sub(m.fetchedAt), m.set != nil
	serves := m.serves(now)
	old := m.set
	if fetches > 1 {
		return "", 0, fmt.Errorf("%d fetches for one call", fetches)
	}
	may, must := m.due(now)
	running := !m.hanging.IsZero()
	if fetches == 1 && (!may || running && m.knownDown(now)) {
		return "", 0, fmt.Errorf("a fetch that may not start")
	}
	asked := false // a fetch was started, or waited for, since the call began
	switch {
	case have && age < modelLifetime*8/10: // nothing is due
	case have && age < modelLifetime:
		ahead := !now.Before(m.next)
		switch {
		case ahead && fetches == 0 && !running && !m.closed,
			!ahead && now.Sub(m.fetchedAt) >= modelLifetime*9/10 && !m.failing && !m.closed:
			return "", 0, fmt.Errorf("no fetch ahead")
		case ahead && fetches == 1:
			wait, asked = m.fetch(now, !old[kid], published), true
		}
	case serves && m.knownDown(now):
		if fetches == 0 && must && !running {
			return "", 0, fmt.Errorf("no fetch after the backoff")
		}
		if asked = fetches == 1; asked {
			wait = m.fetch(now, !old[kid], published)
		}
	default: // nothing that serves without a wait
		switch {
		case running:
			wait = m.hanging.Sub(now)
			m.settle(m.hanging)
		case fetches == 1:
			wait, asked = m.fetch(now, true, published), true
		case must:
			return "", 0, fmt.Errorf("no fetch though it is due")
		}
		if !m.serves(now.Add(wait)) {
			return reachfive.CodeKeysUnavailable, wait, nil
		}
		old = m.set
	}
	if old[kid] {
		return "", wait, nil
	}
	if asked {
		return m.verdict(kid), wait, nil
	}
	// The kid is unknown, and nothing was asked for it yet.
	if !m.hanging.IsZero() {
		wait += m.hanging.Sub(now.Add(wait))
		m.settle(m.hanging)
		return reachfive.CodeKeysUnavailable, wait, nil
	}
	may, must = m.due(now.Add(wait)) // not, if it has just failed
	switch {
	case fetches == 1:
		if !may || !m.pay(now) {
			return "", 0, fmt.Errorf("a fetch that nobody paid for")
		}
		wait += m.fetch(now, true, published)
		if !m.failing && !m.set[kid] {
			m.absent[kid] = true
		}
		return m.verdict(kid), wait, nil
	case must && m.pay(now):
		return "", 0, fmt.Errorf("no fetch for an unknown kid")
	case m.failing || !may || !m.absent[kid]:
		return reachfive.CodeKeysUnavailable, wait, nil
	}
	return reachfive.CodeUnknownKey, wait, nil
}

// verdict is the Code of a kid after the fetch that was made for it.
func (m *keyModel) verdict(kid string) reachfive.Code {
	switch {
	case m.failing:
		return reachfive.CodeKeysUnavailable
	case m.set[kid]:
		return ""
	}
	return reachfive.CodeUnknownKey
}

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
			pass(time.Millisecond) // or two fetches that hang could end in any order
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
			pass(rapid.SampledFrom([]time.Duration{
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
