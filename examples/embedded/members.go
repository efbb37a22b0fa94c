package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/reachfive-community/reachfive"
)

// members says which business a user works for. Two issuers may have the same
// subject, so the key is both.
type members struct{ db *sql.DB }

const membersTable = `CREATE TABLE IF NOT EXISTS members (
	issuer  TEXT NOT NULL,
	subject TEXT NOT NULL,
	tenant  TEXT NOT NULL,
	PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID`

// openMembers opens the SQLite file at path; ":memory:" keeps the table in memory.
func openMembers(ctx context.Context, path string) (*members, error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return nil, fmt.Errorf("open the table of members: %w", err)
	}
	// Each connection to ":memory:" opens a new database.
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, membersTable); err != nil {
		return nil, errors.Join(fmt.Errorf("create the table of members: %w", err), db.Close())
	}
	return &members{db}, nil
}

func (m *members) close() error { return m.db.Close() }

// add puts the user into a tenant, or moves the user to it.
func (m *members) add(ctx context.Context, issuer, subject, tenant string) error {
	_, err := m.db.ExecContext(ctx, `INSERT INTO members (issuer, subject, tenant) VALUES (?, ?, ?)
		ON CONFLICT (issuer, subject) DO UPDATE SET tenant = excluded.tenant`, issuer, subject, tenant)
	if err != nil {
		return fmt.Errorf("add a member: %w", err)
	}
	return nil
}

// tenantOf returns the user's tenant, and reachfive.CodeForbidden, which is
// answered 403, for a user without one.
func (m *members) tenantOf(ctx context.Context, issuer, subject string) (string, error) {
	var tenant string
	err := m.db.QueryRowContext(ctx, `SELECT tenant FROM members WHERE issuer = ? AND subject = ?`, issuer, subject).Scan(&tenant)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", reachfive.CodeForbidden
	case err != nil:
		return "", fmt.Errorf("look up a member's tenant: %w", err)
	}
	return tenant, nil
}
