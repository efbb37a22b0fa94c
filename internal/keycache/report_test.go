package keycache

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReportsComeInTheOrderOfTheirFetches(t *testing.T) {
	t.Parallel()
	for busy, want := range map[time.Duration][]Cause{
		500 * time.Millisecond: {CauseFirst, CauseAsked},
		time.Hour:              {CauseAsked, CauseFirst}, // one that hangs delays the others by a second
	} {
		synctest.Test(t, func(t *testing.T) {
			told := make(chan Cause, 2)
			p := newProvider(t, "a", func(c *Config) {
				c.Report = func(_ context.Context, e Event) {
					if e.Cause == CauseFirst {
						time.Sleep(busy)
					}
					told <- e.Cause
				}
			})
			p.serves("a")
			require.NoError(t, p.Refresh(t.Context()))
			start := time.Now()
			first := <-told
			assert.LessOrEqual(t, time.Since(start), time.Second)
			assert.Equal(t, want, []Cause{first, <-told})
			p.Close()
		})
	}
}

func TestReportThatPanicsEndsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, "a", func(c *Config) { c.Report = func(context.Context, Event) { panic("a bug") } })
		p.serves("a")
		require.NoError(t, p.Refresh(t.Context()))
		p.Close()
	})
}

func TestReportHasTheValuesOfTheCallersContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		told := make(chan any, 1)
		p := newProvider(t, "a", func(c *Config) {
			c.Report = func(ctx context.Context, _ Event) {
				assert.NoError(t, ctx.Err())
				told <- ctx.Value(key{})
			}
		})
		p.delay = time.Second
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "request"), 100*time.Millisecond)
		defer cancel()
		_, err := p.Current(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, "request", <-told)
		p.Close()
	})
}
