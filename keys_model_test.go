package reachfive_test

import (
	"fmt"
	"maps"
	"time"

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
