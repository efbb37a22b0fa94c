package reachfiveredis_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveredis"
)

// settled lets a cycle of the follower pass.
func settled() { time.Sleep(3 * time.Second); synctest.Wait() }

func TestNothingIsDecidedBeforeTheStoreWasRead(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		f.change(func(f *fakeRedis) { f.down = true })
		o, open := signOutsOf(t, f, nil), signOutsOf(t, f, nil, reachfiveredis.InsecureFailOpen())
		u := userOf("anna", time.Now())
		err := o.Check()(t.Context(), u)
		refusal, ok := errors.AsType[*reachfive.Error](err)
		require.True(t, ok)
		assert.Equal(t, reachfive.CodeRevocationsUnavailable, refusal.Code)
		assert.Positive(t, refusal.RetryAfter)
		assert.Empty(t, codeOf(open.Check(), u), "InsecureFailOpen")
		require.ErrorContains(t, o.Ready(t.Context()), "cannot be reached")
		require.Error(t, open.Ready(t.Context()), "readiness tells the truth all the same")

		f.change(func(f *fakeRedis) { f.down = false })
		settled()
		assert.Equal(t, reachfive.CodeRevocationsUnavailable, codeOf(o.Check(), u))
		require.ErrorIs(t, o.Ready(t.Context()), reachfiveredis.ErrNotInitialized)
		require.NoError(t, o.Init(t.Context()))
		settled()
		assert.Empty(t, codeOf(o.Check(), u))
		require.NoError(t, o.Ready(t.Context()))
	})
}

func TestReadyWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		f.change(func(f *fakeRedis) { f.isolated = true })
		o := signOutsOf(t, f, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begun := time.Now()
		require.ErrorIs(t, o.Ready(ctx), context.DeadlineExceeded)
		assert.Equal(t, 100*time.Millisecond, time.Since(begun))
		require.NoError(t, o.Close())
		require.Error(t, o.Ready(t.Context()))
	})
}

func TestSilenceOfTheStoreIsToleratedForMaxSilence(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*fakeRedis){
		"refuses": func(f *fakeRedis) { f.down = true },
		"hangs":   func(f *fakeRedis) { f.hung = true },
		"errs":    func(f *fakeRedis) { f.failing = "LOADING Redis is loading the dataset in memory" },
		"flushed": func(f *fakeRedis) { f.strings, f.log = map[string]string{}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, f *fakeRedis) {
				o, open := readySignOuts(t, f), readySignOuts(t, f, reachfiveredis.InsecureFailOpen())
				signIn := time.Now()
				signOut(t, o, "anna")
				synctest.Wait()
				f.change(fault)
				f.cut()
				// What was heard last was heard at most blockTime ago.
				time.Sleep(5*time.Minute - 3*time.Second)
				assert.Empty(t, codeOf(o.Check(), userOf("bert", signIn)))
				assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), userOf("anna", signIn)))
				assert.NotEmpty(t, o.Status().LastError)
				time.Sleep(4 * time.Second)
				assert.Equal(t, reachfive.CodeRevocationsUnavailable, codeOf(o.Check(), userOf("bert", signIn)))
				assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), userOf("anna", signIn)), "what is known is no question")
				require.Error(t, o.Ready(t.Context()))
				assert.Empty(t, codeOf(open.Check(), userOf("bert", signIn)))
				assert.Equal(t, reachfive.CodeRevoked, codeOf(open.Check(), userOf("anna", signIn)))

				f.change(func(f *fakeRedis) { f.down, f.hung, f.failing = false, false, "" })
				time.Sleep(time.Second) // go-redis may still refuse to dial
				_ = o.Init(t.Context()) // on a connection that was cut: a pipe does not tell
				require.NoError(t, o.Init(t.Context()))
				time.Sleep(8 * time.Second)
				assert.Empty(t, codeOf(o.Check(), userOf("bert", signIn)), "it heals by itself")
				assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), userOf("anna", signIn)), "and has forgotten nothing")
				assert.Empty(t, o.Status().LastError)
			})
		})
	}
}

func TestStoreThatIsDownIsProbedOnceASecond(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		readySignOuts(t, f)
		f.change(func(f *fakeRedis) { f.failing = "LOADING" })
		settled()
		before := f.called("TIME")
		time.Sleep(time.Minute)
		assert.InDelta(t, 60, f.called("TIME")-before, 25)
	})
}

func TestSignOutsOfAnOutageAreKnownAfterIt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o, writer := readySignOuts(t, f), signOutsOf(t, f, nil)
		u := userOf("anna", time.Now())
		f.change(func(f *fakeRedis) { f.down = true })
		f.cut()
		settled()
		f.change(func(f *fakeRedis) { f.down = false })
		signOut(t, writer, "anna")
		time.Sleep(2 * time.Second) // a probe, and what it brings
		assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), u))
	})
}

func TestStoreThatWasSetBackIsReadAgainAndNothingIsForgotten(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]int{
		"the log is shorter":                    0,
		"the log has grown beyond where it was": 5,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, f *fakeRedis) {
				o, writer := readySignOuts(t, f), signOutsOf(t, f, nil)
				u := func(subject string) reachfive.Code {
					return codeOf(o.Check(), userOf(subject, time.Now().Add(-time.Hour)))
				}
				signOut(t, writer, "before")
				restore := f.save()
				signOut(t, writer, "lost")
				settled()
				restore()
				// The follower is blocked in XREAD and hears of these first.
				signOut(t, writer, "after")
				for range more {
					signOut(t, writer, "others")
				}
				settled()
				for _, subject := range []string{"before", "lost", "after"} {
					assert.Equal(t, reachfive.CodeRevoked, u(subject), subject)
				}
				settled()
				reads := f.called("XREVRANGE")
				settled()
				assert.LessOrEqual(t, f.called("XREVRANGE")-reads, 3, "it is read again once, not for ever")
			})
		})
	}
}

// A server that takes over with a slower clock gives its entries IDs below those
// that were read before, where nobody looks for news.
func TestSignOutsOfAServerWhoseClockIsBehindAreHeard(t *testing.T) {
	t.Parallel()
	for name, loss := range map[string]func(t *testing.T, f *fakeRedis, o *reachfiveredis.SignOuts, restore func()){
		"a replica that lags": func(_ *testing.T, _ *fakeRedis, _ *reachfiveredis.SignOuts, restore func()) { restore() },
		"an emptied server": func(t *testing.T, f *fakeRedis, o *reachfiveredis.SignOuts, _ func()) {
			f.flush()
			require.NoError(t, o.Init(t.Context()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, f *fakeRedis) {
				o, writer := readySignOuts(t, f), signOutsOf(t, f, nil)
				restore := f.save()
				time.Sleep(2 * time.Hour)
				signOut(t, writer, "lost")
				settled()
				f.change(func(f *fakeRedis) { f.ahead = -time.Hour })
				loss(t, f, writer, restore)
				signOut(t, writer, "after")
				settled()
				u := userOf("after", time.Now().Add(-90*time.Minute))
				assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), u))
				signOut(t, writer, "next")
				synctest.Wait()
				u.Subject = "next"
				assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), u), "and followed at once from then on")
			})
		})
	}
}

func TestStoreThatWasInitializedAgainIsReadAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o, writer := readySignOuts(t, f), signOutsOf(t, f, nil)
		u := userOf("anna", time.Now())
		signOut(t, writer, "lost")
		settled()
		f.flush()
		require.NoError(t, writer.Init(t.Context()))
		since := time.Now()
		signOut(t, writer, "anna")
		settled()
		assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), u))
		assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), userOf("lost", u.AuthTime)))
		assert.WithinDuration(t, since, o.Status().HistorySince, time.Second)
	})
}

func TestLogTrimmedUnderAReaderIsReadAgainAndSaidSo(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		var log logs
		o := signOutsOf(t, f, []reachfiveredis.Option{log.option()})
		require.NoError(t, o.Init(t.Context()))
		require.NoError(t, o.Ready(t.Context()))
		settled()
		f.change(func(f *fakeRedis) { f.down = true })
		f.cut()
		settled()
		f.change(func(f *fakeRedis) {
			f.log.append(f.now().UnixMilli(), []string{"x", "trimmed away before anyone read it"})
			f.log.append(f.now().UnixMilli(), []string{"x", "and this one not"})
			f.log.entries = f.log.entries[len(f.log.entries)-1:]
			f.down = false
		})
		settled()
		assert.Contains(t, log.String(), "entries of the log are missing")
	})
}

func TestEntriesAndMarkersOfALaterVersionAreSaidAndSkipped(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		var log logs
		o := signOutsOf(t, f, []reachfiveredis.Option{log.option()})
		require.NoError(t, o.Init(t.Context()))
		f.change(func(f *fakeRedis) { f.log.append(f.now().UnixMilli(), []string{"v", "2", "s", "short"}) })
		signOut(t, o, "anna")
		require.NoError(t, o.Ready(t.Context()))
		assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), userOf("anna", time.Now())))
		assert.Equal(t, uint64(1), o.Status().Skipped)
		assert.Contains(t, log.String(), "a newer version of this package has written them")

		f.change(func(f *fakeRedis) {
			for name := range f.strings {
				f.strings[name] = `{"version":2,"retention":2592000,"epoch":"later"}`
			}
		})
		require.ErrorIs(t, signOutsOf(t, f, nil).Ready(t.Context()), reachfiveredis.ErrNewerVersion)
		f.change(func(f *fakeRedis) {
			for name := range f.strings {
				f.strings[name] = "not a marker"
			}
		})
		require.ErrorIs(t, signOutsOf(t, f, nil).Ready(t.Context()), reachfiveredis.ErrNotInitialized)
	})
}

func TestAnotherRetentionDoesNotStart(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		readySignOuts(t, f)
		o := signOutsOf(t, f, nil, reachfiveredis.WithRetention(24*time.Hour))
		require.ErrorIs(t, o.Ready(t.Context()), reachfiveredis.ErrRetention)
		assert.Equal(t, reachfive.CodeRevocationsUnavailable, codeOf(o.Check(), userOf("anna", time.Now())))
	})
}

func TestServerOlderThanRedis7IsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		f.change(func(f *fakeRedis) { f.version = "6.2.0" })
		o := signOutsOf(t, f, nil)
		require.NoError(t, o.Init(t.Context()))
		require.ErrorIs(t, o.Ready(t.Context()), reachfiveredis.ErrOldServer)
	})
}

func TestCloseIsQuickAndDecisionsGoOnForMaxSilence(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := readySignOuts(t, f)
		u := userOf("anna", time.Now())
		signOut(t, o, "anna")
		synctest.Wait()
		begun := time.Now()
		require.NoError(t, o.Close())
		require.NoError(t, o.Close())
		assert.Zero(t, time.Since(begun), "a blocked read is ended")
		assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), u))
		assert.Empty(t, codeOf(o.Check(), userOf("bert", u.AuthTime)))
		time.Sleep(6 * time.Minute)
		assert.Equal(t, reachfive.CodeRevocationsUnavailable, codeOf(o.Check(), userOf("bert", u.AuthTime)))
	})
}

func TestNothingRunsBeforeCheckOrReadyIsCalled(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := signOutsOf(t, f, nil)
		settled()
		assert.Zero(t, f.called("TIME"))
		require.NoError(t, o.Close())
		assert.Equal(t, reachfive.CodeRevocationsUnavailable, codeOf(o.Check(), userOf("anna", time.Now())))
		settled()
		assert.Zero(t, f.called("TIME"))
	})
}

func TestLagIsTheTimeSinceTheStoreAnswered(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		o := signOutsOf(t, f, nil)
		assert.Zero(t, o.Status().Lag)
		require.NoError(t, o.Init(t.Context()))
		require.NoError(t, o.Ready(t.Context()))
		for range 10 {
			time.Sleep(700 * time.Millisecond)
			assert.LessOrEqual(t, o.Status().Lag, 2*time.Second)
		}
		f.change(func(f *fakeRedis) { f.down = true })
		f.cut()
		time.Sleep(time.Minute)
		assert.InDelta(t, time.Minute, o.Status().Lag, float64(2*time.Second))
		assert.True(t, o.Status().Ready)
	})
}
