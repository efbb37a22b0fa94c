package reachfiveredis_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/reachfiveredis"
)

// cannotAsk waits until Ask fails and says why. A busy machine may say at first
// that the store did not answer in time.
func cannotAsk(t *testing.T, k *reachfiveredis.Keys, why string) {
	t.Helper()
	var err error
	require.Eventually(t, func() bool {
		_, err = tryAsk(k, "first", time.Hour)
		return err != nil && strings.Contains(err.Error(), why)
	}, patience, time.Millisecond, why)
	assert.NotContains(t, err.Error(), "hunter", "no password")
	assert.NotContains(t, err.Error(), "script", "nothing of the server's own text")
}

func TestFaultsOfKeysAreSaidInPlainWords(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	k := keysOf(t, server.options())

	server.admin(t, "CONFIG", "SET", "maxmemory", "1")
	cannotAsk(t, k, "the store is full: raise its maxmemory")
	server.admin(t, "CONFIG", "SET", "maxmemory", "0")

	server.admin(t, "CONFIG", "SET", "min-replicas-to-write", "1")
	cannotAsk(t, k, "too few replicas")
	server.admin(t, "CONFIG", "SET", "min-replicas-to-write", "0")

	server.admin(t, "REPLICAOF", "127.0.0.1", "1")
	cannotAsk(t, k, "read-only replica")
	server.admin(t, "REPLICAOF", "NO", "ONE")

	for _, name := range []string{"record", "pause"} {
		server.admin(t, "SADD", keyPrefix+name, "not ours")
		cannotAsk(t, k, "a key of another type")
		server.admin(t, "DEL", keyPrefix+name)
	}

	for _, rules := range [][]any{
		{"~*", "+@all", "-set"},
		{"resetkeys", "%R~reachfive:*", "+@all"},
		{"~*", "-@all"},
	} {
		server.admin(t, append([]any{"ACL", "SETUSER", "weak", "reset", "on", ">hunter2"}, rules...)...)
		options := server.options()
		options.Username, options.Password = "weak", "hunter2"
		cannotAsk(t, keysOf(t, options), "compare its ACL with docs/fleet.md")
	}

	server.admin(t, "CONFIG", "SET", "requirepass", "hunter2")
	options := server.options()
	options.Password = "hunter3"
	cannotAsk(t, keysOf(t, options), "check Username and Password")
	cannotAsk(t, keysOf(t, server.options()), "check Username and Password")

	server.kill()
	cannotAsk(t, k, "the store cannot be reached")
}

func TestServerOfBeforeRedis5IsTooOldForKeys(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		f.register("EVALSHA", func(p *server.Peer, _ []string) {
			p.WriteError("ERR Error running script (call to f_0): Write commands not allowed after non deterministic commands.")
		})
		_, err := tryAsk(keysOf(t, f.options()), "first", time.Hour)
		require.ErrorContains(t, err, "older than Redis 7.0: update it")
	})
}

// Whatever stands in a record, Ask grants a fetch instead of failing.
func TestBrokenRecordDoesNotKeepTheFleetFromFetching(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	k := keysOf(t, server.options())
	for name, fields := range map[string][]any{
		"no record":  {"granted", "1", "fresh", "1"},
		"no numbers": {"granted", "x", "fresh", "y", "record", "keys"},
		"too large":  {"granted", time.Now().UnixMilli(), "fresh", "3600000", "record", strings.Repeat("x", 1<<20+1)},
	} {
		server.admin(t, "FLUSHALL")
		server.admin(t, append([]any{"HSET", keyPrefix + "record"}, fields...)...)
		assert.NotEmpty(t, ask(t, k, "first", time.Hour).lease, name)
	}
	server.admin(t, "FLUSHALL")
	server.admin(t, "SET", keyPrefix+"pause", "forever")
	server.admin(t, "SET", keyPrefix+"lease", "forever")
	server.admin(t, "SET", keyPrefix+"unknown", "forever")
	assert.NotEmpty(t, ask(t, k, "unknown_kid", 0).lease)
}

func TestRecordWithoutAValidSignatureIsNotUsed(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	first, second := []byte(strings.Repeat("1", 32)), []byte(strings.Repeat("2", 32))
	said := new(logs)
	old := keysOf(t, server.options(), reachfiveredis.WithRecordKeys(first))
	rotated := keysOf(t, server.options(), reachfiveredis.WithRecordKeys(second, first), said.option())
	publish(t, old, ask(t, old, "first", time.Hour).lease, "keys")
	assert.Equal(t, "keys", ask(t, rotated, "first", time.Hour).record, "all keys verify")

	record := keyPrefix + "record"
	for field, forged := range map[string]string{
		"record": "other", "granted": fmt.Sprint(time.Now().Add(-time.Minute).UnixMilli()), "fresh": "7200000", "mac": "",
	} {
		good := server.admin(t, "HGET", record, field)
		server.admin(t, "HSET", record, field, forged)
		assert.Equal(t, answer{}, ask(t, rotated, "", 2*time.Hour), "a forged %s", field)
		server.admin(t, "HSET", record, field, good)
		require.Equal(t, "keys", ask(t, rotated, "", 2*time.Hour).record)
	}
	server.admin(t, "HSET", record, "record", "other")
	a := ask(t, rotated, "lifetime", time.Hour)
	require.NotEmpty(t, a.lease, "it does not keep the fleet from fetching")
	assert.Contains(t, said.String(), "was not signed with a key of WithRecordKeys")
	lines := strings.Count(said.String(), "\n")
	ask(t, rotated, "", time.Hour)
	assert.Equal(t, lines, strings.Count(said.String(), "\n"), "one line for one record")

	publish(t, rotated, a.lease, "newer")
	assert.Empty(t, ask(t, old, "", time.Hour).record, "the old process does not have the new key")

	// A record of one name does not count under another.
	server.admin(t, "COPY", record, "reachfive:{keys:other}:1:record")
	insist(t, func() error {
		taken, _, _, _, _, err := rotated.Ask(context.Background(), "other", "", time.Hour)
		assert.Empty(t, taken)
		return err
	})
}

func TestRecordKeysAreLongAndNoSecretIsPrinted(t *testing.T) {
	t.Parallel()
	options := &redis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}}
	_, err := reachfiveredis.New(options, reachfiveredis.WithRecordKeys([]byte("short")))
	require.ErrorContains(t, err, "at least 32 bytes")
	_, err = reachfiveredis.New(options, reachfiveredis.WithRecordKeys())
	require.ErrorContains(t, err, "at least one key")
	secret := []byte("hunter2 hunter2 hunter2 hunter2 hunter2")
	options.Password = "hunter3"
	store, err := reachfiveredis.New(options, reachfiveredis.WithRecordKeys(secret))
	require.NoError(t, err)
	defer func() { assert.NoError(t, store.Close()) }()
	var printed bytes.Buffer
	slog.New(slog.NewJSONHandler(&printed, nil)).Info("store", "store", store, "keys", store.Keys())
	slog.New(slog.NewTextHandler(&printed, nil)).Info("store", "store", store, "keys", store.Keys())
	fmt.Fprintf(&printed, "%v %+v %#v %v %+v %#v", store, store, store, store.Keys(), store.Keys(), store.Keys())
	assert.NotContains(t, printed.String(), "hunter")
	assert.NotContains(t, printed.String(), fmt.Sprintf("%d", secret))
}
