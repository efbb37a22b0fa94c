package keycache

import (
	"context"
	"io"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// endingContext ends at the very moment at which a call returns: select finds
// both.
type endingContext struct{ context.Context }

func (endingContext) Done() <-chan struct{} {
	synctest.Wait() // until the call has returned
	done := make(chan struct{})
	close(done)
	return done
}

func (endingContext) Err() error { return context.DeadlineExceeded }

func TestForeignCallThatReturnsAtItsDeadlineCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls foreignCalls
		for range 64 { // select takes either at random
			got, err := callForeign(endingContext{t.Context()}, &calls, func(context.Context) (string, error) { return "done", nil })
			require.NoError(t, err)
			assert.Equal(t, "done", got)
			_, err = callForeign(endingContext{t.Context()}, &calls, func(context.Context) (string, error) { return "", io.EOF })
			require.ErrorIs(t, err, io.EOF)
		}
	})
}

func TestForeignCallThatPanicsOrEndsItsGoroutineIsAnError(t *testing.T) {
	t.Parallel()
	for _, breach := range []func(){func() { panic("a bug") }, runtime.Goexit} {
		var calls foreignCalls
		_, err := callForeign(t.Context(), &calls, func(context.Context) (string, error) {
			breach()
			return "", nil
		})
		require.ErrorIs(t, err, errPanic)
		calls.Wait()
	}
}
