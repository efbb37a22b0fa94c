package keycache

import (
	"context"
	"errors"
	"sync"
)

var errPanic = errors.New("a panic")

// foreignCalls tracks calls abandoned at their deadline.
type foreignCalls = sync.WaitGroup

// returned is what a foreign call has returned.
type returned[T any] struct {
	value T
	err   error
}

// startForeign calls code of a user of this module, which may hang whatever its
// context says, panic, or end its goroutine.
func startForeign[T any](calls *foreignCalls, call func() (T, error)) <-chan returned[T] {
	done := make(chan returned[T], 1)
	calls.Go(func() {
		var r returned[T]
		defer func() {
			_ = recover()
			done <- r
		}()
		r.err = errPanic // which a panic and runtime.Goexit leave
		r.value, r.err = call()
	})
	return done
}

// callForeign is startForeign, and waits. When ctx ends it returns, and abandons
// the call if that has not returned.
func callForeign[T any](ctx context.Context, calls *foreignCalls, call func(context.Context) (T, error)) (T, error) {
	done := startForeign(calls, func() (T, error) { return call(ctx) })
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-done: // both at once: the result counts
		return r.value, r.err
	default:
		var none T
		return none, ctx.Err()
	}
}
