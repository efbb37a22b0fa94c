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

// api is the protected service on a free port of 127.0.0.1.
type api struct {
	url  string
	stop func()
}

// startAPI serves the API that v protects. home, where there is one, answers
// what the API does not.
func startAPI(ctx context.Context, v *reachfive.Verifier, home http.Handler) (*api, error) {
	listener, err := listenLoopback(ctx, 0)
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

// apiHandler is what a service of one's own would look like: the form POST
// of ReachFive's SPA guide, and a route that takes a Bearer token.
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

// createSession is where a service starts a session of its own. Like the
// sample of the SPA guide it answers with the user to show.
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
