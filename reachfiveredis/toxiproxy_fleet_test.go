//go:build fleet

package reachfiveredis_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// toxiproxy is a running toxiproxy with one proxy before a Redis server.
type toxiproxy struct{ api, listen string }

// startToxiproxy starts the real toxiproxy, which make test-fleet has built.
func startToxiproxy(t *testing.T, server *redisProcess) *toxiproxy {
	t.Helper()
	binary := os.Getenv("TOXIPROXY")
	require.NotEmpty(t, binary, "TOXIPROXY is the path of toxiproxy's server: use make test-fleet")
	p := &toxiproxy{api: freeAddress(t), listen: freeAddress(t)}
	host, port, err := net.SplitHostPort(p.api)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, binary, "-host", host, "-port", port)
	require.NoError(t, command.Start())
	t.Cleanup(func() { cancel(); _ = command.Wait() })
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", p.api)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, patience, 20*time.Millisecond, "toxiproxy does not listen")
	p.do(t, http.MethodPost, "/proxies", map[string]any{"name": "redis", "listen": p.listen, "upstream": server.addr, "enabled": true})
	return p
}

func (p *toxiproxy) do(t *testing.T, method, path string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+p.api+path, bytes.NewReader(text))
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	response, err := client.Do(request)
	require.NoError(t, err)
	assert.Less(t, response.StatusCode, 300, path)
	require.NoError(t, response.Body.Close())
}

func (p *toxiproxy) options() *redis.UniversalOptions {
	return &redis.UniversalOptions{Addrs: []string{p.listen}}
}

// apply makes the network misbehave, on the way of the server's answers.
func (p *toxiproxy) apply(t *testing.T, kind string, attributes map[string]any) {
	t.Helper()
	p.do(t, http.MethodPost, "/proxies/redis/toxics", map[string]any{
		"name": "toxic", "type": kind, "stream": "downstream", "attributes": attributes,
	})
}

func (p *toxiproxy) lift(t *testing.T) {
	t.Helper()
	p.do(t, http.MethodDelete, "/proxies/redis/toxics/toxic", nil)
}
