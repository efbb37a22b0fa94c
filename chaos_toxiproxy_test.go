//go:build chaos

package reachfive_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// toxiproxy is a running toxiproxy with one proxy before the tenant.
type toxiproxy struct {
	t      *testing.T
	api    string
	listen string
}

// startToxiproxy starts the real toxiproxy, which make chaos has built.
func startToxiproxy(t *testing.T, upstream string) *toxiproxy {
	t.Helper()
	binary := os.Getenv("TOXIPROXY")
	require.NotEmpty(t, binary, "TOXIPROXY is the path of toxiproxy's server: use make chaos")
	p := &toxiproxy{t: t, api: freeAddress(t), listen: freeAddress(t)}
	host, port, err := net.SplitHostPort(p.api)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, binary, "-host", host, "-port", port)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		cancel()
		_ = command.Wait()
	})
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for start := time.Now(); ; <-retry.C {
		if p.try(http.MethodGet, "/version", nil) == nil {
			break
		}
		require.Less(t, time.Since(start), 10*time.Second, "toxiproxy does not answer")
	}
	p.do(http.MethodPost, "/proxies", map[string]any{"name": "keys", "listen": p.listen, "upstream": upstream, "enabled": true})
	return p
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func (p *toxiproxy) try(method, path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(context.Background(), method, "http://"+p.api+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= 300 {
		text, _ := io.ReadAll(response.Body)
		return fmt.Errorf("%s %s: %s %s", method, path, response.Status, text)
	}
	return nil
}

func (p *toxiproxy) do(method, path string, body any) {
	p.t.Helper()
	require.NoError(p.t, p.try(method, path, body))
}

// toxic is a way in which the network misbehaves.
type toxic struct {
	name   string
	outage bool // no fetch gets through
	kind   string
	attrs  map[string]any

	fetches, failures, served int // counted
}

func (p *toxiproxy) apply(toxic *toxic) {
	if toxic.kind == "" {
		p.do(http.MethodPost, "/proxies/keys", map[string]any{"enabled": false})
		return
	}
	p.do(http.MethodPost, "/proxies/keys/toxics", map[string]any{
		"name": "toxic", "type": toxic.kind, "stream": "downstream", "attributes": toxic.attrs,
	})
}

func (p *toxiproxy) lift(toxic *toxic) {
	if toxic.kind == "" {
		p.do(http.MethodPost, "/proxies/keys", map[string]any{"enabled": true})
		return
	}
	p.do(http.MethodDelete, "/proxies/keys/toxics/toxic", nil)
}
