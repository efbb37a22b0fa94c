package reachfivegrpc

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/reachfive-community/reachfive"
)

// A timer stands still while a machine is suspended, so no timer runs here.
func TestStreamEndsByTheClockWhenItsTimerIsLate(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	s := &expiringStream{
		userStream: userStream{ctx: ctx},
		expiresAt:  time.Now().Add(-time.Second),
		expired:    status.New(codes.Unauthenticated, ""),
		end:        func() { cancel(reachfive.CodeExpired) },
	}
	assert.Equal(t, codes.Unauthenticated, status.Code(s.RecvMsg(nil)))
	assert.Equal(t, codes.Unauthenticated, status.Code(s.SendMsg(nil)))
	assert.ErrorIs(t, context.Cause(ctx), reachfive.CodeExpired)
}
