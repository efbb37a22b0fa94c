package reachfive_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// docs/security.md names a test for each defence; a defence whose test is gone
// must not go on being promised.
func TestSecurityPageNamesTestsThatExist(t *testing.T) {
	page, err := os.ReadFile("docs/security.md")
	require.NoError(t, err)
	defined := make(map[string]bool)
	for _, pattern := range []string{"*_test.go", "e2e/*_test.go"} {
		paths, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			for _, match := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(text, -1) {
				defined[string(match[1])] = true
			}
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllSubmatch(page, -1)
	assert.Greater(t, len(named), 50)
	for _, match := range named {
		assert.True(t, defined[string(match[1])], "%s is named and not there", match[1])
	}
}
