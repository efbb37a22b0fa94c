package keycache

import (
	"slices"
	"time"
)

const (
	bucketSize   = 2                // fetches that unknown kids may cost at once
	bucketRefill = 10 * time.Second // for each further one
	maxAbsent    = 1000             // kids that are remembered, for each reason
)

// tokenBucket limits the fetches that unknown kids cause, so that nobody can turn
// us against the provider with made-up kids.
type tokenBucket struct {
	tokens int
	since  time.Time // when the refill of the next token began
}

func newTokenBucket() tokenBucket { return tokenBucket{tokens: bucketSize} }

// take takes a token, and reports whether there was one.
func (b *tokenBucket) take(now time.Time) bool {
	if b.tokens < bucketSize {
		passed := elapsed(b.since, now)
		if passed < 0 { // a clock without a monotonic reading was set back
			b.since, passed = now, 0
		}
		refilled := int(min(passed/bucketRefill, bucketSize))
		b.tokens = min(b.tokens+refilled, bucketSize)
		b.since = b.since.Add(time.Duration(refilled) * bucketRefill)
	}
	if b.tokens == 0 {
		return false
	}
	if b.tokens == bucketSize {
		b.since = now
	}
	b.tokens--
	return true
}

// refillIn is how long from now the bucket stays empty, 0 if it is not empty.
func (b *tokenBucket) refillIn(now time.Time) time.Duration {
	if b.tokens > 0 {
		return 0
	}
	return pause{b.since, bucketRefill}.remaining(now)
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
