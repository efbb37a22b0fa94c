// Package reachfivegrpc protects a gRPC server with a reachfive.Verifier, and
// adds an ID token to the calls of a gRPC client.
//
// # Server
//
// Both interceptors read the token from the authorization metadata, verify it,
// and put the user into the context, where reachfive.UserFromContext finds it:
//
//	opts := []reachfivegrpc.Option{
//		reachfivegrpc.Public("/grpc.health.v1.Health/*", "/grpc.reflection.v1.ServerReflection/*"),
//		reachfivegrpc.Require("/bank.v1.Payout/Send", reachfive.MaxAge(5*time.Minute)),
//	}
//	srv := grpc.NewServer(
//		grpc.ChainUnaryInterceptor(reachfivegrpc.UnaryServerInterceptor(v, opts...)),
//		grpc.ChainStreamInterceptor(reachfivegrpc.StreamServerInterceptor(v, opts...)),
//	)
//
// Every method needs a token unless Public or Optional names it. That includes
// health checks and reflection: the Public line above opens them. A server that
// also registers the older reflection service adds
// "/grpc.reflection.v1alpha.ServerReflection/*". Install both interceptors:
// grpc-go runs each for its own kind of method only, and a server without the
// stream interceptor serves its streams to everybody.
//
// A mistyped name in Public or Optional leaves a method closed, one in Require
// leaves it without its check. CheckMethods finds both; call it from a test.
//
// # Refusals
//
// A refusal is a status with one of these codes. Its errdetails.ErrorInfo has
// the reachfive.Code as reason and "reachfive" as domain:
//
//   - PermissionDenied: forbidden, untrusted_origin
//   - Unavailable: keys_unavailable and revocations_unavailable, with an
//     errdetails.RetryInfo. Nothing was decided about the token: retry, and do
//     not sign the user out.
//   - Unauthenticated: every other Code
//   - DeadlineExceeded, Canceled: the caller's own context ended first
//   - Internal: the verifier failed with an error that has no Code
//
// The ErrorInfo of reauthentication_required, revoked and
// insufficient_authentication has what they require in its metadata, as max_age
// in seconds and acr_values, the names of RFC 9470
// (https://www.rfc-editor.org/rfc/rfc9470). No status contains a claim's value
// or the token.
//
// # Streams and expiry
//
// A token is verified when a stream opens, and a stream can outlive it. At
// User.ExpiresAt the stream therefore ends: the handler's context is cancelled
// with the cause reachfive.CodeExpired, the client gets Unauthenticated, and
// RecvMsg and SendMsg return it. The handler keeps its goroutine, and the RPC is
// over when it returns. EndAtExpiry(false) turns this off.
//
// What happens to a call that is blocked at that moment depends on the
// transport:
//
//   - grpc.Server.Serve: RecvMsg and SendMsg return at once.
//   - grpc.Server.ServeHTTP: RecvMsg returns at once. SendMsg returns when the
//     client reads, closes the stream or goes away, because net/http has no way
//     to interrupt one write. The client gets the status after the messages
//     that were sent before the expiry, and no later message. A server that
//     must not wait for slow clients uses grpc.Server.Serve.
//   - Another transport, such as an in-process one: a blocked call returns
//     Unauthenticated when the transport returns.
//
// On all of them the handler's context ends on time.
//
// The expiry is compared with the machine's clock: the WithLeeway and WithClock
// of a verifier have no effect here. A token that was accepted within the leeway
// opens no stream, and a test with a fake clock needs EndAtExpiry(false). Unary
// calls are decided once, at their start, and never ended.
//
// # Compatibility
//
// The package follows the root package's compatibility promise. It is safe for
// concurrent use, and panics only while a server or client is being wired.
package reachfivegrpc
