package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/examples/spa"
)

// api is the running protected service.
type api struct {
	url  string
	stop func()
}

// startAPI serves the API that v protects on a port of 127.0.0.1, any free one
// if port is 0. home may be nil; it handles every other path.
func startAPI(ctx context.Context, v *reachfive.Verifier, home http.Handler, port int) (*api, error) {
	listener, err := listenLoopback(ctx, port)
	if err != nil {
		return nil, err
	}
	return &api{"http://" + listener.Addr().String(), serveOn(listener, apiHandler(v, home))}, nil
}

func listenLoopback(ctx context.Context, port int) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// serveOn serves until stop is called.
func serveOn(listener net.Listener, handler http.Handler) (stop func()) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends with ErrServerClosed
	}()
	return func() {
		_ = server.Close()
		<-served
	}
}

// apiHandler is a service as a user of the package would write it: the form POST
// of ReachFive's SPA guide, and a route that accepts a Bearer token.
func apiHandler(v *reachfive.Verifier, home http.Handler) http.Handler {
	bearer := reachfive.Middleware(v)
	form := reachfive.Middleware(v, reachfive.TokenFrom(reachfive.FromForm("idtoken")))

	mux := http.NewServeMux()
	mux.Handle("POST /session", form(http.HandlerFunc(createSession)))
	mux.Handle("GET /me", bearer(http.HandlerFunc(showMe)))
	if home != nil {
		mux.Handle("/", home)
	}
	return mux
}

// createSession is where a service would start its own session. Like the sample
// of the SPA guide it answers with the user's name.
func createSession(w http.ResponseWriter, r *http.Request) {
	user, _ := reachfive.UserFromContext(r.Context())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, spa.DisplayName(user))
}

func showMe(w http.ResponseWriter, r *http.Request) {
	user, _ := reachfive.UserFromContext(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(map[string]string{"sub": user.Subject, "name": spa.DisplayName(user)}); err != nil {
		return // the client has gone
	}
}
