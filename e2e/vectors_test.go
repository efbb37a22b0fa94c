package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestJoseDiffersFromTheVectorsOnlyAsReviewed compares the verdicts on
// testdata/vectors, which the root module's own tests check the verifier
// against, with those of an independent implementation, npm jose.
func TestJoseDiffersFromTheVectorsOnlyAsReviewed(t *testing.T) {
	type comparison struct {
		ByRule                  map[string]int
		NotReviewed, NoLongerSo []string
	}
	var result struct {
		Vectors, AgreeToAccept, BothRefuse, OursStricter, OursLaxer int
		Stricter, Laxer                                             comparison
	}
	runNode(t, "vectors.mjs", &result)
	t.Logf("%d vectors: %d accepted by both, %d refused by both, %d where ours is stricter, %d where it is laxer",
		result.Vectors, result.AgreeToAccept, result.BothRefuse, result.OursStricter, result.OursLaxer)
	t.Logf("stricter by rule: %v", result.Stricter.ByRule)
	t.Logf("laxer by rule: %v", result.Laxer.ByRule)
	assert.Empty(t, result.Laxer.NotReviewed, "this module accepts what jose refuses, and oursLaxer of vectors-reviewed.json lacks them")
	assert.Empty(t, result.Stricter.NotReviewed, "oursStricter of vectors-reviewed.json lacks them")
	assert.Empty(t, result.Laxer.NoLongerSo, "oursLaxer of vectors-reviewed.json lists vectors on which the verdicts agree")
	assert.Empty(t, result.Stricter.NoLongerSo, "oursStricter of vectors-reviewed.json lists vectors on which the verdicts agree")
	assert.Equal(t, result.Vectors, result.AgreeToAccept+result.BothRefuse+result.OursStricter+result.OursLaxer)
	assert.GreaterOrEqual(t, result.Vectors, 250)
}
