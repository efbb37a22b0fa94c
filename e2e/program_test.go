package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// program returns the path of a program that the machine has or that
// scripts/setup has unpacked.
func program(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	unpacked, err := filepath.Abs(filepath.Join("..", ".cache", "bin", name))
	require.NoError(t, err)
	path, err := exec.LookPath(unpacked)
	require.NoError(t, err, "run `make setup`, or `make test`, which does")
	return path
}
