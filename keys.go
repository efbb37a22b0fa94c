package reachfive

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/reachfive-community/reachfive/internal/keycache"
)

// tenantKeys are the keys that verify RS256 tokens: those that the tenant
// publishes, kept by a cache, or fixed ones.
type tenantKeys struct {
	cache *keycache.Cache
	fixed *keycache.Snapshot // nil if there is a cache
}

func newTenantKeys(c *config) *tenantKeys {
	if c.fixed != nil {
		return &tenantKeys{fixed: &keycache.Snapshot{Keys: c.fixed}}
	}
	reporter := keyReporter{observer: c.observer, logger: c.logger, issuer: c.issuer}
	settings := keycache.Config{
		Issuer:   c.issuer,
		JWKSURL:  c.jwksURL,
		Client:   c.client,
		Store:    c.store,
		Shared:   c.shared,
		MaxStale: c.maxStale,
		Now:      c.now,
		ParseKeys: func(document []byte) (keycache.Keys, error) {
			return parseKeySet(document)
		},
		ParseDiscovery: func(document []byte) (string, error) {
			return parseDiscovery(document, c.issuer)
		},
		Report: reporter.report,
		Warn:   reporter.warn,
		Note:   reporter.note,
	}
	if c.discovery {
		settings.DiscoveryURL = "https://" + c.domain + "/.well-known/openid-configuration"
	}
	return &tenantKeys{cache: keycache.New(settings)}
}

// generation tells which answers of the provider are older than now.
func (k *tenantKeys) generation() keycache.Generation {
	if k.cache == nil {
		return 0
	}
	return k.cache.Generation()
}

// current returns the keys to verify with.
func (k *tenantKeys) current(ctx context.Context) (*keycache.Snapshot, error) {
	if k.cache == nil {
		return k.fixed, nil
	}
	snapshot, err := k.cache.Current(ctx)
	return snapshot, keysError(err)
}

// newer returns newer keys than those of snapshot, nil if snapshot is the answer:
// see keycache.Cache.Newer.
func (k *tenantKeys) newer(ctx context.Context, snapshot *keycache.Snapshot, kid string, since keycache.Generation) (*keycache.Snapshot, error) {
	if k.cache == nil {
		return nil, nil
	}
	newer, err := k.cache.Newer(ctx, snapshot, kid, since)
	return newer, keysError(err)
}

// keySetOf returns the keys of a snapshot, nil if there are none.
func keySetOf(keys keycache.Keys) *keySet {
	set, _ := keys.(*keySet)
	return set
}

// keysError turns the cache's error into one of this package. Each caller gets an
// Error of its own, which it may change.
func keysError(err error) error {
	if err == nil {
		return nil
	}
	if u, ok := errors.AsType[*keycache.UnavailableError](err); ok {
		return &Error{Code: CodeKeysUnavailable, RetryAfter: u.RetryAfter, detail: u.Reason}
	}
	return err // the context's own
}

var (
	errNoObject      = errors.New("no JSON object")
	errAnotherIssuer = errors.New("another issuer")
	errNotHTTPS      = errors.New("jwks_uri is no https URL")
)

// parseDiscovery reads jwks_uri from the tenant's discovery document, whose issuer
// must be the one that tokens have (OpenID Connect Discovery section 4.3).
func parseDiscovery(document []byte, issuer string) (string, error) {
	var r objectReader
	if err := r.open(document); err != nil {
		return "", errNoObject
	}
	members := map[string]string{}
	for {
		name, at, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", errNoObject
		}
		if raw := string(document[at.start:at.end]); raw[0] == '"' {
			members[string(name)] = unquote(raw)
		}
	}
	jwksURI := members["jwks_uri"]
	switch {
	case members["issuer"] != issuer:
		return "", errAnotherIssuer
	case jwksURLError(jwksURI, false) != nil:
		return "", errNotHTTPS
	}
	return jwksURI, nil
}

// keyReporter tells the log and the observer what becomes of the keys.
type keyReporter struct {
	observer Observer
	logger   *slog.Logger // nil: slog.Default()
	issuer   string
}

// log returns the logger for one line.
func (r keyReporter) log() *slog.Logger {
	logger := r.logger
	if logger == nil {
		logger = slog.Default() // a program may set it after New
	}
	return logger.With(slog.String("issuer", r.issuer))
}

func (r keyReporter) warn(text, reason string) {
	r.log().Warn("reachfive: "+text, slog.String("reason", reason))
}

func (r keyReporter) note(text string) { r.log().Info("reachfive: " + text) }

// report writes a line for each change of state, and calls the observer for it
// and for the fetch.
func (r keyReporter) report(ctx context.Context, e keycache.Event) {
	set, replaced := keySetOf(e.Keys), keySetOf(e.Replaced)
	var states []State
	if e.Change != keycache.ChangeNone {
		states = append(states, State(e.Change))
	}
	var added, removed []string
	if replaced != nil {
		added, removed = replaced.missing(set), set.missing(replaced)
		if len(added)+len(removed) > 0 {
			states = append(states, StateKeysChanged)
		}
	}
	for _, state := range states {
		switch state {
		case StateFailing:
			r.warn("the keys cannot be fetched", e.Failure)
		case StateHealthy:
			r.log().Info("reachfive: the keys are here", slog.Int("keys", len(set.keys)), slog.Int("skipped", set.skipped))
		case StateRecovered:
			r.log().Info("reachfive: the keys can be fetched again", slog.Int("keys", len(set.keys)), slog.Int("skipped", set.skipped))
		case StateKeysChanged:
			r.log().Info("reachfive: the keys have changed", slog.Any("added", added), slog.Any("removed", removed))
		}
		if r.observer.StateChanged != nil {
			r.observer.StateChanged(state)
		}
	}
	if r.observer.FetchDone != nil {
		event := FetchEvent{Issuer: r.issuer, Cause: FetchCause(e.Cause), Shared: SharedFetch(e.Shared), Result: cmp.Or(e.Failure, "ok"), Duration: e.Took}
		if set != nil {
			event.Keys, event.Skipped = len(set.keys), set.skipped
		}
		r.observer.FetchDone(ctx, event)
	}
}
