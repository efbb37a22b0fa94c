package reachfiveredis_test

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveredis"
)

// model is a plain map of what a verifier must refuse: the last refused sign-in
// by subject, "" for everyone, and ID.
type model struct {
	signOuts map[string]map[string]int64
}

func (m *model) refuses(subject string, signIn int64) bool {
	for _, who := range []string{subject, ""} {
		for _, before := range m.signOuts[who] {
			if signIn <= before {
				return true
			}
		}
	}
	return false
}

// Random sequences of sign-outs, lifts, sign-ins, refreshes, losses of the store
// and reconnections, compared with a plain map in a process that lives through
// all of it. A process that starts in between knows what the store knows.
func TestSignOutsAgreeWithAPlainMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) { rapid.SyncTest(rt, runModel) })
}

func runModel(rt *rapid.T) {
	time.Sleep(30 * 365 * 24 * time.Hour) // a clock as of today
	f := newFakeRedis(rt)
	rt.Cleanup(func() { time.Sleep(5 * time.Second) }) // go-redis dials on for a second
	open := func(name string) *reachfiveredis.SignOuts {
		store, err := reachfiveredis.New(f.options(), new(logs).option())
		check(rt, name, err)
		rt.Cleanup(func() { _ = store.Close() })
		o, err := store.SignOuts([]string{issuer}, reachfiveredis.WithMaxSilence(time.Hour))
		check(rt, name, err)
		rt.Cleanup(func() { _ = o.Close() })
		return o
	}
	o := open("reader")
	check(rt, "init", o.Init(rt.Context()))
	check(rt, "ready", o.Ready(rt.Context()))
	m := &model{signOuts: map[string]map[string]int64{}}
	ids := map[string]string{} // ID to subject
	subjects := []string{"anna", "bert", "carl"}
	signIns := map[string]time.Time{}
	for _, s := range subjects {
		signIns[s] = time.Now()
	}
	restore := f.save()

	up := true
	rt.Repeat(map[string]func(*rapid.T){
		"time passes": func(rt *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(1, 5000).Draw(rt, "ms")) * time.Millisecond)
		},
		"sign in": func(rt *rapid.T) { signIns[rapid.SampledFrom(subjects).Draw(rt, "who")] = time.Now() },
		"sign out": func(rt *rapid.T) {
			if !up {
				rt.Skip("the store is down")
			}
			subject := rapid.SampledFrom(append(subjects, "")).Draw(rt, "who")
			time.Sleep(time.Millisecond) // an ID of its own, whatever was set back
			ago := time.Duration(rapid.IntRange(0, 3).Draw(rt, "seconds ago")) * time.Second
			before := time.Now().Add(-ago)
			id, err := o.SignOut(rt.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: subject, Everyone: subject == "", Before: before})
			check(rt, "sign out", err)
			if m.signOuts[subject] == nil {
				m.signOuts[subject] = map[string]int64{}
			}
			m.signOuts[subject][id], ids[id] = before.Unix(), subject
		},
		"lift": func(rt *rapid.T) {
			if !up || len(ids) == 0 {
				rt.Skip("nothing to lift")
			}
			id := rapid.SampledFrom(sortedKeys(ids)).Draw(rt, "id")
			settled() // so that a sign-out that only this process knows is found
			check(rt, "lift", o.Lift(rt.Context(), id))
			delete(m.signOuts[ids[id]], id)
			delete(ids, id)
			settled()
		},
		"the store goes away": func(*rapid.T) {
			up = false
			f.change(func(f *fakeRedis) { f.down = true })
			f.cut()
		},
		"the store comes back": func(*rapid.T) {
			f.change(func(f *fakeRedis) { f.down = false })
			time.Sleep(3 * time.Second) // go-redis may still refuse to dial
			_ = o.Init(rt.Context())    // on a connection that was cut
			up = true
		},
		"a dump is made": func(*rapid.T) { restore = f.save() },
		"the dump is restored": func(*rapid.T) {
			settled() // what is lost had been heard
			if !up {
				return
			}
			restore()
			time.Sleep(time.Millisecond)
		},
		"": func(rt *rapid.T) {
			if up {
				settled()
			}
			for _, s := range subjects {
				u := userOf(s, signIns[s])
				want := reachfive.Code("")
				if m.refuses(s, u.AuthTime.Unix()) {
					want = reachfive.CodeRevoked
				}
				if got := codeOf(o.Check(), u); up && got != want {
					rt.Fatalf("%s, signed in at %d: %q, want %q\n%v", s, u.AuthTime.Unix(), string(got), string(want), m.signOuts)
				}
			}
		},
	})
	synctest.Wait()
}

func check(rt *rapid.T, what string, err error) {
	if err != nil {
		rt.Fatalf("%s: %v", what, err)
	}
}

func sortedKeys(m map[string]string) []string {
	return slices.Sorted(maps.Keys(m))
}
