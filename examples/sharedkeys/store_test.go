package sharedkeys_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/examples/sharedkeys"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// open opens a database of its own.
func open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "keys.db")+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	db.SetMaxOpenConns(1) // SQLite has one writer
	_, err = db.ExecContext(t.Context(), sharedkeys.Schema)
	require.NoError(t, err)
	return db
}

func TestVerifiersShareTheirKeysOverATable(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	tenant.SetDelay(100 * time.Millisecond)
	store := sharedkeys.New(open(t))
	var mu sync.Mutex
	counts := map[reachfive.SharedFetch]int{}
	count := reachfive.WithObserver(reachfive.Observer{FetchDone: func(_ context.Context, e reachfive.FetchEvent) {
		mu.Lock()
		defer mu.Unlock()
		counts[e.Shared]++
	}})
	token := tenant.Token()
	var verifiers []*reachfive.Verifier
	var requests sync.WaitGroup
	for range 10 {
		v := tenant.Verifier(reachfive.WithSharedKeyStore(store), count)
		verifiers = append(verifiers, v)
		requests.Go(func() {
			_, err := v.Verify(t.Context(), token)
			assert.NoError(t, err)
		})
	}
	requests.Wait()
	for _, v := range verifiers {
		assert.NoError(t, v.Close()) // waits for what the fetch reports
	}
	mu.Lock()
	defer mu.Unlock()
	// On a busy machine a call takes more than its 200 milliseconds, and the
	// Verifier fetches by itself.
	alone := counts[reachfive.SharedNone]
	assert.Equal(t, counts[reachfive.SharedFetched]+alone, tenant.JWKSRequests())
	if alone == 0 {
		assert.Equal(t, map[reachfive.SharedFetch]int{reachfive.SharedFetched: 1, reachfive.SharedTaken: 9}, counts)
	}
}

// asked is what Ask returns, but for its error.
type asked struct {
	record string
	lease  bool
	wait   bool
	reason string
}

func TestStoreKeepsTheContractOfASharedKeyStore(t *testing.T) {
	t.Parallel()
	db := open(t)
	store := sharedkeys.New(db)
	ask := func(cause reachfive.FetchCause, youngerThan time.Duration) (asked, string) {
		record, age, lease, wait, reason, err := store.Ask(t.Context(), "name", string(cause), youngerThan)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, age, time.Duration(0))
		return asked{string(record), lease != "", wait > 0, reason}, lease
	}
	answers := func(want asked, cause reachfive.FetchCause, youngerThan time.Duration) (lease string) {
		t.Helper()
		got, lease := ask(cause, youngerThan)
		assert.Equal(t, want, got)
		return lease
	}
	// passes lets time pass for the table.
	passes := func(d time.Duration) {
		_, err := db.ExecContext(t.Context(), `UPDATE reachfive_keys SET granted = granted - $1, leased = leased - $1,
			lease_ends = lease_ends - $1, pause_ends = pause_ends - $1, kid_ends = kid_ends - $1`, d.Milliseconds())
		require.NoError(t, err)
	}
	var (
		nothing  = asked{}
		mayFetch = asked{lease: true}
		ctx      = t.Context()
	)

	answers(nothing, "", time.Hour)
	first := answers(mayFetch, reachfive.CauseFirst, time.Hour)
	answers(nothing, reachfive.CauseAsked, time.Hour)
	require.NoError(t, store.Publish(ctx, "name", first, []byte("one"), 10*time.Minute, time.Hour))
	answers(asked{record: "one"}, "", time.Hour)
	answers(asked{record: "one"}, reachfive.CauseFirst, time.Hour)
	passes(time.Minute)
	answers(asked{record: "one"}, "", 2*time.Minute)
	answers(nothing, "", time.Minute)

	late := answers(mayFetch, reachfive.CauseAhead, 0)
	passes(7 * time.Second) // its holder has died
	next := answers(mayFetch, reachfive.CauseAhead, 0)
	require.NoError(t, store.Publish(ctx, "name", late, []byte("late"), 10*time.Minute, time.Hour))
	answers(asked{record: "one"}, "", time.Hour)

	require.NoError(t, store.Release(ctx, "name", next, time.Minute, "status 429"))
	answers(asked{wait: true, reason: "status 429"}, reachfive.CauseAhead, 0)
	last := answers(mayFetch, reachfive.CauseAsked, 0)
	require.NoError(t, store.Publish(ctx, "name", last, []byte("two"), 10*time.Minute, time.Hour))

	kid := answers(mayFetch, reachfive.CauseUnknownKID, 0)
	answers(nothing, reachfive.CauseUnknownKID, 0)
	require.NoError(t, store.Release(ctx, "name", kid, 0, ""))
	answers(asked{wait: true}, reachfive.CauseUnknownKID, 0)
	passes(11 * time.Second)
	answers(mayFetch, reachfive.CauseUnknownKID, 0)

	passes(10 * time.Minute)
	answers(nothing, "", time.Hour)
}
