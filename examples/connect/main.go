// Command connect protects Connect handlers with the net/http middleware. Each
// method exists as a unary call and as a server stream. A client of Connect,
// gRPC or gRPC-Web sees a refusal as an error of its own protocol. The messages
// are well-known types, so that the example needs no generated code.
package main

import (
	"context"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/examples/internal/demo"
)

func main() {
	// In your service: v, err := reachfive.New("acme.reach5.net", "AtnY5xDg4fbanentihip")
	demo.Main(func(d *demo.Demo) (demo.Server, error) {
		d.Try(calls()...)
		server := &http.Server{Handler: newMux(d.Verifier), ReadHeaderTimeout: 5 * time.Second, Protocols: new(http.Protocols)}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true) // for gRPC clients without TLS
		return server, nil
	})
}

func calls() []demo.Command {
	call := func(headers, method string) string {
		return `curl -i -H "Content-Type: application/json" ` + headers + `-d '{}' "$URL` + service + method + `"`
	}
	return []demo.Command{
		{Line: call(``, "Health"), Want: `200`},
		{Line: call(``, "Me"), Want: `401 unauthenticated missing_token`},
		{Line: call(`-H "Authorization: Bearer $GOOD" `, "Me"), Want: `200`},
		{Line: call(`-H "Authorization: Bearer not.a.token" `, "Me"), Want: `401 unauthenticated malformed_token`},
		{Line: call(`-H "Authorization: Bearer $EXPIRED" `, "Me"), Want: `401 unauthenticated expired`},
		{Line: call(`-H "Authorization: Bearer $OLD" `, "Payout"), Want: `401 unauthenticated reauthentication_required max_age`},
	}
}

// service is the path of the procedures: POST /account.v1.Account/Me.
const service = "/account.v1.Account/"

func newMux(v reachfive.TokenVerifier, opts ...reachfive.MiddlewareOption) http.Handler {
	opts = append([]reachfive.MiddlewareOption{reachfive.OnError(writeError(connect.NewErrorWriter()))}, opts...)
	users := reachfive.Middleware(v, opts...)
	visitors := reachfive.Middleware(v, append(opts, reachfive.Optional())...)
	recent := reachfive.Require(reachfive.MaxAge(5 * time.Minute))

	mux := http.NewServeMux()
	handle := func(method string, guard func(http.Handler) http.Handler) {
		mux.Handle(service+method, guard(connect.NewUnaryHandler(service+method, hello)))
		mux.Handle(service+"Watch"+method, guard(connect.NewServerStreamHandler(service+"Watch"+method, watch)))
	}
	handle("Health", func(h http.Handler) http.Handler { return h })
	handle("Greeting", visitors)
	handle("Me", users)
	handle("Payout", func(h http.Handler) http.Handler { return users(recent(h)) })
	return mux
}

// hello answers with the subject of the user, "" for a visitor.
func hello(ctx context.Context, _ *connect.Request[emptypb.Empty]) (*connect.Response[wrapperspb.StringValue], error) {
	return connect.NewResponse(wrapperspb.String(subject(ctx))), nil
}

// watch is hello as a stream. The middleware decides once, when a stream opens:
// bound the context of a stream that lives long by user.ExpiresAt.
func watch(ctx context.Context, _ *connect.Request[emptypb.Empty], stream *connect.ServerStream[wrapperspb.StringValue]) error {
	return stream.Send(wrapperspb.String(subject(ctx)))
}

func subject(ctx context.Context) string {
	if user, ok := reachfive.UserFromContext(ctx); ok {
		return user.Subject
	}
	return ""
}
