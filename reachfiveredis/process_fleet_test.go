//go:build fleet

package reachfiveredis_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// childAddress is the environment variable that makes the test program a process
// of its own that checks tokens.
const childAddress = "REACHFIVEREDIS_TEST_CHILD"

// TestChildProcess is the child: it tells when it refuses each user that it is
// given.
func TestChildProcess(t *testing.T) {
	address := os.Getenv(childAddress)
	if address == "" {
		return // the parent
	}
	o := realSignOuts(t, &redis.UniversalOptions{Addrs: []string{address}})
	require.NoError(t, o.Ready(context.Background()))
	fmt.Println("ready")
	subjects := bufio.NewScanner(os.Stdin)
	for subjects.Scan() {
		u := userOf(subjects.Text(), time.Now().Add(-time.Minute))
		fmt.Println("waiting", reachfive.CodeOf(o.Check()(context.Background(), u)) == "")
		for codeOf(o.Check(), u) != reachfive.CodeRevoked {
			pauseFor(time.Millisecond)
		}
		fmt.Println("refused")
	}
}

// child is a running child process.
type child struct {
	cmd    *exec.Cmd
	input  io.Writer
	lines  chan string
	killed bool
}

// startChild starts the test program to run one test, with one more variable in
// its environment.
func startChild(t *testing.T, test, variable string) *child {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "-test.run", "^"+test+"$")
	cmd.Env = append(os.Environ(), variable)
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := &child{cmd: cmd, input: input, lines: make(chan string, 10)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			c.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = input.Close()
		go func() {
			for range c.lines {
			}
		}()
		<-read
		close(c.lines)
		err := cmd.Wait()
		assert.Equal(t, c.killed, err != nil, "%v", err)
	})
	return c
}

// kill ends the process with SIGKILL.
func (c *child) kill() {
	c.killed = true
	_ = c.cmd.Process.Kill()
}

func (c *child) expect(t *testing.T, line string, limit time.Duration) {
	t.Helper()
	select {
	case got := <-c.lines:
		require.Equal(t, line, strings.TrimSpace(got))
	case <-time.After(limit):
		require.Fail(t, "the child says nothing", "%q was expected", line)
	}
}

func TestSignOutReachesEightProcesses(t *testing.T) {
	server := startRedis(t)
	writer := initialized(t, server.options())
	var children []*child
	for range 8 {
		children = append(children, startChild(t, "TestChildProcess", childAddress+"="+server.addr))
	}
	for _, c := range children {
		c.expect(t, "ready", time.Minute)
	}
	for _, subject := range []string{"anna", "bert", "carl"} {
		for _, c := range children {
			_, err := fmt.Fprintln(c.input, subject)
			require.NoError(t, err)
			c.expect(t, "waiting true", time.Minute)
		}
		signOut(t, writer, subject)
		begun := time.Now()
		for _, c := range children {
			c.expect(t, "refused", patience)
		}
		t.Logf("8 processes refuse %s after %v", subject, time.Since(begun))
	}
}
