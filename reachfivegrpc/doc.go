// Package reachfivegrpc puts a reachfive.Verifier in front of a gRPC server,
// and an ID token into the calls of a gRPC client.
//
// # Server
//
// Both interceptors read the token from the authorization metadata, verify it,
// and put the user where reachfive.UserFromContext finds it:
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
// Every method needs a token unless Public or Optional names it. That holds
// for health checks and reflection too: the Public line above opens them, and
// a server that also registers the older reflection service adds
// "/grpc.reflection.v1alpha.ServerReflection/*". Install both interceptors:
// grpc-go runs each for its own kind of method only, and a server without the
// stream interceptor serves its streams to everybody.
//
// A mistyped name in Public or Optional leaves a method closed, one in Require
// leaves it without its check. CheckMethods finds both; call it from a test.
//
// # Refusals
//
// A refusal is a status of these codes, with an errdetails.ErrorInfo whose
// reason is the reachfive.Code and whose domain is "reachfive":
//
//   - PermissionDenied: forbidden, untrusted_origin
//   - Unavailable: keys_unavailable and revocations_unavailable, with an
//     errdetails.RetryInfo. Nothing was decided: retry, and do not sign the user
//     out.
//   - Unauthenticated: every other Code
//   - DeadlineExceeded, Canceled: the caller's own context ended first
//   - Internal: the verifier failed in a way that has no Code
//
// reauthentication_required, revoked and insufficient_authentication carry what
// they ask for in the ErrorInfo's metadata, as max_age in seconds and acr_values,
// under the names of RFC 9470 (https://www.rfc-editor.org/rfc/rfc9470). No
// status carries a claim's value or the token.
//
// # Streams and expiry
//
// A token is verified when a stream opens, and a stream can outlive it. So
// when User.ExpiresAt has come the stream ends: the handler's context is
// cancelled with the cause reachfive.CodeExpired, the client gets
// Unauthenticated, and RecvMsg and SendMsg return it, a call that is blocked
// at that moment included. The handler itself stays on the goroutine that
// grpc-go gave it, and the RPC is over when it returns. EndAtExpiry(false)
// turns all of it off.
//
// The time is the machine's clock against ExpiresAt and nothing added: a
// verifier's WithLeeway and WithClock are not known here. A token that was
// taken within the leeway opens no stream, and a test with a fake clock wants EndAtExpiry(false). Unary calls are decided once, at their
// start, and never ended.
//
// A blocked call can be ended because grpc-go's own transports let the status
// be written early. On a transport that does not (an in-process one, say) the
// context still ends on time and the blocked call returns Unauthenticated as
// soon as the transport lets go of it.
//
// # Compatibility
//
// The package follows the root package's promise. Like it, it is safe for
// concurrent use throughout, and it panics only while a server is being wired.
package reachfivegrpc
