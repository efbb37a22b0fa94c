package recipes_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSystemdFindsNoFaultWithTheUnit: systemd-analyze exits with 0 on an unknown
// key, so any output is a failure. It runs as for a user's own units, with the
// targets below in place of the machine's, so it needs neither root nor a running
// systemd.
func TestSystemdFindsNoFaultWithTheUnit(t *testing.T) {
	t.Parallel()
	analyze := program(t, "SYSTEMD_ANALYZE", "systemd-analyze")
	dir := t.TempDir()
	units, runtime := filepath.Join(dir, "units"), filepath.Join(dir, "run")
	require.NoError(t, os.Mkdir(units, 0o700))
	require.NoError(t, os.Mkdir(runtime, 0o700))
	for _, target := range []string{"basic", "network-online", "shutdown", "sysinit"} {
		writeFile(t, units, target+".target", "[Unit]\n")
	}
	executable, err := os.Executable()
	require.NoError(t, err)
	verify := func(text string) string {
		command := exec.Command(analyze, "--user", "verify", "--man=no", writeFile(t, dir, "reachfive-gateway.service", text))
		command.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+runtime, "SYSTEMD_UNIT_PATH="+units)
		output, _ := command.CombinedOutput()
		return strings.TrimSpace(string(output))
	}
	unit := recipeFile(t, "systemd/reachfive-gateway.service", "/usr/local/bin/reachfive-gateway", executable)
	assert.Empty(t, verify(unit))
	assert.Contains(t, verify(strings.Replace(unit, "NoNewPrivileges=", "NoNewPrivilege=", 1)), "Unknown key")
}
