package reachfivegrpc_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivegrpc"
)

const lifetime = 10 * time.Minute

// expiring takes "good" for a user whose token lives for lifetime.
func expiring() verifierFunc {
	return func(context.Context, string, ...reachfive.Check) (*reachfive.User, error) {
		return &reachfive.User{Subject: "alice", ExpiresAt: time.Now().Add(lifetime)}, nil
	}
}

var expired = outcome{code: codes.Unauthenticated, reason: reachfive.CodeExpired}

// blockedHandlers each wait in one place until the stream ends, and return what
// they get there. A handler that writes fills the connection first.
func blockedHandlers() map[string]func(testgrpc.TestService_FullDuplexCallServer) error {
	big := payload(string(make([]byte, 1<<20)))
	return map[string]func(testgrpc.TestService_FullDuplexCallServer) error{
		"in RecvMsg": func(stream testgrpc.TestService_FullDuplexCallServer) error {
			_, err := stream.Recv()
			return err
		},
		"in SendMsg": func(stream testgrpc.TestService_FullDuplexCallServer) error {
			for {
				if err := stream.Send(big); err != nil {
					return err
				}
			}
		},
		"on its context": func(stream testgrpc.TestService_FullDuplexCallServer) error {
			<-stream.Context().Done()
			return context.Cause(stream.Context())
		},
		"on its context, to return nil": func(stream testgrpc.TestService_FullDuplexCallServer) error {
			<-stream.Context().Done()
			return nil
		},
		"on something else, then in RecvMsg": func(stream testgrpc.TestService_FullDuplexCallServer) error {
			<-time.After(lifetime + time.Minute)
			_, err := stream.Recv()
			return err
		},
		"on something else, then in SendMsg": func(stream testgrpc.TestService_FullDuplexCallServer) error {
			<-time.After(lifetime + time.Minute)
			return stream.Send(payload("too late"))
		},
		"in RecvMsg and SendMsg": func(stream testgrpc.TestService_FullDuplexCallServer) error {
			var received error
			var both sync.WaitGroup
			both.Go(func() { _, received = stream.Recv() })
			var sent error
			for sent == nil {
				sent = stream.Send(big)
			}
			both.Wait()
			if status.Code(sent) != codes.Unauthenticated {
				return sent
			}
			return received
		},
	}
}

// The client does not read until a minute after the expiry.
func TestStreamEndsWhenItsTokenExpires(t *testing.T) {
	t.Parallel()
	const late = lifetime + time.Minute
	for _, tr := range []transport{native(), overNetHTTP()} {
		for name, handler := range blockedHandlers() {
			t.Run(tr.name+" "+name, func(t *testing.T) {
				t.Parallel()
				want := lifetime
				if strings.Contains(name, "something else") || tr.name == "ServeHTTP" && strings.Contains(name, "SendMsg") {
					want = late
				}
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					var got error
					var returned, cancelled time.Duration
					var reported []error
					done := make(chan struct{})
					svc := &service{duplex: func(stream testgrpc.TestService_FullDuplexCallServer) error {
						defer close(done)
						assert.Equal(t, "alice", subject(stream.Context()))
						context.AfterFunc(stream.Context(), func() {
							cancelled = time.Since(start)
							assert.Equal(t, reachfive.CodeExpired, context.Cause(stream.Context()))
						})
						got = handler(stream)
						returned = time.Since(start)
						return got
					}}
					client := serveOver(t, tr, expiring(), svc, reachfivegrpc.OnRefusal(func(_ context.Context, method string, err error) {
						assert.Equal(t, duplexMethod, method)
						reported = append(reported, err)
					}))
					stream, err := client.FullDuplexCall(withAuthorization(t.Context(), "Bearer good"))
					require.NoError(t, err)
					<-time.After(late)
					for err == nil {
						_, err = stream.Recv()
					}
					<-done
					assert.Equal(t, expired, outcomeOf("", err), "%v", err)
					synctest.Wait()

					assert.Equal(t, lifetime, cancelled, "the context ends on time")
					assert.Equal(t, want, returned)
					if got != nil && !errors.Is(got, reachfive.CodeExpired) {
						assert.Equal(t, codes.Unauthenticated, status.Code(got), "%v", got)
					}
					require.Len(t, reported, 1)
					assert.Equal(t, reachfive.CodeExpired, reachfive.CodeOf(reported[0]))
				})
			})
		}
	}
}

// A client that never reads cannot hold the handler when it goes away.
func TestBlockedSendEndsWithItsClientOnBothTransports(t *testing.T) {
	t.Parallel()
	for _, tr := range []transport{native(), overNetHTTP()} {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start, returned := time.Now(), time.Duration(0)
				done := make(chan struct{})
				client := serveOver(t, tr, expiring(), &service{duplex: func(stream testgrpc.TestService_FullDuplexCallServer) error {
					defer close(done)
					err := blockedHandlers()["in SendMsg"](stream)
					returned = time.Since(start)
					return err
				}})
				ctx, cancel := context.WithCancel(withAuthorization(t.Context(), "Bearer good"))
				_, err := client.FullDuplexCall(ctx)
				require.NoError(t, err)
				<-time.After(lifetime + time.Hour)
				cancel()
				<-done
				want := map[string]time.Duration{"Serve": lifetime, "ServeHTTP": lifetime + time.Hour}[tr.name]
				assert.Equal(t, want, returned)
			})
		})
	}
}

func TestClientHearsOfTheExpiryBeforeTheHandlerReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, release := time.Now(), make(chan struct{})
		client := serve(t, expiring(), &service{duplex: func(testgrpc.TestService_FullDuplexCallServer) error {
			<-release
			return nil
		}})
		stream, err := client.FullDuplexCall(withAuthorization(t.Context(), "Bearer good"))
		require.NoError(t, err)
		_, err = stream.Recv()
		assert.Equal(t, expired, outcomeOf("", err))
		assert.Equal(t, lifetime, time.Since(start))
		close(release)
	})
}

func TestStreamThatIsOverBeforeItsTokenKeepsItsOwnEnd(t *testing.T) {
	own := status.Error(codes.DataLoss, "the handler's own")
	synctest.Test(t, func(t *testing.T) {
		client := serve(t, expiring(), &service{duplex: func(stream testgrpc.TestService_FullDuplexCallServer) error {
			if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
				return err
			}
			return own
		}}, reachfivegrpc.OnRefusal(func(context.Context, string, error) { t.Error("nothing was refused") }))

		stream, err := client.FullDuplexCall(withAuthorization(t.Context(), "Bearer good"))
		require.NoError(t, err)
		require.NoError(t, stream.CloseSend())
		_, err = stream.Recv()
		assert.Equal(t, codes.DataLoss, status.Code(err))

		ctx, cancel := context.WithCancel(withAuthorization(t.Context(), "Bearer good"))
		stream, err = client.FullDuplexCall(ctx)
		require.NoError(t, err)
		synctest.Wait()
		cancel()
		_, err = stream.Recv()
		assert.Equal(t, codes.Canceled, status.Code(err))
		<-time.After(2 * lifetime)
	})
}

func TestEndAtExpiryFalseLetsAStreamOutliveItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := serve(t, expiring(), &service{duplex: func(stream testgrpc.TestService_FullDuplexCallServer) error {
			<-time.After(2 * lifetime)
			return stream.Send(payload(subject(stream.Context())))
		}}, reachfivegrpc.EndAtExpiry(false))
		stream, err := client.FullDuplexCall(withAuthorization(t.Context(), "Bearer good"))
		require.NoError(t, err)
		reply, err := stream.Recv()
		require.NoError(t, err)
		assert.Equal(t, "alice", string(reply.GetPayload().GetBody()))
	})
}

func TestTokenTakenWithinTheLeewayOpensNoStream(t *testing.T) {
	user := &reachfive.User{Subject: "alice", ExpiresAt: time.Now().Add(-time.Second)}
	client := serve(t, accepts(user), &service{duplex: func(testgrpc.TestService_FullDuplexCallServer) error {
		t.Error("the handler ran")
		return nil
	}})
	ctx := withAuthorization(t.Context(), "Bearer good")
	stream, err := client.FullDuplexCall(ctx)
	require.NoError(t, err)
	_, err = stream.Recv()
	assert.Equal(t, expired, outcomeOf("", err))
	assert.Equal(t, expired, calls()[outputMethod](ctx, client))
	assert.Equal(t, outcome{subject: "alice"}, calls()[unaryMethod](ctx, client))

	user.ExpiresAt = time.Time{} // a verifier of the caller's own that knows no expiry
	assert.Equal(t, outcome{subject: "alice"}, calls()[outputMethod](ctx, client))
}

func TestRecoveryInterceptorSeesThePanicOfAStreamHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recovery := func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = status.Errorf(codes.Aborted, "recovered: %v", p)
				}
			}()
			return handler(srv, ss)
		}
		client := serveWith(t, native(), &service{duplex: func(testgrpc.TestService_FullDuplexCallServer) error { panic("of the handler") }},
			grpc.ChainStreamInterceptor(recovery, reachfivegrpc.StreamServerInterceptor(expiring())))
		stream, err := client.FullDuplexCall(withAuthorization(t.Context(), "Bearer good"))
		require.NoError(t, err)
		_, err = stream.Recv()
		assert.Equal(t, codes.Aborted, status.Code(err))
	})
}

// foreignStream is a stream of a transport that is not grpc-go's own: its
// RecvMsg waits for a message and for nothing else.
type foreignStream struct {
	grpc.ServerStream
	context  func() context.Context
	messages chan string
}

func (s *foreignStream) Context() context.Context { return s.context() }
func (s *foreignStream) SendMsg(any) error        { return nil }

func (s *foreignStream) RecvMsg(m any) error {
	*m.(*string) = <-s.messages
	return nil
}

func TestStreamOfAnotherTransportEndsAsSoonAsItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer good"))
		stream := &foreignStream{context: func() context.Context { return ctx }, messages: make(chan string)}
		go func() {
			<-time.After(lifetime + time.Minute)
			stream.messages <- "too late"
		}()
		start := time.Now()
		err := reachfivegrpc.StreamServerInterceptor(expiring())(nil, stream, &grpc.StreamServerInfo{FullMethod: duplexMethod},
			func(_ any, stream grpc.ServerStream) error {
				go func() {
					<-stream.Context().Done()
					assert.Equal(t, lifetime, time.Since(start), "the context ends on time")
				}()
				var message string
				assert.Equal(t, codes.Unauthenticated, status.Code(stream.RecvMsg(&message)), "the message came too late")
				assert.Equal(t, codes.Unauthenticated, status.Code(stream.RecvMsg(&message)), "and no other is waited for")
				assert.Equal(t, codes.Unauthenticated, status.Code(stream.SendMsg("reply")))
				return nil
			})
		assert.Equal(t, expired, outcomeOf("", err))
		assert.Equal(t, lifetime+time.Minute, time.Since(start))
	})
}

// slowTransport takes its time to write a status.
type slowTransport struct {
	grpc.ServerTransportStream
	wrote codes.Code
}

func (s *slowTransport) WriteStatus(st *status.Status) error {
	<-time.After(time.Minute)
	s.wrote = st.Code()
	return nil
}

func TestNothingOutlivesTheRPC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := &slowTransport{}
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer good"))
		ctx = grpc.NewContextWithServerTransportStream(ctx, transport)
		err := reachfivegrpc.StreamServerInterceptor(expiring())(nil, &foreignStream{context: func() context.Context { return ctx }},
			&grpc.StreamServerInfo{FullMethod: duplexMethod}, func(_ any, stream grpc.ServerStream) error {
				<-stream.Context().Done()
				return nil
			})
		assert.Equal(t, expired, outcomeOf("", err))
		assert.Equal(t, codes.Unauthenticated, transport.wrote, "the status is written when the RPC is over")
	})
}
