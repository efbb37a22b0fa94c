package reachfive

import (
	"context"
	"time"
)

// SharedKeyStore lets many processes share one fetch of a tenant's keys: a fetch
// that is due asks it first. Package reachfiveredis has one over Redis. Its
// methods are called concurrently. Each call has 200 milliseconds; its context
// ends then. A store that fails, hangs or panics counts as down: the Verifier
// then fetches by itself, as it does without a store, and calls the store once a
// second at most, and for each Refresh, until it answers.
//
// Names are made by the Verifier, from its issuer and JWKS URL; records are
// opaque to the store, and have at most 1 MiB. Whoever can write records can sign
// in as anyone.
//
// All durations count by the clock of the store, so that the clocks of the
// processes need not agree. An error may implement SafeToLog(), with no result,
// to say that its text contains no secret; the text of any other is not logged.
type SharedKeyStore interface {
	// Ask returns exactly one of
	//
	//   - record and age: what Publish has stored under name, if its fetch was
	//     granted less than youngerThan ago, not in the future, and less than the
	//     fresh of Publish ago. age is the time since the grant.
	//   - lease: the right to fetch. It ends about 6 seconds later by itself, or
	//     with Publish or Release.
	//   - wait: no fetch may start for that long. Either the provider asked for a
	//     pause, and reason is what Release was told; or cause is "unknown_kid", a
	//     fetch for that cause was granted less than 10 seconds ago, and reason is
	//     "".
	//   - nothing: another process is fetching. The caller asks again soon.
	//
	// cause is a FetchCause. "asked" is granted whatever pause the provider asked
	// for, but not while another process has the lease. With cause "", Ask only
	// looks for a record, and gives neither lease nor wait. With a youngerThan of
	// 0 it returns no record.
	Ask(ctx context.Context, name, cause string, youngerThan time.Duration) (record []byte, age time.Duration, lease string, wait time.Duration, reason string, err error)
	// Publish stores the record of the fetch that lease was given for, and ends
	// the lease and any pause that the provider asked for. The record counts as
	// fresh for fresh, from the grant of the lease, and may be deleted after keep.
	// If the lease has ended, Publish stores nothing and returns nil.
	Publish(ctx context.Context, name, lease string, record []byte, fresh, keep time.Duration) error
	// Release ends the lease without a record. If pause is not 0, Ask gives no
	// lease for that long, except for cause "asked", and returns reason. If the
	// lease has ended, Release does nothing and returns nil.
	Release(ctx context.Context, name, lease string, pause time.Duration, reason string) error
}
