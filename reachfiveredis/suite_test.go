package reachfiveredis_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveredis"
)

const issuer = "https://acme.reach5.net"

// userOf is a verified user who signed in at a time.
func userOf(subject string, signIn time.Time) *reachfive.User {
	return &reachfive.User{Issuer: issuer, Subject: subject, AuthTime: signIn, IssuedAt: signIn, ExpiresAt: signIn.Add(24 * time.Hour)}
}

// codeOf is what a Check says of a user.
func codeOf(check reachfive.Check, u *reachfive.User) reachfive.Code {
	return reachfive.CodeOf(check(context.Background(), u))
}

// logs collects what is logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) option() reachfiveredis.Option {
	return reachfiveredis.WithLogger(slog.New(slog.NewTextHandler(l, nil)))
}

// signOutsOf returns the sign-outs of a store, initialized or not.
func signOutsOf(t *testing.T, f *fakeRedis, storeOpts []reachfiveredis.Option, opts ...reachfiveredis.SignOutOption) *reachfiveredis.SignOuts {
	t.Helper()
	quiet := []reachfiveredis.Option{new(logs).option()}
	store, err := reachfiveredis.New(f.options(), append(quiet, storeOpts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	o, err := store.SignOuts([]string{issuer}, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// readySignOuts returns the sign-outs of an initialized store, read.
func readySignOuts(t *testing.T, f *fakeRedis, opts ...reachfiveredis.SignOutOption) *reachfiveredis.SignOuts {
	t.Helper()
	o := signOutsOf(t, f, nil, opts...)
	require.NoError(t, o.Init(t.Context()))
	require.NoError(t, o.Ready(t.Context()))
	return o
}

func signOut(tb testing.TB, o *reachfiveredis.SignOuts, subject string) (id string) {
	tb.Helper()
	id, err := o.SignOut(tb.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: subject})
	require.NoError(tb, err)
	return id
}

// inBubble runs a test with a fake Redis in a bubble of its own.
func inBubble(t *testing.T, test func(t *testing.T, f *fakeRedis)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * 365 * 24 * time.Hour) // a clock as of today: no sign-in is before 1970
		f := newFakeRedis(t)
		// go-redis dials on for a second after its client is closed. Cleanups run
		// in the opposite order of their registration.
		t.Cleanup(func() { time.Sleep(5 * time.Second) })
		test(t, f)
	})
}

func signOutOf(subject string) reachfiveredis.SignOut {
	return reachfiveredis.SignOut{Issuer: issuer, Subject: subject}
}
