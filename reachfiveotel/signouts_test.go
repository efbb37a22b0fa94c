package reachfiveotel_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/reachfiveotel"
)

func TestSignOutsAreReportedAsTheyAreRead(t *testing.T) {
	c := newCollector(t)
	reading := reachfiveotel.SignOutReading{Ready: true, Lag: 1500 * time.Millisecond, Entries: 7}
	registration, err := c.telemetry.WatchSignOuts(func() reachfiveotel.SignOutReading { return reading })
	require.NoError(t, err)
	assert.Equal(t, map[string]float64{"": 1.5}, c.series(t, "reachfive.signouts.lag"))
	assert.Equal(t, map[string]float64{"": 7}, c.series(t, "reachfive.signouts.entries"))
	assert.Equal(t, map[string]float64{"": 1}, c.series(t, "reachfive.signouts.ready"))

	reading = reachfiveotel.SignOutReading{Lag: time.Hour}
	assert.Equal(t, map[string]float64{"": 3600}, c.series(t, "reachfive.signouts.lag"))
	assert.Equal(t, map[string]float64{"": 0}, c.series(t, "reachfive.signouts.ready"))

	require.NoError(t, registration.Unregister())
	assert.Empty(t, c.series(t, "reachfive.signouts.lag"))
	_, err = c.telemetry.WatchSignOuts(nil)
	require.Error(t, err)
}
