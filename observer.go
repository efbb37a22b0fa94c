package reachfive

import (
	"context"
	"time"
)

// Observer holds the functions that a Verifier calls to report what it does, for
// metrics and traces. A nil function is skipped, and costs nothing. The
// functions are called on the goroutine that does the work, may be called
// concurrently, and must be quick. Fetches and changes of state are reported in
// their order, unless a function takes more than a second. No event carries a
// token, a claim value, or the kid of a refused token.
type Observer struct {
	// VerifyDone is called at the end of each Verify.
	VerifyDone func(ctx context.Context, e VerifyEvent)
	// FetchDone is called at the end of each fetch of the keys. With a
	// SharedKeyStore it is also called when another process has made the fetch,
	// and when this one had to wait: see FetchEvent.Shared. Its context has the
	// values of the request that caused the fetch, and is never cancelled.
	FetchDone func(ctx context.Context, e FetchEvent)
	// StateChanged is called when the key cache changes its state.
	StateChanged func(s State)
}

// VerifyEvent is the outcome of one Verify.
type VerifyEvent struct {
	// Code is the reason of the refusal, "" if the token was accepted, and
	// "canceled" or "deadline_exceeded" if the caller's own context ended.
	Code Code
	// Issuer is the configured issuer of the Verifier. It is "" if ByIssuer
	// found no Verifier for the token.
	Issuer string
	// Algorithm is the configured one, "RS256" or "HS256". It is "" if
	// ByIssuer found no Verifier for the token.
	Algorithm string
	// KeysAvailable tells whether Verify had a usable key set, or the client
	// secret, for this token. It is also false if the token was refused before
	// keys were needed. With CodeKeysUnavailable, false means that the
	// Verifier can verify no token at all, and true that it lacks only the key
	// that this token names.
	KeysAvailable bool
	// KeyKnown tells whether the key set had a candidate key.
	KeyKnown bool
	// CacheHit tells whether the verified-token cache had the token.
	CacheHit bool
	// Duration is the time that Verify took.
	Duration time.Duration
}

// FetchCause is why the keys were fetched.
type FetchCause string

// The causes of a fetch.
const (
	CauseFirst      FetchCause = "first"       // there were no keys, or none that may still be used
	CauseAhead      FetchCause = "ahead"       // most of the lifetime was over
	CauseLifetime   FetchCause = "lifetime"    // the lifetime was over
	CauseUnknownKID FetchCause = "unknown_kid" // a token named a key that the set lacked
	CauseAsked      FetchCause = "asked"       // Refresh was called
	CauseLook       FetchCause = "look"        // none was due: a look at the SharedKeyStore found newer keys
)

// SharedFetch tells what became of a fetch that a SharedKeyStore was asked about.
type SharedFetch string

// The outcomes of asking a SharedKeyStore.
const (
	SharedNone    SharedFetch = ""        // there is no store, or it did not answer: this process asked the provider
	SharedTaken   SharedFetch = "taken"   // the keys came from the store: another process had fetched them
	SharedFetched SharedFetch = "fetched" // this process asked the provider, for all
	SharedWaited  SharedFetch = "waited"  // no fetch may start now, or another process did not finish one in time
)

// FetchEvent is the outcome of one fetch of the keys.
type FetchEvent struct {
	// Issuer is the configured issuer of the Verifier.
	Issuer string
	// Cause is the reason for the fetch.
	Cause FetchCause
	// Shared tells whether this process asked the provider, or took the keys that
	// another process had fetched. Only SharedNone and SharedFetched are requests
	// to the provider.
	Shared SharedFetch
	// Result is "ok" or the class of the failure, as in Status.LastError.
	Result string
	// Keys is the number of usable keys fetched, Skipped that of all others.
	Keys, Skipped int
	// Duration is the time that the fetch took.
	Duration time.Duration
}

// State is a state of the key cache, or a change within it.
type State string

// The states of the key cache.
const (
	StateHealthy     State = "healthy"      // the first good fetch
	StateFailing     State = "failing"      // a fetch failed, after a good one or at first
	StateRecovered   State = "recovered"    // a fetch was good again
	StateKeysChanged State = "keys_changed" // a good fetch added or removed keys
)
