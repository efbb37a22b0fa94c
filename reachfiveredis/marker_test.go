package reachfiveredis_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveredis"
)

// The log alone may be the one of another retention, or of another history.
func TestLogWithoutItsMarkerDecidesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fakeRedis) {
		running := readySignOuts(t, f)
		signOut(t, running, "anna")
		f.change(func(f *fakeRedis) { delete(f.strings, "reachfive:{signouts}:1:marker") })
		_, err := running.SignOut(t.Context(), signOutOf("carl"))
		require.ErrorIs(t, err, reachfiveredis.ErrNotInitialized)
		cold := signOutsOf(t, f, nil)
		require.ErrorIs(t, cold.Ready(t.Context()), reachfiveredis.ErrNotInitialized)
		anna, bert := userOf("anna", time.Now()), userOf("bert", time.Now())
		assert.Equal(t, reachfive.CodeRevocationsUnavailable, codeOf(cold.Check(), bert))

		require.NoError(t, cold.Init(t.Context()))
		settled()
		require.NoError(t, cold.Ready(t.Context()))
		assert.Equal(t, reachfive.CodeRevoked, codeOf(cold.Check(), anna), "Init keeps the log")
		assert.Empty(t, codeOf(cold.Check(), bert))
		assert.Equal(t, reachfive.CodeRevoked, codeOf(running.Check(), anna))
	})
}
