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

func TestJWX3FailsWhereALineIsNotAsExpected(t *testing.T) {
	t.Parallel()
	const imports = "import (\n\t\"github.com/lestrrat-go/jwx/v2/jwa\"\n\t\"github.com/lestrrat-go/jwx/v2/jws\"\n)\n"
	for _, tt := range []struct{ name, token, want string }{
		{"gone", imports, `token.go does not have exactly one: jws jws.Verifier }`},
		{"twice", imports + imports, `token.go does not have exactly one: "github.com/lestrrat-go/jwx/v2/jwa"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tree := t.TempDir()
			script, err := os.ReadFile("jwx3")
			require.NoError(t, err)
			require.NoError(t, os.Mkdir(filepath.Join(tree, "scripts"), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(tree, "scripts", "jwx3"), script, 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(tree, "token.go"), []byte(tt.token), 0o600))
			require.NoError(t, exec.CommandContext(t.Context(), "git", "init", "-q", tree).Run())

			printed, err := exec.CommandContext(t.Context(), filepath.Join(tree, "scripts", "jwx3"), "v3.3.0").CombinedOutput()
			require.Error(t, err)
			assert.Contains(t, string(printed), tt.want)
			left, err := os.ReadFile(filepath.Join(tree, "token.go"))
			require.NoError(t, err)
			assert.Equal(t, tt.token, string(left), "the tree is only read")
		})
	}
}
