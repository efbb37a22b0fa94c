package reachfive_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestKeyFiveHundredRefreshesLeaveTheBackgroundRateAsItIs(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		for range 500 {
			require.NoError(t, w.v.Refresh(t.Context()))
		}
		assert.Equal(t, 500, w.requests())
		token := w.Token()
		for start := time.Now(); time.Since(start) < time.Hour; advance(10 * time.Second) {
			w.acceptsAtOnce(token)
		}
		assert.LessOrEqual(t, w.requests(), 500+8, "an hour is at most 8 times 80 % of 10 minutes")
	})
}

func TestKeyRefreshesAtOnceShareTheirFetches(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.SetDelay(time.Second)
		var callers sync.WaitGroup
		for range 500 {
			callers.Go(func() { assert.NoError(t, w.v.Refresh(t.Context())) })
		}
		callers.Wait()
		assert.LessOrEqual(t, w.requests(), 2)
	})
}

func TestKeyRefreshDoesNotWaitForAFetchThatHangs(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.OnJWKS(hang())
		token := w.Token()
		var waiting sync.WaitGroup
		for range 10 {
			waiting.Go(func() {
				assert.Zero(t, took(func() { w.accepts(token) }), "the answer is here, and they wait for another")
			})
		}
		synctest.Wait()
		w.OnJWKS(nil)
		assert.Zero(t, took(func() { require.NoError(t, w.v.Refresh(t.Context())) }))
		waiting.Wait()
		assert.Equal(t, []reachfive.State{reachfive.StateHealthy}, w.stateChanges(), "no failure of the provider")
	})
}

func TestKeyRefreshTakesNoAnswerOfAFetchBeforeIt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.accepts(w.Token())
		stolen := w.Token()
		w.SetDelay(2 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = w.v.Refresh(ctx) }() // is answered with the keys of this moment
		synctest.Wait()
		cancel()
		w.Rotate()
		w.RemoveKey("key-1")
		require.NoError(t, w.v.Refresh(t.Context()))
		w.refuses(stolen, reachfive.CodeUnknownKey)
	})
}

// Of two calls of Refresh the later one overtakes a request's fetch that hangs,
// and which the earlier one has taken for its answer.
func TestKeyRefreshIsContentWithKeysThatOvertookItsOwn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.accepts(w.Token())
		var requests atomic.Int64
		document := `{"keys":[` + w.JWK(w.KID()) + `]}`
		w.OnJWKS(func(answer http.ResponseWriter, r *http.Request) bool {
			switch requests.Add(1) {
			case 1:
				time.Sleep(time.Second)
			case 2:
				<-r.Context().Done()
				return true
			}
			_, _ = io.WriteString(answer, document)
			return true
		})
		junk := w.Token(reachfivetest.KID("junk"))
		ask := func() {
			for range 50 { // one of them starts a fetch as soon as none runs
				go func() { _, _ = w.v.Verify(t.Context(), junk) }()
			}
			synctest.Wait()
		}
		go func() { _ = w.v.Refresh(t.Context()) }()
		synctest.Wait()
		ask()
		earlier := make(chan error, 1)
		go func() { earlier <- w.v.Refresh(t.Context()) }()
		ask()
		advance(1500 * time.Millisecond)
		require.NoError(t, w.v.Refresh(t.Context()))
		require.NoError(t, <-earlier)
	})
}

func TestKeyRefreshGivesEachCallerAnErrorOfItsOwn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w := newFixture(t)
		w.OnJWKS(hang())
		go func() { _ = w.v.Refresh(t.Context()) }()
		synctest.Wait()
		errs := make(chan error, 2)
		for range 2 { // both wait for that one, and then share the next
			go func() { errs <- w.v.Refresh(t.Context()) }()
		}
		var first, second *reachfive.Error
		require.ErrorAs(t, <-errs, &first)
		require.ErrorAs(t, <-errs, &second)
		assert.Equal(t, 2, w.requests())
		first.RetryAfter = time.Hour
		assert.Less(t, second.RetryAfter, time.Hour)
	})
}
