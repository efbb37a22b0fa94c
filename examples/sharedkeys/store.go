// Package sharedkeys shares the keys of a tenant over a table of a database, for
// services that have a database and no Redis.
package sharedkeys

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"time"

	"github.com/reachfive-community/reachfive"
)

// Schema makes the table. All times are in milliseconds, by the database's clock.
const Schema = `CREATE TABLE IF NOT EXISTS reachfive_keys (
	name       TEXT PRIMARY KEY,
	record     BLOB,
	granted    BIGINT NOT NULL DEFAULT 0,  -- when the fetch of the record was
	fresh      BIGINT NOT NULL DEFAULT 0,  -- how long the record is fresh from then on
	lease      TEXT   NOT NULL DEFAULT '', -- who may fetch
	leased     BIGINT NOT NULL DEFAULT 0,
	lease_ends BIGINT NOT NULL DEFAULT 0,
	pause_ends BIGINT NOT NULL DEFAULT 0,  -- of the pause that the provider asked for
	reason     TEXT   NOT NULL DEFAULT '',
	kid_ends   BIGINT NOT NULL DEFAULT 0   -- of the pause between fetches for unknown kids
)`

// now is the database's clock for SQLite. For PostgreSQL it is
// (extract(epoch from clock_timestamp()) * 1000)::bigint, and min below is least.
const now = `CAST(unixepoch('subsec') * 1000 AS INTEGER)`

const (
	leaseTime = 6 * time.Second
	kidPause  = 10 * time.Second
)

// Store is a reachfive.SharedKeyStore over the table of Schema.
type Store struct{ db *sql.DB }

var _ reachfive.SharedKeyStore = (*Store)(nil)

// New returns a Store. The table must exist. Whoever can write to it can sign in
// as anyone.
func New(db *sql.DB) *Store { return &Store{db} }

// Ask implements reachfive.SharedKeyStore.
func (s *Store) Ask(ctx context.Context, name, cause string, youngerThan time.Duration) (
	record []byte, age time.Duration, lease string, wait time.Duration, reason string, err error,
) {
	record, age, err = s.record(ctx, name, youngerThan)
	if err != nil || record != nil || cause == "" {
		return record, age, "", 0, "", err
	}
	if lease, err = s.grant(ctx, name, cause, youngerThan); err != nil || lease != "" {
		return nil, 0, lease, 0, "", err
	}
	wait, reason, err = s.pause(ctx, name, cause)
	return nil, 0, "", wait, reason, err
}

func (s *Store) record(ctx context.Context, name string, youngerThan time.Duration) (record []byte, age time.Duration, err error) {
	var millis int64
	err = s.db.QueryRowContext(ctx, `SELECT record, age FROM
		(SELECT record, fresh, `+now+` - granted AS age FROM reachfive_keys WHERE name = $1 AND record IS NOT NULL) AS r
		WHERE age >= 0 AND age < $2 AND age < fresh`, name, youngerThan.Milliseconds()).Scan(&record, &millis)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, nil
	}
	return record, time.Duration(millis) * time.Millisecond, err
}

// grant gives the right to fetch in one statement, so that no two processes get
// it, and none gets it after another has just published a record that will do.
// The lease is "" if none may fetch now.
func (s *Store) grant(ctx context.Context, name, cause string, youngerThan time.Duration) (lease string, err error) {
	if _, err = s.db.ExecContext(ctx, `INSERT INTO reachfive_keys (name) VALUES ($1) ON CONFLICT (name) DO NOTHING`, name); err != nil {
		return "", err
	}
	asked, unknown := cause == string(reachfive.CauseAsked), cause == string(reachfive.CauseUnknownKID)
	lease = rand.Text()
	result, err := s.db.ExecContext(ctx, `UPDATE reachfive_keys
		SET lease = $1, leased = `+now+`, lease_ends = `+now+` + $2,
			kid_ends = CASE WHEN $3 THEN `+now+` + $4 ELSE kid_ends END
		WHERE name = $5 AND lease_ends <= `+now+`
			AND ($6 OR pause_ends <= `+now+`) AND (NOT $3 OR kid_ends <= `+now+`)
			AND (record IS NULL OR granted > `+now+` OR granted <= `+now+` - min($7, fresh))`,
		lease, leaseTime.Milliseconds(), unknown, kidPause.Milliseconds(), name, asked, youngerThan.Milliseconds())
	if err != nil {
		return "", err
	}
	if granted, err := result.RowsAffected(); err != nil || granted == 0 {
		return "", err
	}
	return lease, nil
}

// pause tells why grant gave no lease; without a pause, another process fetches.
func (s *Store) pause(ctx context.Context, name, cause string) (wait time.Duration, reason string, err error) {
	if cause == string(reachfive.CauseAsked) {
		return 0, "", nil
	}
	var pause, kid, lease int64
	err = s.db.QueryRowContext(ctx, `SELECT pause_ends - `+now+`, kid_ends - `+now+`, lease_ends - `+now+`, reason
		FROM reachfive_keys WHERE name = $1`, name).Scan(&pause, &kid, &lease, &reason)
	switch {
	case err != nil:
		return 0, "", err
	case pause > 0:
		return time.Duration(pause) * time.Millisecond, reason, nil
	case kid > 0 && lease <= 0 && cause == string(reachfive.CauseUnknownKID):
		return time.Duration(kid) * time.Millisecond, "", nil
	}
	return 0, "", nil
}

// Publish implements reachfive.SharedKeyStore.
func (s *Store) Publish(ctx context.Context, name, lease string, record []byte, fresh, _ time.Duration) error {
	_, err := s.db.ExecContext(ctx, `UPDATE reachfive_keys
		SET record = $1, granted = leased, fresh = $2, lease = '', lease_ends = 0, pause_ends = 0
		WHERE name = $3 AND lease = $4 AND lease_ends > `+now, record, fresh.Milliseconds(), name, lease)
	return err
}

// Release implements reachfive.SharedKeyStore.
func (s *Store) Release(ctx context.Context, name, lease string, pause time.Duration, reason string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE reachfive_keys
		SET lease = '', lease_ends = 0, reason = $1,
			pause_ends = CASE WHEN $2 > 0 THEN `+now+` + $2 ELSE pause_ends END
		WHERE name = $3 AND lease = $4 AND lease_ends > `+now, reason, pause.Milliseconds(), name, lease)
	return err
}
