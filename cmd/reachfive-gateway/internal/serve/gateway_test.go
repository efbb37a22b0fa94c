package serve_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/serve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// settings are a configuration with listeners on free ports.
func settings() *config.Config {
	return &config.Config{
		Decision: &config.Listener{Address: "127.0.0.1:0"},
		Health:   config.Health{Address: "127.0.0.1:0"},
		Limits:   config.Limits{Connections: 100, HeaderBytes: 32 << 10},
		Drain:    config.Drain{Timeout: 10 * time.Second},
	}
}

// parts are those of a gateway that always allows.
func parts() serve.Parts {
	return serve.Parts{
		Decide:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }),
		Health:           func(context.Context) map[string]error { return map[string]error{"main": nil} },
		Metrics:          http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") }),
		Log:              slog.New(slog.DiscardHandler),
		WatchCertificate: func(string, func() time.Time) error { return nil },
	}
}

// start runs a gateway until the test ends, unless the test drains it.
func start(t *testing.T, cfg *config.Config, p serve.Parts) *serve.Gateway {
	t.Helper()
	gateway, err := serve.Start(t.Context(), cfg, p)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // at once
		_ = gateway.Drain(ctx)
	})
	return gateway
}

// client has connections of its own, which end with the test.
func client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	response, err := c.Get(url)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response, string(body)
}

func TestTheHealthListenerTellsLiveAndReady(t *testing.T) {
	t.Parallel()
	health := map[string]error{"a": nil, "b": &reachfive.Error{Code: reachfive.CodeKeysUnavailable}}
	p := parts()
	p.Health = func(context.Context) map[string]error { return health }
	gateway := start(t, settings(), p)
	c, url := client(t), "http://"+gateway.Address("health")

	response, body := get(t, c, url+"/livez")
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.JSONEq(t, `{"status":"alive"}`, body)
	response, body = get(t, c, url+"/readyz")
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.JSONEq(t, `{"status":"ready","tenants":{"a":"ready","b":"keys_unavailable"}}`, body)
	health = map[string]error{"a": context.DeadlineExceeded, "b": &reachfive.Error{Code: reachfive.CodeKeysUnavailable}}
	response, body = get(t, c, url+"/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	assert.JSONEq(t, `{"status":"not ready","tenants":{"a":"the keys did not come in time","b":"keys_unavailable"}}`, body)
	_, body = get(t, c, url+"/metrics")
	assert.Equal(t, "metrics", body)
	response, _ = get(t, c, url+"/auth/api")
	assert.Equal(t, http.StatusNotFound, response.StatusCode)
	response, err := c.Post(url+"/readyz", "", nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	require.NoError(t, response.Body.Close())
}

func TestDrainAnswersTheProbeFirstServesOnAndThenFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	cfg, p := settings(), parts()
	cfg.Drain.Delay = time.Hour // until stop
	entered, release := make(chan struct{}), make(chan struct{})
	p.Decide = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-release
		}
		w.WriteHeader(http.StatusOK)
	})
	gateway := start(t, cfg, p)
	c, decision, health := client(t), "http://"+gateway.Address("decision"), "http://"+gateway.Address("health")
	response, _ := get(t, c, decision+"/")
	assert.False(t, response.Close)

	// Without a limit of its own, stop stands for the end of drain.delay here.
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	drained := make(chan error, 1)
	go func() { drained <- gateway.Drain(ctx) }()
	require.Eventually(t, func() bool {
		response, _ := get(t, c, health+"/readyz")
		return response.StatusCode == http.StatusServiceUnavailable
	}, 20*time.Second, time.Millisecond)
	_, body := get(t, c, health+"/readyz")
	assert.Contains(t, body, "draining")
	response, _ = get(t, c, health+"/livez")
	assert.Equal(t, http.StatusOK, response.StatusCode)
	response, _ = get(t, c, decision+"/")
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.True(t, response.Close, "the client is asked to close its connection")

	slow := make(chan error, 1)
	go func() {
		response, err := c.Get(decision + "/slow")
		if err == nil && response.StatusCode != http.StatusOK {
			err = errors.New(response.Status)
		}
		if err == nil {
			err = response.Body.Close()
		}
		slow <- err
	}()
	<-entered
	select {
	case err := <-drained:
		t.Fatalf("drained with a request under way: %v", err)
	default:
	}
	close(release)
	require.NoError(t, <-slow)
	stop(nil)
	if err := <-drained; err != nil {
		t.Log(err) // stop leaves the connections no time to close
	}
	_, err := net.Dial("tcp", gateway.Address("decision"))
	require.Error(t, err)
	_, err = net.Dial("tcp", gateway.Address("health"))
	require.Error(t, err)
}

func TestDrainWaitsForRequestsButNotForever(t *testing.T) {
	t.Parallel()
	for name, hangs := range map[string]bool{"one that finishes": false, "one that hangs": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, p := settings(), parts()
			if hangs {
				cfg.Drain.Timeout = 50 * time.Millisecond
			}
			entered, release := make(chan struct{}), make(chan struct{})
			p.Decide = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(entered)
				select {
				case <-release:
				case <-r.Context().Done():
				}
				w.WriteHeader(http.StatusOK)
			})
			gateway, err := serve.Start(t.Context(), cfg, p)
			require.NoError(t, err)
			c := client(t)
			answered := make(chan error, 1)
			go func() {
				response, err := c.Get("http://" + gateway.Address("decision"))
				if err == nil {
					err = response.Body.Close()
				}
				answered <- err
			}()
			<-entered
			drained := make(chan error, 1)
			go func() { drained <- gateway.Drain(t.Context()) }()
			if hangs {
				require.ErrorContains(t, <-drained, "some requests did not finish within drain.timeout")
				require.Error(t, <-answered)
				return
			}
			close(release)
			require.NoError(t, <-answered)
			require.NoError(t, <-drained)
		})
	}
}

func TestAListenerThatCannotBeOpenedIsNamedAndNothingIsServed(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	cfg := settings()
	cfg.Health.Address = taken.Addr().String()
	_, err = serve.Start(t.Context(), cfg, parts())
	require.EqualError(t, err, fmt.Sprintf("health.address: another program listens on %s; stop it, or choose another port", taken.Addr()))
}

func TestTheDecisionListenersLimits(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.Limits.HeaderBytes = 8192
	gateway := start(t, cfg, parts())
	send := func(request string) (status string) {
		conn, err := net.Dial("tcp", gateway.Address("decision"))
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
		go func() { _, _ = io.WriteString(conn, request) }()
		status, err = bufio.NewReader(conn).ReadString('\n')
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(status)
	}
	assert.Equal(t, "HTTP/1.1 200 OK", send("GET / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("x", 8000)+"\r\n\r\n"))
	assert.Equal(t, "HTTP/1.1 431 Request Header Fields Too Large", send("GET / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("x", 1<<20)+"\r\n\r\n"))
	assert.Equal(t, "HTTP/1.1 400 Bad Request: missing required Host header", send("GET / HTTP/1.1\r\nX-No-Host: a\r\n\r\n"))
	// The handler of these tests allows; net/http itself must not answer.
	assert.Equal(t, "HTTP/1.1 200 OK", send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"))
	// A header that never ends is cut off after 5 seconds.
	assert.Contains(t, []string{"EOF", "HTTP/1.1 408 Request Timeout"}, send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "))
}

func TestConnectionsBeyondTheLimitWait(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.Limits.Connections = 2
	gateway := start(t, cfg, parts())
	var open []net.Conn
	for range 3 {
		conn, err := net.Dial("tcp", gateway.Address("decision"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
		open = append(open, conn)
	}
	for _, conn := range open[:2] {
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		require.NoError(t, err)
		_, err = bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
	}
	answered := make(chan error, 1)
	go func() {
		_, _ = io.WriteString(open[2], "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		_, err := bufio.NewReader(open[2]).ReadString('\n')
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("a third connection was served: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	require.NoError(t, open[0].Close())
	require.NoError(t, <-answered)
}
