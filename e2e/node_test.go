package e2e_test

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// startNode runs a script of this folder until the test ends, and decodes the
// first line that it prints into ready. The script ends when its standard
// input does, so nothing outlives the test, whatever ends it.
func startNode(t *testing.T, script string, env []string, ready any) {
	t.Helper()
	node, err := exec.LookPath("node")
	require.NoError(t, err, "the end-to-end tests need node (20 or newer) on the PATH")
	require.DirExists(t, filepath.Join("node_modules", "oidc-provider"),
		"run `npm ci` in e2e, or `make test`, which does")

	cmd := exec.CommandContext(t.Context(), node, script)
	cmd.Env = append(cmd.Environ(), env...)
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := make(chan []byte, 1)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			select {
			case lines <- append([]byte(nil), scanner.Bytes()...):
			default: // only the first line is for us
			}
		}
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		<-drained
		_ = cmd.Wait() // its exit code says nothing that the test has not seen
	})

	select {
	case line, ok := <-lines:
		require.True(t, ok, "%s ended before it was ready", script)
		require.NoError(t, json.Unmarshal(line, ready), "%s printed: %s", script, line)
	case <-time.After(30 * time.Second):
		require.Fail(t, script+" was not ready within 30 s")
	}
}
