// Command connect protects Connect handlers with the net/http middleware: each
// method is there as a unary call and as a server stream, and a refusal reaches
// the client as an error of its own protocol, be it Connect, gRPC or gRPC-Web.
// The messages are well-known types, so that no generated code stands between.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/reachfive-community/reachfive"
)

func main() {
	v, err := reachfive.New(os.Getenv("REACHFIVE_DOMAIN"), os.Getenv("REACHFIVE_CLIENT_ID"))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: newMux(v), ReadHeaderTimeout: 5 * time.Second, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true) // for gRPC clients without TLS
	log.Fatal(server.ListenAndServe())
}

// service is where the procedures are: POST /account.v1.Account/Me.
const service = "/account.v1.Account/"

func newMux(v reachfive.TokenVerifier, opts ...reachfive.MiddlewareOption) *http.ServeMux {
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

// watch is hello as a stream. The middleware decides when a stream opens: one
// that lives longer than this one bounds its context by user.ExpiresAt.
func watch(ctx context.Context, _ *connect.Request[emptypb.Empty], stream *connect.ServerStream[wrapperspb.StringValue]) error {
	return stream.Send(wrapperspb.String(subject(ctx)))
}

func subject(ctx context.Context) string {
	if user, ok := reachfive.UserFromContext(ctx); ok {
		return user.Subject
	}
	return ""
}
