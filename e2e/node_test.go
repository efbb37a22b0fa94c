package e2e_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// nodeCommand returns the command that runs a script of this folder with node.
func nodeCommand(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	node, err := exec.LookPath("node")
	require.NoError(t, err, "the end-to-end tests need Node.js 20 or newer on the PATH")
	require.DirExists(t, filepath.Join("node_modules", "oidc-provider"),
		"run `scripts/setup npm`, or `make test`, which does")
	readScripts(t)
	return exec.CommandContext(t.Context(), node, script)
}

// readScripts reads what node may run for a test. The go command records the
// files of this module that a test opens, so it does not take a result from its
// cache after one of them has changed.
func readScripts(t *testing.T) {
	t.Helper()
	for _, pattern := range []string{"*.mjs", "*.json", "node_modules/.package-lock.json"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		for _, file := range files {
			_, err := os.ReadFile(file)
			require.NoError(t, err)
		}
	}
}

// startNode runs a script of this folder until the test ends, and decodes the
// first line that it prints into ready. The script ends when its standard
// input does, so nothing outlives the test, whatever ends it.
func startNode(t *testing.T, script string, env []string, ready any) {
	t.Helper()
	cmd := nodeCommand(t, script)
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
	case <-time.After(time.Minute):
		require.Fail(t, script+" was not ready within a minute")
	}
}

// runNode runs a script of this folder to its end and decodes what it prints
// into result.
func runNode(t *testing.T, script string, result any) {
	t.Helper()
	text, err := nodeCommand(t, script).Output()
	if exit := (*exec.ExitError)(nil); err != nil && assert.ErrorAs(t, err, &exit) {
		require.NoError(t, err, "%s", exit.Stderr)
	}
	require.NoError(t, json.Unmarshal(text, result))
}
