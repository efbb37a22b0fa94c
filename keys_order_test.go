package reachfive_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// What is told last is how things are, though the hook of an earlier fetch is
// still busy; one that hangs delays the others by a second, and no more.
func TestKeyFetchesAreToldInTheirOrder(t *testing.T) {
	for _, tt := range []struct {
		name   string
		busy   time.Duration
		within time.Duration
		want   []reachfive.FetchCause
	}{
		{"a busy hook", 500 * time.Millisecond, time.Second, []reachfive.FetchCause{reachfive.CauseFirst, reachfive.CauseAsked}},
		{"a hook that hangs", time.Hour, 1500 * time.Millisecond, []reachfive.FetchCause{reachfive.CauseAsked}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t)
				told := make(chan reachfive.FetchCause, 2)
				w.v = w.verifier(reachfive.WithObserver(reachfive.Observer{FetchDone: func(_ context.Context, e reachfive.FetchEvent) {
					if e.Cause == reachfive.CauseFirst {
						time.Sleep(tt.busy)
					}
					told <- e.Cause
				}}))
				w.accepts(w.Token())
				require.NoError(t, w.v.Refresh(t.Context()))
				pass(tt.within)
				for _, want := range tt.want {
					assert.Equal(t, want, <-told)
				}
				pass(time.Hour)
			})
		})
	}
}
