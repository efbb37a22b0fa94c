package reachfive_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// A program may set its default logger after it has made its Verifiers.
func TestWithoutWithLoggerTheDefaultLoggerOfTheMomentIsUsed(t *testing.T) { // sets a global: not parallel
	before := slog.Default()
	defer slog.SetDefault(before)
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		v, err := reachfive.New(w.Domain, w.ClientID, w.Options()...)
		require.NoError(t, err)
		var first, second bytes.Buffer
		slog.SetDefault(slog.New(slog.NewTextHandler(&first, nil)))
		require.NoError(t, v.Refresh(t.Context()))
		require.NoError(t, v.Close())
		assert.Equal(t, 1, strings.Count(first.String(), "\n"))
		assert.Contains(t, first.String(), "the keys are here")
		assert.Contains(t, first.String(), "issuer="+w.Issuer())

		w.SetDown(true)
		v, err = reachfive.New(w.Domain, w.ClientID, w.Options()...)
		require.NoError(t, err)
		slog.SetDefault(slog.New(slog.NewTextHandler(&second, nil)))
		unavailable(t, v.Refresh(t.Context()))
		require.NoError(t, v.Close())
		assert.Equal(t, 1, strings.Count(first.String(), "\n"))
		assert.Contains(t, second.String(), "the keys cannot be fetched")
	})
}
