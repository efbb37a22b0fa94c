package main

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestARunOfWrkWithABadAnswerIsAnError(t *testing.T) {
	t.Parallel()
	good := "  74022 requests in 3.00s, 12.14MB read\nRequests/sec:  24672.39\nTransfer/sec:      4.05MB\n"
	rate, err := wrkRate([]byte(good))
	require.NoError(t, err)
	assert.InDelta(t, 24672.39, rate, 0.001)
	for _, bad := range []string{"  Non-2xx or 3xx responses: 12\n" + good, "  Socket errors: connect 0, read 3, write 0, timeout 0\n" + good, "unable to connect\n"} {
		_, err := wrkRate([]byte(bad))
		assert.Error(t, err, bad)
	}
}

func TestARunOfFortioWithABadAnswerIsAnError(t *testing.T) {
	t.Parallel()
	report := func(codes, rate string) []byte {
		return []byte(`{"ActualQPS": ` + rate + `, "RetCodes": {` + codes + `}, "DurationHistogram": {"Percentiles": [{"Percentile": 50, "Value": 0.001}, {"Percentile": 99, "Value": 0.00345}]}}`)
	}
	p99, err := fortioP99(report(`"200": 8000`, "3999.9"), 4000)
	require.NoError(t, err)
	assert.InDelta(t, 3.45, p99, 0.001)
	for _, bad := range [][]byte{
		report(`"200": 7999, "401": 1`, "3999.9"), report(`"200": 7999, "-1": 1`, "3999.9"), report(`"200": 8000`, "3500"), []byte("no report"), []byte("{}"),
	} {
		_, err := fortioP99(bad, 4000)
		assert.Error(t, err, "%s", bad)
	}
}

func TestAMeasurementThatFailsIsMadeAgainAndASubjectThatFailsIsLeftOut(t *testing.T) {
	t.Parallel()
	c := &comparison{runs: 7, order: []string{"good", "hiccup", "bad"}, urls: map[string]string{"good": "g", "hiccup": "h", "bad": "b"}}
	var asked []string
	values := c.rounds("wrk", func(url string) (float64, error) {
		asked = append(asked, url)
		if url == "b" || url == "h" && len(asked) == 2 {
			return 0, errors.New("an answer was not 2xx")
		}
		return float64(len(asked)), nil
	})
	assert.Len(t, values["good"], 7)
	assert.Len(t, values["hiccup"], 7)
	assert.Equal(t, []string{"good", "hiccup"}, c.names(values))
	assert.Equal(t, []string{"bad (wrk): an answer was not 2xx"}, c.left)
	assert.Len(t, c.discarded, 3)
	assert.Equal(t, []string{"g", "h", "h", "b", "b", "b", "g", "h", "g", "h"}, asked[:10], "the rounds are not interleaved")
}

func TestTheGatewaysLatencyNeedsARateAndFortio(t *testing.T) {
	t.Parallel()
	for _, without := range []struct {
		saturation []float64
		fortio     string
	}{{nil, "fortio"}, {[]float64{8000}, ""}} {
		c := &comparison{runs: 1}
		assert.Empty(t, c.latency(&fleet{fortio: without.fortio}, without.saturation, time.Second))
		assert.Len(t, c.left, 1)
	}
}

func TestWrkIsAskedForWholeSeconds(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "3s", seconds(3*time.Second))
	assert.Equal(t, "1s", seconds(200*time.Millisecond))
}
