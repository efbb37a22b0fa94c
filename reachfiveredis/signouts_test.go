package reachfiveredis_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveredis"
)

func TestSignedOutUserIsRefusedUntilTheNextSignIn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := readySignOuts(t, f)
		check := o.Check()
		first := time.Now().Add(-time.Hour)
		assert.Empty(t, codeOf(check, userOf("anna", first)))
		signOut(t, o, "anna")
		synctest.Wait()
		assert.Equal(t, reachfive.CodeRevoked, codeOf(check, userOf("anna", first)))
		assert.Empty(t, codeOf(check, userOf("bert", first)), "another user")
		refreshed := userOf("anna", first)
		time.Sleep(2 * time.Second)
		refreshed.IssuedAt = time.Now()
		assert.Equal(t, reachfive.CodeRevoked, codeOf(check, refreshed), "a refreshed token keeps its auth_time")
		assert.Empty(t, codeOf(check, userOf("anna", time.Now())), "a new sign-in")
	})
}

// Whatever the follower is doing, a sign-out is heard as soon as it is stored.
func TestSignOutIsHeardAtEveryPointOfTheCycle(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o, writer := readySignOuts(t, f), signOutsOf(t, f, nil)
		for range 60 {
			time.Sleep(170 * time.Millisecond)
			u := userOf(time.Now().String(), time.Now())
			assert.Empty(t, codeOf(o.Check(), u))
			signOut(t, writer, u.Subject)
			synctest.Wait()
			assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), u))
		}
	})
}

func TestSignOutOfEveryoneConcernsOneIssuer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		store, err := reachfiveredis.New(f.options(), new(logs).option())
		require.NoError(t, err)
		defer func() { require.NoError(t, store.Close()) }()
		const other = "https://other.reach5.net"
		o, err := store.SignOuts([]string{issuer, other})
		require.NoError(t, err)
		defer func() { require.NoError(t, o.Close()) }()
		require.NoError(t, o.Init(t.Context()))
		require.NoError(t, o.Ready(t.Context()))
		elsewhere := userOf("anna", time.Now().Add(-time.Minute))
		elsewhere.Issuer = other

		id, err := o.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Everyone: true})
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), userOf("anna", elsewhere.AuthTime)))
		assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), userOf("bert", elsewhere.AuthTime)))
		assert.Empty(t, codeOf(o.Check(), elsewhere))

		require.NoError(t, o.Lift(t.Context(), id))
		synctest.Wait()
		assert.Empty(t, codeOf(o.Check(), userOf("anna", elsewhere.AuthTime)))
	})
}

func TestSignInOfTheSecondOfTheSignOutIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := readySignOuts(t, f)
		now := time.Now().Truncate(time.Second)
		for i, before := range []time.Time{now.Add(-2 * time.Hour), now.Add(-time.Hour)} {
			_, err := o.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "anna", Before: before})
			require.NoError(t, err)
			synctest.Wait()
			assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), userOf("anna", before)), i)
			assert.Empty(t, codeOf(o.Check(), userOf("anna", before.Add(time.Second))), i)
		}
	})
}

func TestTokenWithoutAuthTimeNeedsASignInUnlessIATCounts(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		strict, lenient := readySignOuts(t, f), readySignOuts(t, f, reachfiveredis.SignInFromIAT())
		u := userOf("anna", time.Now().Add(-time.Minute))
		u.AuthTime = time.Time{}
		assert.Equal(t, reachfive.CodeReauthenticationRequired, codeOf(strict.Check(), u))
		assert.Empty(t, codeOf(lenient.Check(), u))
		signOut(t, lenient, "anna")
		synctest.Wait()
		assert.Equal(t, reachfive.CodeRevoked, codeOf(lenient.Check(), u))
		u.IssuedAt = time.Time{}
		assert.Equal(t, reachfive.CodeReauthenticationRequired, codeOf(lenient.Check(), u))
	})
}

func TestRevokedAsksForAMaxAgeThatANewSignInSatisfies(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		f.change(func(f *fakeRedis) { f.ahead = 12 * time.Hour }) // ages go by the store's clock
		o := readySignOuts(t, f)
		now := time.Now().Add(12 * time.Hour).Truncate(time.Second)
		for age, want := range map[time.Duration]time.Duration{
			0: time.Second, 2 * time.Second: time.Second, 10 * time.Minute: 10*time.Minute - time.Second,
		} {
			before := now.Add(-age)
			_, err := o.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: age.String(), Before: before})
			require.NoError(t, err)
			synctest.Wait()
			err = o.Check()(t.Context(), userOf(age.String(), before))
			refusal, ok := errors.AsType[*reachfive.Error](err)
			require.True(t, ok)
			assert.Equal(t, reachfive.CodeRevoked, refusal.Code)
			assert.Equal(t, want, refusal.MaxAge, age)
		}
	})
}

func TestBeforeIsNeverLaterThanTheStoresClock(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := readySignOuts(t, f)
		time.Sleep(300 * time.Millisecond)
		next := time.Now().Truncate(time.Second).Add(time.Second)
		for subject, before := range map[string]time.Time{"zero": {}, "ahead": time.Now().Add(30 * time.Second)} {
			_, err := o.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: subject, Before: before})
			require.NoError(t, err)
			synctest.Wait()
			assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), userOf(subject, next)), "rounded up to a second")
			assert.Empty(t, codeOf(o.Check(), userOf(subject, next.Add(time.Second))))
		}
		_, err := o.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "anna", Before: time.Now().Add(2 * time.Minute)})
		require.ErrorContains(t, err, "in the future, by the store's clock")
	})
}

func TestSignInOlderThanTheRetentionNeedsANewOne(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := readySignOuts(t, f, reachfiveredis.WithRetention(24*time.Hour))
		old := time.Now().Add(-24*time.Hour - time.Second)
		err := o.Check()(t.Context(), userOf("anna", old))
		refusal, ok := errors.AsType[*reachfive.Error](err)
		require.True(t, ok)
		assert.Equal(t, reachfive.CodeReauthenticationRequired, refusal.Code)
		assert.Equal(t, 24*time.Hour, refusal.MaxAge)
		assert.Empty(t, codeOf(o.Check(), userOf("anna", old.Add(3*time.Second))))
	})
}

// An entry may go only when every sign-in that it refuses is refused as too old.
func TestEntryIsKeptForTheRetentionAndAnHourMore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := readySignOuts(t, f, reachfiveredis.WithRetention(time.Hour))
		u := userOf("anna", time.Now())
		signOut(t, o, "anna")
		time.Sleep(time.Hour - time.Minute)
		assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), u))
		time.Sleep(59 * time.Minute)
		assert.Equal(t, 1, o.Status().Entries)
		time.Sleep(5 * time.Minute) // a minute past the hour, and a sweep of all shards
		assert.Equal(t, 0, o.Status().Entries)
		assert.Equal(t, reachfive.CodeReauthenticationRequired, codeOf(o.Check(), u))
		signOut(t, o, "bert")
		list := listOf(t, o)
		require.Len(t, list, 1, "the store is trimmed, too")
		assert.True(t, list[0].Concerns(issuer, "bert"))
	})
}

func TestUserOfAnUnlistedIssuerIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := readySignOuts(t, f, reachfiveredis.InsecureFailOpen())
		u := userOf("anna", time.Now())
		u.Issuer = "https://other.reach5.net"
		require.ErrorIs(t, o.Check()(t.Context(), u), reachfiveredis.ErrUnlistedIssuer)
		_, err := o.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: u.Issuer, Subject: "anna"})
		require.ErrorIs(t, err, reachfiveredis.ErrUnlistedIssuer)
	})
}

func TestImpossibleConfigurationsAreErrorsToldTogether(t *testing.T) {
	t.Parallel()
	_, err := reachfiveredis.New(nil)
	require.Error(t, err)
	f := newFakeRedis(t)
	options := f.options()
	options.Addrs = nil
	_, err = reachfiveredis.New(options, nil, reachfiveredis.WithPrefix("a{b}"), reachfiveredis.WithPrefix(""), reachfiveredis.WithLogger(nil))
	for _, part := range []string{"address", "option 1 is nil", "prefix", "logger"} {
		require.ErrorContains(t, err, part)
	}
	store, err := reachfiveredis.New(f.options())
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	_, err = store.SignOuts(nil, nil, reachfiveredis.WithRetention(time.Minute), reachfiveredis.WithMaxSilence(time.Second),
		reachfiveredis.WithMaxEntries(0), reachfiveredis.WithReplicas(0))
	for _, part := range []string{"needs an issuer", "option 1 is nil", "retention", "MaxSilence", "WithMaxEntries", "WithReplicas"} {
		require.ErrorContains(t, err, part)
	}
	_, err = store.SignOuts([]string{issuer, issuer, ""})
	require.ErrorContains(t, err, "empty or listed twice")
}
