package reachfiveredis_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/reachfiveredis"
)

// redisProcess is a real redis-server on a loopback port that was free.
type redisProcess struct {
	addr   string
	dir    string
	args   []string
	cmd    *exec.Cmd
	ended  chan struct{}
	output *logs
}

// startRedis starts a server with these further arguments, in which PORT stands
// for its port. It ends with the test.
func startRedis(tb testing.TB, args ...string) *redisProcess {
	tb.Helper()
	r := &redisProcess{addr: freeAddress(tb), dir: tb.TempDir(), args: args, output: &logs{}}
	r.start(tb)
	tb.Cleanup(func() { r.signal(syscall.SIGCONT); r.kill() })
	return r
}

// redisProgram is REDIS_SERVER, or redis-server in PATH.
func redisProgram(tb testing.TB) string {
	tb.Helper()
	name := os.Getenv("REDIS_SERVER")
	if name == "" {
		name = "redis-server"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		tb.Fatalf("%s is missing. The guarantees are tested with a real server: run `make test`, which brings it, or set REDIS_SERVER to its path", name)
	}
	return path
}

func freeAddress(tb testing.TB) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func (r *redisProcess) port() string { _, port, _ := net.SplitHostPort(r.addr); return port }

func (r *redisProcess) start(tb testing.TB) {
	tb.Helper()
	args := []string{"--bind", "127.0.0.1", "--port", r.port(), "--dir", r.dir, "--save", "", "--appendonly", "no"}
	args = append(args, r.args...)
	if len(r.args) == 2 && r.args[0] == "--sentinel" { // a configuration that is written to
		args = []string{r.args[1], "--sentinel", "--bind", "127.0.0.1", "--port", r.port(), "--dir", r.dir}
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "PORT", r.port())
	}
	r.cmd = exec.Command(redisProgram(tb), args...)
	r.cmd.Stdout, r.cmd.Stderr = r.output, r.output
	require.NoError(tb, r.cmd.Start())
	r.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) { _ = cmd.Wait(); close(ended) }(r.cmd, r.ended)
	require.Eventually(tb, func() bool {
		conn, err := net.DialTimeout("tcp", r.addr, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 30*time.Second, 10*time.Millisecond, "redis-server does not listen: %s", r.output)
}

// startSentinel starts a sentinel that watches primary as "fleet".
func startSentinel(t *testing.T, primary *redisProcess) *redisProcess {
	t.Helper()
	config := writeFile(t, t.TempDir(), "sentinel.conf",
		"sentinel monitor fleet 127.0.0.1 "+primary.port()+" 1",
		"sentinel down-after-milliseconds fleet 1000",
		"sentinel failover-timeout fleet 5000")
	return startRedis(t, "--sentinel", config)
}

func (r *redisProcess) signal(s syscall.Signal) { _ = r.cmd.Process.Signal(s) }

func (r *redisProcess) kill() {
	r.signal(syscall.SIGKILL)
	<-r.ended
}

func (r *redisProcess) options() *redis.UniversalOptions {
	return &redis.UniversalOptions{Addrs: []string{r.addr}}
}

// admin runs a command as the server's administrator.
func (r *redisProcess) admin(tb testing.TB, args ...any) string {
	tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: r.addr, DisableIdentity: true})
	defer func() { _ = client.Close() }()
	answer, err := client.Do(context.Background(), args...).Result()
	require.NoError(tb, err, "%v", args)
	return fmt.Sprint(answer)
}

// realSignOuts returns the sign-outs of a real server, initialized or not.
func realSignOuts(tb testing.TB, options *redis.UniversalOptions, opts ...reachfiveredis.SignOutOption) *reachfiveredis.SignOuts {
	tb.Helper()
	store, err := reachfiveredis.New(options, new(logs).option())
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, store.Close()) })
	o, err := store.SignOuts([]string{issuer}, opts...)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, o.Close()) })
	return o
}

// notReady waits until Ready says why. A busy machine may say at first that the
// store did not answer in time.
func notReady(t *testing.T, options *redis.UniversalOptions, why string) {
	t.Helper()
	o := realSignOuts(t, options)
	var err error
	require.Eventually(t, func() bool {
		err = o.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), why)
	}, 30*time.Second, time.Millisecond)
	assert.NotContains(t, err.Error(), "hunter", "no password")
}

func initialized(tb testing.TB, options *redis.UniversalOptions, opts ...reachfiveredis.SignOutOption) *reachfiveredis.SignOuts {
	tb.Helper()
	o := realSignOuts(tb, options, opts...)
	require.NoError(tb, o.Init(context.Background()))
	return o
}

// writeFile writes a file that a server reads.
func writeFile(tb testing.TB, dir, name string, lines ...string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	var b bytes.Buffer
	b.WriteString(strings.Join(lines, "\n") + "\n")
	require.NoError(tb, os.WriteFile(path, b.Bytes(), 0o600))
	return path
}
