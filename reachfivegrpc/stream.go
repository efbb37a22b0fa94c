package reachfivegrpc

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/reachfive-community/reachfive"
)

// userStream is a stream whose context knows the user.
type userStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // grpc.ServerStream hands its context out by a method.
}

func (s *userStream) Context() context.Context { return s.ctx }

// expiringStream is a userStream that ends when its token expires.
type expiringStream struct {
	userStream
	expiresAt time.Time
	expired   *status.Status
	end       func() // ends the stream; safe to call again and concurrently
}

// RecvMsg receives a message while the token holds, and returns Unauthenticated
// from then on.
func (s *expiringStream) RecvMsg(m any) error {
	if s.isOver() {
		return s.expired.Err()
	}
	err := s.ServerStream.RecvMsg(m)
	// After the end a transport's own "canceled", or a message that came too
	// late, is not what the handler should act upon.
	if s.isOver() {
		return s.expired.Err()
	}
	return err
}

// SendMsg sends a message while the token holds, and returns Unauthenticated
// from then on.
func (s *expiringStream) SendMsg(m any) error {
	if s.isOver() {
		return s.expired.Err()
	}
	err := s.ServerStream.SendMsg(m)
	if err != nil && s.isOver() {
		return s.expired.Err()
	}
	return err
}

// isOver reports whether the stream has ended at expiry, and ends it if the
// time has come and the timer has not noticed: timers stand still while a
// machine is suspended, its clock does not.
func (s *expiringStream) isOver() bool {
	if s.ctx.Err() == nil && !time.Now().Before(s.expiresAt) {
		s.end()
	}
	return hasExpired(s.ctx)
}

// hasExpired reports whether ctx was ended by expiry, and not by the client,
// its deadline or the handler's return.
func hasExpired(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), reachfive.CodeExpired)
}

// statusWriter is the part of grpc-go's own transport stream that sends the
// status. Writing it ends the stream: grpc-go then cancels the stream's own
// context, which is what a blocked RecvMsg or SendMsg waits on, and ignores the
// status that it writes itself once the handler has returned. It does the same
// when one of two goroutines on a stream fails, so it is safe beside both.
type statusWriter interface {
	WriteStatus(*status.Status) error
}

// serveUntilExpiry runs the handler on this goroutine and ends its stream at
// the user's ExpiresAt. Nothing that it starts is left when it returns.
func (g *gate) serveUntilExpiry(srv any, ss grpc.ServerStream, fullMethod string, user *reachfive.User, handler grpc.StreamHandler) error {
	refusal := &reachfive.Error{Code: reachfive.CodeExpired}
	if !time.Now().Before(user.ExpiresAt) {
		return g.refuse(ss.Context(), fullMethod, refusal)
	}
	transport, _ := grpc.ServerTransportStreamFromContext(ss.Context()).(statusWriter)
	ctx, cancel := context.WithCancelCause(reachfive.ContextWithUser(ss.Context(), user))
	defer cancel(nil)

	s := &expiringStream{
		userStream: userStream{ServerStream: ss, ctx: ctx},
		expiresAt:  user.ExpiresAt, // the handler may change its user
		expired:    statusOf(ctx, refusal),
	}
	s.end = sync.OnceFunc(func() {
		// The cause comes first: WriteStatus cancels the context above.
		cancel(reachfive.CodeExpired)
		if transport != nil && hasExpired(ctx) {
			// An error means that the stream is over some other way.
			_ = transport.WriteStatus(s.expired)
		}
	})

	fired := make(chan struct{})
	timer := time.AfterFunc(time.Until(s.expiresAt), func() {
		defer close(fired)
		s.end()
	})
	defer func() {
		if !timer.Stop() {
			<-fired
		}
	}()

	err := handler(srv, s)
	if hasExpired(ctx) {
		return g.refuse(ctx, fullMethod, refusal)
	}
	return err
}
