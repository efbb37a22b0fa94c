package reachfiveredis_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// startCluster starts a cluster of two servers, the first of which has all slots.
func startCluster(t *testing.T) (first, second *redisProcess, options *redis.UniversalOptions) {
	t.Helper()
	node := func() *redisProcess {
		return startRedis(t, "--cluster-enabled", "yes", "--cluster-port", freePort(t), "--cluster-node-timeout", "2000")
	}
	first, second = node(), node()
	first.admin(t, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
	second.admin(t, "CLUSTER", "MEET", "127.0.0.1", first.port(), first.clusterPort())
	for _, node := range []*redisProcess{first, second} {
		require.Eventually(t, func() bool {
			info := node.admin(t, "CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:2")
		}, 60*time.Second, 50*time.Millisecond)
	}
	return first, second, &redis.UniversalOptions{Addrs: []string{first.addr}, IsClusterMode: true}
}

func freePort(t *testing.T) string {
	t.Helper()
	return freeAddress(t)[len("127.0.0.1:"):]
}

func (r *redisProcess) clusterPort() string {
	for i, arg := range r.args {
		if arg == "--cluster-port" {
			return r.args[i+1]
		}
	}
	return ""
}

func TestSignOutsWorkInAClusterAndFollowAMovedSlot(t *testing.T) {
	t.Parallel()
	first, second, options := startCluster(t)
	o := initialized(t, options)
	require.NoError(t, o.Ready(t.Context()))
	u, v := userOf("anna", time.Now()), userOf("bert", time.Now())
	signOut(t, o, "anna")
	refusedBy(t, u, o.Check())

	moveSlot(t, first, second, "reachfive:{signouts}:1:log", "reachfive:{signouts}:1:marker")
	require.Eventually(t, func() bool {
		_, err := o.SignOut(context.Background(), signOutOf("bert"))
		return err == nil
	}, 30*time.Second, 100*time.Millisecond)
	require.Eventually(t, func() bool { return codeOf(o.Check(), v) == reachfive.CodeRevoked }, 30*time.Second, 10*time.Millisecond)
	assert.Equal(t, reachfive.CodeRevoked, codeOf(o.Check(), u))
	require.Len(t, listOf(t, o), 2, "the moved log is the same")
}

// moveSlot moves the slot of keys from one server to the other.
func moveSlot(t *testing.T, from, to *redisProcess, keys ...string) {
	t.Helper()
	slot, err := strconv.Atoi(from.admin(t, "CLUSTER", "KEYSLOT", keys[0]))
	require.NoError(t, err)
	fromID, toID := from.admin(t, "CLUSTER", "MYID"), to.admin(t, "CLUSTER", "MYID")
	to.admin(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	from.admin(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	args := []any{"MIGRATE", "127.0.0.1", to.port(), "", 0, 5000, "KEYS"}
	for _, key := range keys {
		args = append(args, key)
	}
	from.admin(t, args...)
	to.admin(t, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	from.admin(t, "CLUSTER", "SETSLOT", slot, "NODE", toID)
}
