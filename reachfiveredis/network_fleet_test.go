//go:build fleet

package reachfiveredis_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// latency and cuts are toxics of toxiproxy.
var (
	latency = map[string]any{"latency": 300, "jitter": 50} // milliseconds
	cuts    = map[string]any{"bytes": 2048}                // of answers, until a connection breaks
)

func TestSlowAndBreakingConnectionsChangeNoDecision(t *testing.T) {
	t.Parallel()
	for _, network := range []struct {
		name, toxic string
		attributes  map[string]any
		signOuts    int
	}{
		{"300 ms of latency", "latency", latency, 5},
		{"connections break after 2 KiB", "limit_data", cuts, 50},
	} {
		t.Run(network.name, func(t *testing.T) {
			t.Parallel()
			server := startRedis(t)
			proxy := startToxiproxy(t, server)
			writer := initialized(t, server.options())
			proxy.apply(t, network.toxic, network.attributes)
			reader := realSignOuts(t, proxy.options())
			require.Eventually(t, func() bool { return reader.Ready(t.Context()) == nil }, time.Minute, time.Millisecond)
			out, in := userOf("anna", time.Now()), userOf("bert", time.Now())
			signOut(t, writer, "anna")
			require.Eventually(t, func() bool { return codeOf(reader.Check(), out) != "" }, time.Minute, time.Millisecond)
			i := watch(reader.Check(), out, in)
			for n := range network.signOuts {
				subject := fmt.Sprint("user", n)
				u := userOf(subject, time.Now().Add(-time.Minute))
				signOut(t, writer, subject)
				require.Eventually(t, func() bool { return codeOf(reader.Check(), u) != "" }, time.Minute, time.Millisecond)
			}
			i.end(t, network.name)
		})
	}
}
