package reachfiveredis_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/reachfiveredis"
)

const (
	keysName  = "1.7b7d4a3c"
	keyPrefix = "reachfive:{keys:" + keysName + "}:1:"
)

func keysOf(t *testing.T, options *redis.UniversalOptions, opts ...reachfiveredis.Option) *reachfiveredis.Keys {
	t.Helper()
	store, err := reachfiveredis.New(options, append([]reachfiveredis.Option{new(logs).option()}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.Close()) })
	return store.Keys()
}

// answer is what Ask returns, which is one of its parts or none.
type answer struct {
	record string
	age    time.Duration
	lease  string
	wait   time.Duration
	reason string
}

func tryAsk(k *reachfiveredis.Keys, cause string, youngerThan time.Duration) (a answer, err error) {
	record, age, lease, wait, reason, err := k.Ask(context.Background(), keysName, cause, youngerThan)
	parts := 0
	for _, is := range []bool{record != nil, lease != "", wait != 0, err != nil} {
		if is {
			parts++
		}
	}
	if parts > 1 || age != 0 && record == nil || reason != "" && wait == 0 {
		panic(fmt.Sprintf("more than one answer: %v %v %v %v %v %v", record, age, lease, wait, reason, err))
	}
	return answer{string(record), age, lease, wait, reason}, err
}

// insist repeats a call that failed: on a busy machine 200 ms may be too short.
func insist(t *testing.T, call func() error) {
	t.Helper()
	var err error
	for range 100 {
		if err = call(); err == nil {
			return
		}
	}
	assert.NoError(t, err)
}

func ask(t *testing.T, k *reachfiveredis.Keys, cause string, youngerThan time.Duration) (a answer) {
	t.Helper()
	insist(t, func() (err error) { a, err = tryAsk(k, cause, youngerThan); return err })
	return a
}

func publish(t *testing.T, k *reachfiveredis.Keys, lease, record string) {
	t.Helper()
	assert.NotEmpty(t, lease)
	insist(t, func() error {
		return k.Publish(context.Background(), keysName, lease, []byte(record), time.Hour, 2*time.Hour)
	})
}

func release(t *testing.T, k *reachfiveredis.Keys, lease string, pause time.Duration, reason string) {
	t.Helper()
	assert.NotEmpty(t, lease)
	insist(t, func() error { return k.Release(context.Background(), keysName, lease, pause, reason) })
}

func TestOneProcessOfManyGetsTheRightToFetch(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	var fetches atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		k := keysOf(t, server.options())
		all.Go(func() {
			for {
				a, err := tryAsk(k, "first", time.Hour)
				switch {
				case err != nil: // a machine under load: ask again
				case a.record != "":
					assert.Equal(t, "keys", a.record)
					return
				case a.lease != "":
					fetches.Add(1)
					publish(t, k, a.lease, "keys")
				}
			}
		})
	}
	all.Wait()
	assert.Equal(t, int64(1), fetches.Load())
}

func TestRecordStandsOnlyForAFetchThatWasAskedForEarlier(t *testing.T) {
	t.Parallel()
	k := keysOf(t, startRedis(t).options())
	first := ask(t, k, "first", time.Hour)
	require.NotEmpty(t, first.lease)
	assert.Equal(t, answer{}, ask(t, k, "first", time.Hour), "another process is fetching")
	publish(t, k, first.lease, "keys")
	assert.Equal(t, "keys", ask(t, k, "unknown_kid", time.Hour).record)

	unknown := ask(t, k, "unknown_kid", 0)
	require.NotEmpty(t, unknown.lease, "the record is older than the token")
	release(t, k, unknown.lease, 0, "")
	again := ask(t, k, "unknown_kid", 0)
	assert.Empty(t, again.lease, "once in 10 s")
	assert.Empty(t, again.reason)
	assert.Positive(t, again.wait)
	assert.LessOrEqual(t, again.wait, 10*time.Second)
	assert.Equal(t, answer{}, ask(t, k, "", 0), "a look grants nothing")
	assert.NotEmpty(t, ask(t, k, "asked", 0).lease, "Refresh does not wait for that")
}

func TestRecordIsUsedWhileItIsFreshAndItsAgeIsTheStores(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	k := keysOf(t, server.options())
	publish(t, k, ask(t, k, "first", time.Hour).lease, "keys")
	granted := func(ago time.Duration) { // by the server's clock, which is the machine's
		server.admin(t, "HSET", keyPrefix+"record", "granted", time.Now().Add(-ago).UnixMilli())
	}
	granted(20 * time.Minute)
	a := ask(t, k, "", 30*time.Minute)
	assert.Equal(t, "keys", a.record)
	assert.InDelta(t, 20*time.Minute, a.age, float64(time.Minute))
	assert.Empty(t, ask(t, k, "", 10*time.Minute).record, "too old for what is asked")
	granted(61 * time.Minute)
	assert.Empty(t, ask(t, k, "", 24*time.Hour).record, "no longer fresh")
	granted(-time.Hour)
	assert.Empty(t, ask(t, k, "", 24*time.Hour).record, "dated ahead of the store's clock")
	assert.NotEmpty(t, ask(t, k, "lifetime", 24*time.Hour).lease)
}

func TestPauseOfTheProviderBindsAllButRefresh(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	k, other := keysOf(t, server.options()), keysOf(t, server.options())
	lease := ask(t, k, "first", time.Hour).lease
	release(t, k, lease, time.Minute, "status 503: too many")
	paused := ask(t, other, "first", time.Hour)
	assert.Equal(t, "status 503: too many", paused.reason)
	assert.InDelta(t, time.Minute, paused.wait, float64(30*time.Second))
	assert.Empty(t, paused.lease)
	lease = ask(t, other, "asked", 0).lease
	publish(t, other, lease, "keys")
	assert.Equal(t, "keys", ask(t, k, "lifetime", time.Hour).record)
	assert.NotEmpty(t, ask(t, k, "lifetime", 0).lease, "a good answer ends the pause")
}

func TestRightToFetchThatHasEndedChangesNothing(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	k := keysOf(t, server.options())
	late := ask(t, k, "first", time.Hour).lease
	server.admin(t, "DEL", keyPrefix+"lease") // as after 6 s
	publish(t, k, late, "late")
	next := ask(t, k, "first", time.Hour)
	assert.Empty(t, next.record)
	assert.NotEmpty(t, next.lease)
	publish(t, k, late, "late")
	release(t, k, late, time.Minute, "status 503")
	assert.Equal(t, answer{}, ask(t, k, "first", time.Hour), "another's right stands")
	publish(t, k, next.lease, "keys")
	assert.Equal(t, "keys", ask(t, k, "first", time.Hour).record)
}

// Everything ends by itself, also when the server's clock was set back.
func TestEveryKeyHasATTL(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	k := keysOf(t, server.options())
	publish(t, k, ask(t, k, "unknown_kid", 0).lease, "keys")
	release(t, k, ask(t, k, "first", 0).lease, time.Minute, "status 503")
	require.NotEmpty(t, ask(t, k, "asked", 0).lease)
	for _, name := range []string{"record", "lease", "pause", "unknown"} {
		ttl := server.admin(t, "PTTL", keyPrefix+name)
		assert.NotContains(t, ttl, "-", name)
	}

	const hours = 12 * 3600 * 1000
	for _, name := range []string{"lease", "pause", "unknown"} { // as after a clock set back by 12 h
		server.admin(t, "PEXPIRE", keyPrefix+name, hours)
	}
	assert.NotEmpty(t, ask(t, k, "unknown_kid", 0).lease)
}

func TestRecordsAreSharedInAClusterAndUnderTheirPrefixOnly(t *testing.T) {
	t.Parallel()
	first, second, options := startCluster(t)
	for _, node := range []*redisProcess{first, second} {
		rules := strings.Fields(documentedUser(t, "key-sharer") + " " + inACluster(t))
		args := []any{"ACL", "SETUSER"}
		for _, rule := range rules[1:] {
			args = append(args, rule)
		}
		node.admin(t, args...)
	}
	options.Username, options.Password = "key-sharer", "change-me-key-sharer"
	k := keysOf(t, options)
	publish(t, k, ask(t, k, "first", time.Hour).lease, "keys")
	assert.Equal(t, "keys", ask(t, keysOf(t, options), "first", time.Hour).record)
	cannotAsk(t, keysOf(t, options, reachfiveredis.WithPrefix("other")), "lacks a permission")
	options.Username = ""
	assert.NotEmpty(t, ask(t, keysOf(t, options, reachfiveredis.WithPrefix("other")), "first", time.Hour).lease)
	_, _, _, _, _, err := k.Ask(t.Context(), "a}b", "first", time.Hour)
	require.ErrorContains(t, err, "the name of the keys")
}

func TestKeysGoToThePrimaryWhereSignOutsAreReadFromAReplica(t *testing.T) {
	t.Parallel()
	primary := startRedis(t)
	replica := startRedis(t, "--replicaof", "127.0.0.1 "+primary.port())
	sentinel := startSentinel(t, primary)
	require.Eventually(t, func() bool {
		known := sentinel.admin(t, "SENTINEL", "REPLICAS", "fleet")
		return strings.Contains(known, replica.port()) && strings.Contains(known, "flags:slave ") && strings.Contains(known, "master-link-status:ok")
	}, 60*time.Second, 100*time.Millisecond, "sentinel has reached the replica")
	k := keysOf(t, &redis.UniversalOptions{Addrs: []string{sentinel.addr}, MasterName: "fleet", ReadOnly: true})
	publish(t, k, ask(t, k, "first", time.Hour).lease, "keys")
	assert.Equal(t, "keys", ask(t, keysOf(t, primary.options()), "first", time.Hour).record)
}

// A call ends after 200 ms, and dialing does not make it longer. The other timeouts
// of a Store are 3 s. A busy machine may need a second attempt.
func TestCallForKeysEndsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	warm, cold := keysOf(t, server.options()), keysOf(t, server.options())
	lease := ask(t, warm, "first", time.Hour).lease
	server.signal(syscall.SIGSTOP)
	for name, call := range map[string]func() error{
		"Ask":     func() error { _, err := tryAsk(warm, "first", time.Hour); return err },
		"dialing": func() error { _, err := tryAsk(cold, "first", time.Hour); return err },
		"Publish": func() error { return warm.Publish(t.Context(), keysName, lease, nil, time.Hour, time.Hour) },
		"Release": func() error { return warm.Release(t.Context(), keysName, lease, 0, "") },
	} {
		quickest := time.Hour
		for attempt := 0; attempt < 5 && quickest > time.Second; attempt++ {
			begun := time.Now()
			require.ErrorContains(t, call(), "did not answer in time", name)
			quickest = min(quickest, time.Since(begun))
		}
		assert.Less(t, quickest, time.Second, name)
	}
	server.signal(syscall.SIGCONT)
	assert.Eventually(t, func() bool { _, err := tryAsk(cold, "first", time.Hour); return err == nil }, patience, 10*time.Millisecond)
}
