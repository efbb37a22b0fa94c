package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestJoseIsNeverStricterThanTheVectors compares the verdicts on
// testdata/vectors, which the root module's own tests check the verifier
// against, with those of an independent implementation, npm jose.
func TestJoseIsNeverStricterThanTheVectors(t *testing.T) {
	var result struct {
		Vectors, AgreeToAccept, BothRefuse, OursStricter int
		ByRule                                           map[string]int
		Laxer, NotReviewed, NoLongerStricter             []string
	}
	runNode(t, "vectors.mjs", &result)
	t.Logf("%d vectors: %d accepted by both, %d refused by both, %d where ours is stricter, %d where it is laxer",
		result.Vectors, result.AgreeToAccept, result.BothRefuse, result.OursStricter, len(result.Laxer))
	t.Logf("stricter by rule: %v", result.ByRule)
	assert.Empty(t, result.Laxer)
	assert.Empty(t, result.NotReviewed, "vectors-reviewed.json lacks them")
	assert.Empty(t, result.NoLongerStricter, "vectors-reviewed.json has them for nothing")
	assert.Equal(t, result.Vectors, result.AgreeToAccept+result.BothRefuse+result.OursStricter)
	assert.GreaterOrEqual(t, result.Vectors, 250)
}
