package reachfiveredis_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryTestThatTheGuaranteesNameExists(t *testing.T) {
	t.Parallel()
	var tests string
	for _, folder := range []string{".", "..", "../internal/keycache"} {
		files, err := filepath.Glob(folder + "/*_test.go")
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			tests += string(text)
		}
	}
	guide, err := os.ReadFile("../docs/fleet.md")
	require.NoError(t, err)
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(guide), -1)
	assert.Greater(t, len(named), 20)
	for _, match := range named {
		assert.Contains(t, tests, "func "+match[1]+"(", "docs/fleet.md")
	}
}
