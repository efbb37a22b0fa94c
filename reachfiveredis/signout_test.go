package reachfiveredis_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveredis"
)

// listOf returns what List iterates over.
func listOf(t *testing.T, o *reachfiveredis.SignOuts) []reachfiveredis.Entry {
	t.Helper()
	var list []reachfiveredis.Entry
	for e, err := range o.List(t.Context()) {
		require.NoError(t, err)
		list = append(list, e)
	}
	return list
}

func TestLiftBringsBackWhatTheSignOutHadReplaced(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := readySignOuts(t, f)
		early, late := userOf("anna", time.Now().Add(-time.Hour)), userOf("anna", time.Now().Add(-time.Minute))
		first, err := o.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "anna", Before: early.AuthTime})
		require.NoError(t, err)
		second := signOut(t, o, "anna")
		synctest.Wait()
		assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), late))

		require.NoError(t, o.Lift(t.Context(), second))
		synctest.Wait()
		assert.Empty(t, codeOf(o.Check(), late))
		assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), early))

		require.NoError(t, o.Lift(t.Context(), first))
		synctest.Wait()
		assert.Empty(t, codeOf(o.Check(), early))
		assert.Empty(t, codeOf(readySignOuts(t, f).Check(), early), "in a process that starts later")
		for _, e := range listOf(t, o) {
			assert.True(t, e.Lifted)
		}
	})
}

func TestLiftOfAnUnknownSignOutIsAnError(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := readySignOuts(t, f)
		id := signOut(t, o, "anna")
		require.NoError(t, o.Lift(t.Context(), id))
		entries := f.entries()
		lift := entries[len(entries)-1].id()
		for _, unknown := range []string{"", "anna", "1-1", lift, entries[0].id()} {
			require.ErrorIs(t, o.Lift(t.Context(), unknown), reachfiveredis.ErrUnknownSignOut, unknown)
		}
		assert.Len(t, f.entries(), len(entries), "nothing was written")
	})
}

func TestSignOutThatTheStoreHasLostCanBeLiftedWhereItIsKnown(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := readySignOuts(t, f)
		u := userOf("anna", time.Now())
		restore := f.save()
		id := signOut(t, o, "anna")
		synctest.Wait()
		restore()
		time.Sleep(time.Millisecond)
		require.NoError(t, o.Lift(t.Context(), id))
		time.Sleep(3 * time.Second)
		assert.Empty(t, codeOf(o.Check(), u))
	})
}

func TestListTellsWhomASignOutConcernsOnlyIfAsked(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := readySignOuts(t, f)
		now := time.Now()
		id := signOut(t, o, "anna")
		time.Sleep(time.Second)
		_, err := o.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Everyone: true})
		require.NoError(t, err)
		list := listOf(t, o)
		require.Len(t, list, 2)
		assert.True(t, list[0].Everyone, "the newest first")
		assert.False(t, list[0].Concerns(issuer, "anna"))
		anna := list[1]
		assert.Equal(t, id, anna.ID)
		assert.Equal(t, issuer, anna.Issuer)
		assert.True(t, anna.Concerns(issuer, "anna"))
		assert.False(t, anna.Concerns("https://other.reach5.net", "anna"))
		assert.True(t, anna.At.Equal(now))
		assert.True(t, anna.Before.Equal(now))
		for _, e := range f.entries() {
			assert.NotContains(t, strings.Join(e.fields, " "), "anna", "the store holds digests")
		}
		for _, err := range o.List(t.Context()) {
			require.NoError(t, err)
			break // the caller may stop
		}
	})
}

func TestFullStoreRefusesASignOutAndDropsNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := readySignOuts(t, f, reachfiveredis.WithMaxEntries(3), reachfiveredis.WithRetention(time.Hour))
		u := userOf("anna", time.Now())
		signOut(t, o, "anna")
		signOut(t, o, "bert")
		_, err := o.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "carl"})
		require.ErrorIs(t, err, reachfiveredis.ErrFull)
		synctest.Wait()
		assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), u))
		time.Sleep(3 * time.Hour) // what is over makes room
		signOut(t, o, "carl")
	})
}

func TestSignOutSaysExactlyWhom(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := readySignOuts(t, f)
		for name, s := range map[string]reachfiveredis.SignOut{
			"nobody":   {Issuer: issuer},
			"both":     {Issuer: issuer, Subject: "anna", Everyone: true},
			"too long": {Issuer: issuer, Subject: strings.Repeat("a", 256)},
			"1969":     {Issuer: issuer, Subject: "anna", Before: time.Unix(-1, 0)},
		} {
			id, err := o.SignOut(t.Context(), s)
			require.Error(t, err, name)
			assert.Empty(t, id, name)
		}
		assert.Empty(t, listOf(t, o))
		longest := strings.Repeat("a", 255)
		signOut(t, o, longest)
		synctest.Wait()
		assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), userOf(longest, time.Now())))
	})
}

func TestSignOutAndLiftLeaveAnAuditLine(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		var log logs
		o := signOutsOf(t, f, []reachfiveredis.Option{log.option()})
		require.NoError(t, o.Init(t.Context()))
		ctx := reachfiveredis.WithActor(t.Context(), "support-7")
		id, err := o.SignOut(ctx, reachfiveredis.SignOut{Issuer: issuer, Subject: "anna-1234"})
		require.NoError(t, err)
		require.NoError(t, o.Lift(t.Context(), id))
		assert.Contains(t, log.String(), `msg="reachfiveredis: signed out" id=`+id+` kind=subject issuer=`+issuer+` actor=support-7`)
		assert.Contains(t, log.String(), `msg="reachfiveredis: lifted a sign-out" id=`+id+` kind=subject issuer=`+issuer+"\n")
		assert.NotContains(t, log.String(), "anna-1234")
	})
}

func TestWritingToAStoreThatIsNotOursIsAnError(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := signOutsOf(t, f, nil)
		write := func() error {
			_, err := o.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "anna"})
			return err
		}
		require.ErrorIs(t, write(), reachfiveredis.ErrNotInitialized)
		require.NoError(t, o.Init(t.Context()))
		require.NoError(t, o.Init(t.Context()), "Init may be repeated")
		require.NoError(t, write())

		other := signOutsOf(t, f, nil, reachfiveredis.WithRetention(time.Hour))
		_, err := other.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "anna"})
		require.ErrorIs(t, err, reachfiveredis.ErrRetention)
		require.ErrorIs(t, other.Init(t.Context()), reachfiveredis.ErrRetention)

		f.change(func(f *fakeRedis) { f.log = nil })
		require.ErrorIs(t, write(), reachfiveredis.ErrNotInitialized, "the log is gone")
		since := time.Now()
		time.Sleep(time.Minute)
		require.NoError(t, o.Init(t.Context()), "Init makes it again")
		require.NoError(t, o.Ready(t.Context()))
		assert.True(t, o.Status().HistorySince.After(since), "the history starts anew")
		require.NoError(t, write())

		f.flush()
		require.ErrorIs(t, write(), reachfiveredis.ErrNotInitialized)
	})
}

func TestErrorsOfTheStoreSayWhatToDo(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := readySignOuts(t, f)
		for answer, want := range map[string]string{
			"WRONGPASS invalid username-password pair hunter2":                 "check Username and Password",
			"NOPERM User hunter2 has no permissions to run the 'xadd' command": "compare its ACL with docs/fleet.md",
			"WRONGTYPE Operation against a key holding hunter2":                "a key of another type",
			"OOM command not allowed when used memory > 'maxmemory'.":          "raise its maxmemory",
			"READONLY You can't write against a read only replica.":            "read-only replica",
			"LOADING Redis is loading the dataset in memory":                   "still loading",
			"MISCONF Redis is configured to save RDB snapshots":                "cannot save its data",
			"NOREPLICAS Not enough good replicas to write.":                    "too few replicas",
			"CLUSTERDOWN The cluster is down":                                  "the cluster is down",
			"ERR hunter2":                                                      "the server answered with an error",
		} {
			f.change(func(f *fakeRedis) { f.failing = answer })
			_, err := o.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "anna"})
			require.ErrorContains(t, err, want)
			assert.NotContains(t, err.Error(), "hunter2")
		}
		f.change(func(f *fakeRedis) { f.failing = "" })
		f.change(func(f *fakeRedis) { f.down = true })
		f.cut()
		_, err := o.SignOut(t.Context(), signOutOf("anna")) // go-redis may not know yet that its connection was cut
		require.Error(t, err)
		_, err = o.SignOut(t.Context(), signOutOf("anna"))
		require.ErrorContains(t, err, "cannot be reached")
		f.change(func(f *fakeRedis) { f.down, f.hung = false, true })
		begun := time.Now()
		_, err = o.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "anna"})
		require.ErrorContains(t, err, "did not answer in time")
		assert.LessOrEqual(t, time.Since(begun), 4*time.Second)
	})
}
