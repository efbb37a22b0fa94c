package demo_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/demo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryAnswerOfTheDemonstrationIsTheExpectedOne(t *testing.T) {
	t.Parallel()
	for proxy, lookPath := range map[string]func(string) (string, error){
		"nginx":         demo.LookPath,
		"a proxy in Go": func(string) (string, error) { return "", errors.New("not installed") },
	} {
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			require.NoError(t, demo.Run(t.Context(), &out, lookPath), out.String())
			assert.True(t, strings.HasPrefix(out.String(), "A backend behind "+proxy), "run `make setup`, which unpacks nginx\n%s", out.String())
			assert.Contains(t, out.String(), "All 17 answers were the expected ones.")
			assert.NotContains(t, out.String(), "!!")
		})
	}
}

// TestTheDemonstrationRunsTheRecipes: the program cannot embed files outside its
// module.
func TestTheDemonstrationRunsTheRecipes(t *testing.T) {
	t.Parallel()
	for copied, original := range map[string]string{"nginx.conf": "nginx/nginx.conf", "gateway.yaml": "gateway.yaml"} {
		recipe, err := os.ReadFile("../../../../deploy/" + original)
		require.NoError(t, err)
		embedded, err := os.ReadFile(copied)
		require.NoError(t, err)
		assert.Equal(t, string(recipe), string(embedded), "copy deploy/%s to cmd/reachfive-gateway/internal/demo", original)
	}
}
