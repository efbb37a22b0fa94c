//go:build fleet

package reachfiveredis_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// slowConn delays what the server answers, and breaks now and then.
type slowConn struct {
	net.Conn
	latency time.Duration
	breaks  float64 // the share of reads that end the connection
}

func (c slowConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	pauseFor(c.latency)
	if rand.Float64() < c.breaks {
		_ = c.Close()
	}
	return n, err
}

func slowly(server *redisProcess, latency time.Duration, breaks float64) *redis.UniversalOptions {
	options := server.options()
	options.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return slowConn{conn, latency, breaks}, err
	}
	return options
}

func TestSlowAndBreakingConnectionsChangeNoDecision(t *testing.T) {
	for name, network := range map[string]struct {
		latency  time.Duration
		breaks   float64
		signOuts int
	}{
		"300 ms of latency":                {latency: 300 * time.Millisecond, signOuts: 5},
		"a tenth of the answers is broken": {breaks: 0.1, signOuts: 50},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startRedis(t)
			writer := initialized(t, server.options())
			reader := realSignOuts(t, slowly(server, network.latency, network.breaks))
			require.Eventually(t, func() bool { return reader.Ready(t.Context()) == nil }, time.Minute, time.Millisecond)
			out, in := userOf("anna", time.Now()), userOf("bert", time.Now())
			signOut(t, writer, "anna")
			require.Eventually(t, func() bool { return codeOf(reader.Check(), out) != "" }, time.Minute, time.Millisecond)
			i := watch(reader.Check(), out, in)
			for n := range network.signOuts {
				subject := fmt.Sprint("user", n)
				u := userOf(subject, time.Now().Add(-time.Minute))
				signOut(t, writer, subject)
				if network.breaks == 0 {
					t.Logf("%s: refused after %v", name, refusedBy(t, u, reader.Check()))
				}
				require.Eventually(t, func() bool { return codeOf(reader.Check(), u) != "" }, time.Minute, time.Millisecond)
			}
			i.end(t, name)
		})
	}
}
