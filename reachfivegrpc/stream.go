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

// userStream is a stream whose context has the user.
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

// RecvMsg receives a message until the token expires, and returns
// Unauthenticated from then on.
func (s *expiringStream) RecvMsg(m any) error {
	if s.isOver() {
		return s.expired.Err()
	}
	err := s.ServerStream.RecvMsg(m)
	// After the end the handler must not act on a message that came too late,
	// nor on the transport's own "canceled".
	if s.isOver() {
		return s.expired.Err()
	}
	return err
}

// SendMsg sends a message until the token expires, and returns Unauthenticated
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

// isOver reports whether the stream has ended at expiry. It ends the stream if
// the token has expired and the timer has not fired: timers stop while a machine
// is suspended, the clock does not.
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
// status. Writing the status ends the stream: grpc-go then cancels the stream's
// own context, on which a blocked RecvMsg or SendMsg waits, and ignores the
// status that it writes itself when the handler has returned. grpc-go does the
// same when one of two goroutines on a stream fails, so WriteStatus is safe
// beside both. Behind grpc.Server.ServeHTTP it waits, as every later write does,
// until net/http has finished a blocked one.
type statusWriter interface {
	WriteStatus(*status.Status) error
}

// serveUntilExpiry runs the handler on this goroutine and ends its stream at
// the user's ExpiresAt. No goroutine of its own is left when it returns.
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
			// An error means that the stream has ended in another way.
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
