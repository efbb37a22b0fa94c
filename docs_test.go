package reachfive_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// docs/security.md names a test for each defence. A defence whose test is gone
// must not be promised any more.
func TestSecurityPageNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	defined := make(map[string]bool)
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	for _, pattern := range []string{"*_test.go", "internal/*/*_test.go", "e2e/*_test.go"} {
		paths, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, path := range paths {
			for _, match := range function.FindAllStringSubmatch(read(t, path), -1) {
				defined[match[1]] = true
			}
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(read(t, "docs/security.md"), -1)
	assert.Greater(t, len(named), 50)
	for _, match := range named {
		assert.True(t, defined[match[1]], "%s is named but does not exist", match[1])
	}
}

func TestTestingGuideShowsTestedCode(t *testing.T) {
	t.Parallel()
	_, code, found := strings.Cut(read(t, "docs_testing_test.go"), "\n// The tests below stand in docs/testing.md, letter by letter.\n")
	require.True(t, found)
	page := read(t, "docs/testing.md")
	functions := strings.Split(strings.TrimSpace(code), "\n\nfunc ")
	assert.Len(t, functions, 4)
	for _, function := range functions {
		assert.Contains(t, page, "func "+strings.TrimPrefix(function, "func "))
	}
}

func TestDocumentsLinkToFilesThatExist(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*.md"} {
		pages, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, page := range pages {
			for _, match := range link.FindAllStringSubmatch(read(t, page), -1) {
				_, err := os.Stat(filepath.Join(filepath.Dir(page), match[1]))
				assert.NoError(t, err, "linked from %s", page)
			}
		}
	}
}
