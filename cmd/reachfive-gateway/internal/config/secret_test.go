package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
)

func TestSecretFilesMayBeSharedWithTheirGroupAndLinkedTo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "secret"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(path, []byte("s3cret\r\n"), 0o600))
	require.NoError(t, os.Symlink(path, link))
	tenant := config.Tenant{ClientSecretFile: link}
	for mode, refused := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o440: false, 0o604: true, 0o602: true, 0o601: true, 0o644: true} {
		require.NoError(t, os.Chmod(path, mode))
		secret, err := tenant.Secret(nil)
		if refused {
			assert.ErrorContains(t, err, "others have access to the file", mode)
			assert.NotContains(t, err.Error(), "s3cret")
			continue
		}
		require.NoError(t, err, mode)
		assert.Equal(t, "s3cret", secret)
	}
}

func TestAFileThatIsTooLargeIsNotRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, make([]byte, 1<<20+1), 0o600))
	_, _, err := config.Read(path)
	assert.EqualError(t, err, "the file is larger than 1048576 bytes")
	_, _, err = config.Read(filepath.Dir(path))
	assert.EqualError(t, err, "not a regular file")
	_, _, err = config.Read(path + ".yml")
	assert.EqualError(t, err, "there is no such file")
}

func TestProblemsOfAFileNameIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(add("logs: {}\n")), 0o600))
	_, problems, err := config.Read(path)
	require.NoError(t, err)
	assert.EqualError(t, problems.Err(), path+":7:1: logs: unknown key; did you mean log?")
}
