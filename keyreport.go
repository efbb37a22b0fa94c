package reachfive

import (
	"cmp"
	"context"
	"log/slog"
	"net/url"
	"time"
)

// keyChanges are the kids, or for want of one the thumbprints, that a good
// fetch added and removed.
type keyChanges struct{ added, removed []string }

func compareKeys(old, set *keySet) keyChanges {
	return keyChanges{added: missing(old, set), removed: missing(set, old)}
}

// missing names the keys of other that set lacks.
func missing(set, other *keySet) []string {
	var names []string
	for _, key := range other.keys {
		if !set.has(key) {
			names = append(names, cmp.Or(key.kid, key.thumbprint))
		}
	}
	return names
}

// report tells the log and the observer: one line for a change of state, an
// event for each fetch.
func (c *keyCache) report(caller context.Context, cause FetchCause, took time.Duration, result fetchResult, o outcome) {
	// A hook that panics on this goroutine would end the process, with no
	// caller to recover from it.
	defer func() { _ = recover() }()
	for _, state := range o.states {
		c.logState(state, result, o.keyChanges)
		if c.observer.StateChanged != nil {
			c.observer.StateChanged(state)
		}
	}
	if c.observer.FetchDone != nil {
		event := FetchEvent{Cause: cause, Result: cmp.Or(result.failure, "ok"), Duration: took}
		if result.set != nil {
			event.Keys, event.Skipped = len(result.set.keys), result.set.skipped
		}
		c.observer.FetchDone(caller, event)
	}
}

func (c *keyCache) logState(state State, result fetchResult, changes keyChanges) {
	switch state {
	case StateFailing:
		c.log().Warn("reachfive: the keys cannot be fetched", slog.String("reason", result.failure))
	case StateHealthy:
		c.log().Info("reachfive: the keys are here", slog.Int("keys", len(result.set.keys)), slog.Int("skipped", result.set.skipped))
	case StateRecovered:
		c.log().Info("reachfive: the keys can be fetched again", slog.Int("keys", len(result.set.keys)), slog.Int("skipped", result.set.skipped))
	case StateKeysChanged:
		c.log().Info("reachfive: the keys have changed", slog.Any("added", changes.added), slog.Any("removed", changes.removed))
	}
}

// status tells what the cache knows. Its times are the wall clock's.
func (c *keyCache) status(s *Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Fetches, s.Failures = c.fetches, c.failures
	if u, err := url.Parse(c.jwksURL); err == nil {
		u.User = nil
		s.JWKSURL = u.String()
	}
	set, failing := c.set.Load(), c.failing.Load()
	if set != nil {
		fetchedAt := set.fetchedAt.Round(0)
		s.tellKeys(set)
		s.FetchedAt = fetchedAt
		s.FreshUntil = fetchedAt.Add(set.lifetime)
		s.ServesUntil = fetchedAt.Add(set.servesFor)
		s.NextAttempt = fetchedAt.Add(set.refreshAfter)
	}
	if failing != nil {
		s.Failing, s.LastError = true, failing.class
		if over := failing.over(set.serves(c.now())).Round(0); over.After(s.NextAttempt) {
			s.NextAttempt = over
		}
	}
	if c.closed {
		s.NextAttempt = time.Time{}
	}
}
