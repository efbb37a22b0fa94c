package keycache

import (
	"slices"
	"time"
)

const (
	budgetSize   = 2                // fetches that unknown kids may cause at once
	budgetRefill = 10 * time.Second // until they may cause one more
	maxAbsent    = 1000             // kids that are remembered, for each reason
)

// fetchBudget limits the fetches that unknown kids cause, so that tokens with
// made-up kids cannot flood the provider with requests. It is a token bucket.
type fetchBudget struct {
	left  int       // fetches that may start now
	since time.Time // when the refill of the next one began
	spent pause     // while it lasts, other processes have used what all of them share
}

func newFetchBudget() fetchBudget { return fetchBudget{left: budgetSize} }

// take takes one fetch from the budget, and reports whether there was one.
func (b *fetchBudget) take(now time.Time) bool {
	passed := elapsed(b.since, now)
	if passed < 0 { // a clock without a monotonic reading was set back
		b.since, passed = now, 0
	}
	refilled := int(min(passed/budgetRefill, budgetSize))
	b.left = min(b.left+refilled, budgetSize)
	b.since = b.since.Add(time.Duration(refilled) * budgetRefill)
	if b.left == 0 || b.spent.remaining(now) > 0 {
		return false
	}
	if b.left == budgetSize {
		b.since = now
	}
	b.left--
	return true
}

// refillIn is how long from now the budget stays empty, 0 if it is not empty.
func (b *fetchBudget) refillIn(now time.Time) time.Duration {
	spent := b.spent.remaining(now)
	if b.left > 0 {
		return spent
	}
	return max(pause{b.since, budgetRefill}.remaining(now), spent)
}

// refund gives back a fetch that was not made, because other processes have used
// what all of them share. For the next d there is none.
func (b *fetchBudget) refund(now time.Time, d time.Duration) {
	b.left++ // take keeps it within the budget
	b.spent = pause{now, d}
}

// absentKIDs are the kids that the newest keys lack though the provider was
// asked about them. Those of removed keys are kept apart from those that tokens
// named, so that no number of made-up kids displaces them.
type absentKIDs struct{ named, removed kidList }

func newAbsentKIDs() absentKIDs {
	return absentKIDs{named: kidList{known: map[string]struct{}{}}, removed: kidList{known: map[string]struct{}{}}}
}

func (a *absentKIDs) has(kid string) bool {
	_, named := a.named.known[kid]
	_, removed := a.removed.known[kid]
	return named || removed
}

// learn takes in newer keys, which replace old ones, nil for none, and which were
// fetched for tokens of these kids.
func (a *absentKIDs) learn(old, newer Keys, named []string) {
	present := newer.KIDs()
	for _, kid := range present {
		a.named.remove(kid)
		a.removed.remove(kid)
	}
	if old != nil {
		for _, kid := range old.KIDs() {
			if !slices.Contains(present, kid) {
				a.removed.add(kid)
			}
		}
	}
	for _, kid := range named {
		if !slices.Contains(present, kid) {
			a.named.add(kid)
		}
	}
}

// kidList holds the kids that were added last, at most maxAbsent.
type kidList struct {
	known map[string]struct{}
	order []string // the oldest first
}

func (l *kidList) add(kid string) {
	l.remove(kid)
	if len(l.order) == maxAbsent {
		l.remove(l.order[0])
	}
	l.known[kid] = struct{}{}
	l.order = append(l.order, kid)
}

func (l *kidList) remove(kid string) {
	if _, known := l.known[kid]; !known {
		return
	}
	delete(l.known, kid)
	i := slices.Index(l.order, kid)
	l.order = slices.Delete(l.order, i, i+1)
}
