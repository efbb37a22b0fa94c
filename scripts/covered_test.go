//go:build unix

package scripts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCoveredCountsAStatementOnceAndByItsOwnPackage(t *testing.T) {
	t.Parallel()
	profile := filepath.Join(t.TempDir(), "cover.out")
	// Of the 20 statements of example.com/m, the first test binary reaches 15 and
	// the second 19. The nested package has 10, of which none is reached.
	require.NoError(t, os.WriteFile(profile, []byte(`mode: set
example.com/m/a.go:1.1,2.2 15 1
example.com/m/a.go:3.1,4.2 4 0
example.com/m/b.go:1.1,2.2 1 0
example.com/m/internal/c.go:1.1,2.2 10 0
example.com/m/a.go:1.1,2.2 15 1
example.com/m/a.go:3.1,4.2 4 1
example.com/m/b.go:1.1,2.2 1 0
`), 0o600))
	for _, tt := range []struct {
		pkg, percent, printed string
		ok                    bool
	}{
		{"example.com/m", "95", "statements covered in example.com/m: 95.0 %, at least 95 % wanted\n", true},
		{"example.com/m", "95.1", "statements covered in example.com/m: 95.0 %, at least 95.1 % wanted\n", false},
		{"example.com/m/internal", "95", "statements covered in example.com/m/internal: 0.0 %, at least 95 % wanted\n", false},
		{"example.com/m/absent", "95", "statements covered in example.com/m/absent: 0.0 %, at least 95 % wanted\n", false},
	} {
		printed, err := exec.CommandContext(t.Context(), "./covered", profile, tt.pkg, tt.percent).CombinedOutput()
		assert.Equal(t, tt.printed, string(printed))
		assert.Equal(t, tt.ok, err == nil, "%s: %v", tt.printed, err)
	}
}
