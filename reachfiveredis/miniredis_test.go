package reachfiveredis_test

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveredis"
)

// Tests of a service use miniredis, which tells less of a stream than Redis.
func TestMiniredisIsEnoughForTheTestsOfAService(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	now := time.Now()
	server.SetTime(now)
	o := initialized(t, &redis.UniversalOptions{Addrs: []string{server.Addr()}}, reachfiveredis.WithRetention(time.Hour))
	require.NoError(t, o.Ready(t.Context()))
	u := userOf("anna", now)
	assert.Empty(t, codeOf(o.Check(), u))
	id := signOut(t, o, "anna")
	refusedBy(t, u, o.Check())
	require.NoError(t, o.Lift(t.Context(), id))
	require.Eventually(t, func() bool { return codeOf(o.Check(), u) == "" }, patience, time.Millisecond)

	// The retention goes by the store's clock.
	server.SetTime(now.Add(61 * time.Minute))
	require.Eventually(t, func() bool {
		return codeOf(o.Check(), u) == reachfive.CodeReauthenticationRequired
	}, patience, time.Millisecond)
}
