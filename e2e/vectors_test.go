package e2e_test

import (
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The verdicts on testdata/vectors, which the root module's own tests hold the
// verifier to, against those of npm jose, an implementation nobody here wrote.
func TestJoseIsNeverStricterThanTheVectors(t *testing.T) {
	text, err := exec.CommandContext(t.Context(), "node", "vectors.mjs").Output()
	if exit := (*exec.ExitError)(nil); err != nil && assert.ErrorAs(t, err, &exit) {
		require.NoError(t, err, "%s", exit.Stderr)
	}
	var result struct {
		Vectors, AgreeToAccept, BothRefuse, OursStricter int
		ByRule                                           map[string]int
		Laxer, NotReviewed, NoLongerStricter             []string
	}
	require.NoError(t, json.Unmarshal(text, &result))
	t.Logf("%d vectors: %d accepted by both, %d refused by both, %d where ours is stricter, %d where it is laxer",
		result.Vectors, result.AgreeToAccept, result.BothRefuse, result.OursStricter, len(result.Laxer))
	t.Logf("stricter by rule: %v", result.ByRule)
	assert.Empty(t, result.Laxer)
	assert.Empty(t, result.NotReviewed, "vectors-reviewed.json lacks them")
	assert.Empty(t, result.NoLongerStricter, "vectors-reviewed.json has them for nothing")
	assert.Equal(t, result.Vectors, result.AgreeToAccept+result.BothRefuse+result.OursStricter)
	assert.GreaterOrEqual(t, result.Vectors, 250)
}
