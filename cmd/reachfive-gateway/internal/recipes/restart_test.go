package recipes_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/decide"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/gatewaytest"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/policy"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/serve"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// gatewayOn serves decisions on an address, as the program does.
func gatewayOn(t *testing.T, address string, policies gatewaytest.Policies) *serve.Gateway {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	gateway, err := serve.Start(t.Context(), &config.Config{
		Decision: &config.Listener{Address: address}, Health: config.Health{Address: "127.0.0.1:0"},
		Limits: config.Limits{Connections: 1000, HeaderBytes: 32 << 10},
		Drain:  config.Drain{Delay: 100 * time.Millisecond, Timeout: 20 * time.Second},
	}, serve.Parts{
		Decide: decide.New(policies, func(string, policy.Outcome) {}, log), Log: log,
		Health: func(context.Context) map[string]error { return map[string]error{"main": nil} },
	})
	require.NoError(t, err)
	return gateway
}

// TestARollingRestartBehindNginxLosesNoRequest restarts two gateways, one after
// the other, while clients ask without a pause.
func TestARollingRestartBehindNginxLosesNoRequest(t *testing.T) {
	t.Parallel()
	tenant, behind := reachfivetest.NewTenant(t), startBackend(t)
	policies := gatewaytest.For(t, tenant.Verifier())
	both := [2]string{freeAddress(t), freeAddress(t)}
	gateways := [2]*serve.Gateway{gatewayOn(t, both[0], policies), gatewayOn(t, both[1], policies)}
	t.Cleanup(func() {
		for _, gateway := range gateways {
			_ = gateway.Drain(context.Background())
		}
	})
	r := nginxRecipe()
	r.start = func(tb testing.TB, dir string, a addresses) {
		tb.Helper()
		startNginxBefore(tb, dir, a, both[1])
	}
	p := r.run(t, both[0], behind.address)

	token := "Bearer " + tenant.Token()
	var answered atomic.Int64
	var lost atomic.Pointer[string]
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			method := []string{http.MethodGet, http.MethodPost}[i%2]
			for {
				select {
				case <-stop:
					return
				default:
				}
				request, err := http.NewRequestWithContext(context.Background(), method, p.url("/api/x"), strings.NewReader("a=b"))
				if err != nil {
					continue
				}
				request.Header.Set("Authorization", token)
				response, err := p.client.Do(request)
				what := ""
				switch {
				case err != nil:
					what = err.Error()
				case response.StatusCode != http.StatusOK:
					what = response.Status
				}
				if err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
				if what != "" {
					what = fmt.Sprintf("%s after %d answers: %s", method, answered.Load(), what)
					lost.Store(&what)
				}
				answered.Add(1)
			}
		})
	}
	progress := func(requests int64) {
		for target := answered.Load() + requests; answered.Load() < target && lost.Load() == nil; {
			<-time.After(time.Millisecond)
		}
	}
	progress(200)
	for i := range gateways {
		require.NoError(t, gateways[i].Drain(t.Context()))
		progress(200) // the other one alone
		gateways[i] = gatewayOn(t, both[i], policies)
		progress(200)
	}
	close(stop)
	clients.Wait()
	if what := lost.Load(); what != nil {
		t.Fatal(*what)
	}
	t.Logf("%d requests, none lost", answered.Load())
}
