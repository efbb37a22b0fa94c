package spa_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/examples/spa"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestASignInGivesTheSessionANewID(t *testing.T) {
	t.Parallel()
	v := newVisitor(t)
	v.signIn()
	planted := v.cookie("session")
	v.signIn()
	assert.NotEqual(t, planted, v.cookie("session"))
	v.setCookie("session", planted)
	assert.Equal(t, http.StatusUnauthorized, v.me().status, "the old ID opens nothing")
}

func TestASignInKeepsNoSessionDataOfTheUserBefore(t *testing.T) {
	t.Parallel()
	v := newVisitor(t)
	v.signIn(reachfivetest.Claim("sub", "first"))
	session := func() context.Context {
		ctx, err := v.sessions.Load(context.WithoutCancel(t.Context()), v.cookie("session"))
		require.NoError(t, err)
		return ctx
	}
	ctx := session()
	v.sessions.Put(ctx, "admin", true)
	_, _, err := v.sessions.Commit(ctx)
	require.NoError(t, err)
	require.True(t, v.sessions.GetBool(session(), "admin"))

	v.signIn(reachfivetest.Claim("sub", "second"))
	assert.Contains(t, v.me().body, `"second"`)
	assert.Equal(t, []string{"profile"}, v.sessions.Keys(session()))
}

func TestASessionEndsAfterAnHourWithoutARequest(t *testing.T) {
	t.Parallel()
	inBubble(t, func(v *visitor) {
		v.signIn()
		for range 3 {
			time.Sleep(59 * time.Minute)
			require.Equal(v, http.StatusOK, v.me().status, "each request prolongs the session")
		}
		time.Sleep(time.Hour + time.Second)
		assert.Equal(v, http.StatusUnauthorized, v.me().status)
	})
}

func TestASessionEndsAfterTwelveHours(t *testing.T) {
	t.Parallel()
	inBubble(t, func(v *visitor) {
		v.signIn()
		for range 24 {
			require.Equal(v, http.StatusOK, v.me().status)
			time.Sleep(30 * time.Minute)
		}
		time.Sleep(time.Second)
		assert.Equal(v, http.StatusUnauthorized, v.me().status)
	})
}

func TestTheStoreHoldsNoCookie(t *testing.T) {
	t.Parallel()
	v := newVisitor(t)
	v.signIn()
	kept, err := v.memory().All()
	require.NoError(t, err)
	require.Len(t, kept, 1)
	assert.NotContains(t, kept, v.cookie("session"))
}

// slowStore lets a test act after a request has read its session, and before it
// writes the session.
type slowStore struct {
	scs.Store
	beforeWriting func()
}

func (s *slowStore) Commit(token string, value []byte, expiry time.Time) error {
	if act := s.beforeWriting; act != nil {
		s.beforeWriting = nil
		act()
	}
	return s.Store.Commit(token, value, expiry)
}

func TestARequestUnderWayBringsNoEndedSessionBack(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(v *visitor){
		"by a sign-out":        func(v *visitor) { require.Equal(v, http.StatusNoContent, v.signOut().status) },
		"by another's sign-in": func(v *visitor) { v.signIn(reachfivetest.Claim("sub", "second")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVisitor(t)
			v.signIn(reachfivetest.Claim("sub", "first"))
			old := v.cookie("session")
			v.sessions.Store = &slowStore{v.sessions.Store, func() { end(v) }}
			assert.Equal(t, http.StatusOK, v.me().status, "this request began before the end")
			v.setCookie("session", old)
			assert.Equal(t, http.StatusUnauthorized, v.me().status)
		})
	}
}

// brokenStore is a store that does not answer.
type brokenStore struct{ scs.Store }

func (brokenStore) Find(string) ([]byte, bool, error) { return nil, false, errors.New("no store") }

func TestAnEndedSessionIsNotForgottenBeforeItsLifetime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(v *visitor) {
		v.signIn()
		old := v.cookie("session")
		v.signOut()
		time.Sleep(12*time.Hour - time.Second)
		kept, err := v.memory().All()
		require.NoError(v, err)
		assert.Len(v, kept, 1, "the longest that a request with this session could last")
		time.Sleep(2 * time.Minute)
		kept, err = v.memory().All()
		require.NoError(v, err)
		assert.Empty(v, kept)
		v.setCookie("session", old)
		assert.Equal(v, http.StatusUnauthorized, v.me().status)
	})
}

func TestASessionStoreTellsTheFaultsOfItsStore(t *testing.T) {
	t.Parallel()
	store := &spa.SessionStore{Store: brokenStore{}}
	_, _, err := store.Find("t")
	require.Error(t, err)
	require.Error(t, store.Commit("t", []byte("v"), time.Now().Add(time.Hour)))
	require.Error(t, store.Delete("t"))
}

func TestASessionEndsOnceForAllWhoWrite(t *testing.T) {
	t.Parallel()
	v := newVisitor(t)
	var all sync.WaitGroup
	require.NoError(t, v.sessions.Store.Commit("t", []byte("v"), time.Now().Add(time.Hour)))
	for i := range 50 {
		all.Go(func() {
			if i == 25 {
				assert.NoError(t, v.sessions.Store.Delete("t"))
				return
			}
			assert.NoError(t, v.sessions.Store.Commit("t", []byte("v"), time.Now().Add(time.Hour)))
		})
	}
	all.Wait()
	_, found, err := v.sessions.Store.Find("t")
	require.NoError(t, err)
	assert.False(t, found)
}
