// Command signout runs two instances of a small service that share one Redis
// server. A user who signs out everywhere at one of them is refused by both
// within three seconds, although the ID token is valid for hours.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/examples/internal/demo"
	"github.com/reachfive-community/reachfive/reachfiveredis"
)

func main() {
	demo.Main(func(d *demo.Demo) (demo.Server, error) {
		address, note, err := startRedis()
		if err != nil {
			return nil, err
		}
		d.Note("%s", note)
		// In your service, every instance is a process of its own.
		first, err := newInstance(d.Verifier, address)
		if err != nil {
			return nil, err
		}
		second, err := newInstance(d.Verifier, address)
		if err != nil {
			return nil, err
		}
		other, err := serve(second)
		if err != nil {
			return nil, err
		}
		d.Note("A second instance listens on %s.", other)
		d.Try(commands(d, "http://"+other)...)
		return &http.Server{Handler: withSignIn(d, first), ReadHeaderTimeout: 5 * time.Second}, nil
	})
}

// newInstance connects an instance to Redis and returns its routes.
func newInstance(v *reachfive.Verifier, address string) (http.Handler, error) {
	store, err := reachfiveredis.New(&redis.UniversalOptions{Addrs: []string{address}})
	if err != nil {
		return nil, err
	}
	signOuts, err := store.SignOuts([]string{v.Status().Issuer})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// Your service leaves this to whoever sets up Redis: a lost database must not
	// look like a new one.
	if err := signOuts.Init(ctx); err != nil {
		return nil, err
	}
	if err := signOuts.Ready(ctx); err != nil {
		return nil, err
	}
	return routes(v, signOuts), nil
}

// signOuts is what the routes need of reachfiveredis.SignOuts.
type signOuts interface {
	Check() reachfive.Check
	SignOut(ctx context.Context, s reachfiveredis.SignOut) (id string, err error)
}

func routes(v reachfive.TokenVerifier, s signOuts) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		user, _ := reachfive.UserFromContext(r.Context())
		fmt.Fprintln(w, "Signed in as:", user.Subject)
	})
	mux.HandleFunc("POST /sign-out-everywhere", func(w http.ResponseWriter, r *http.Request) {
		user, _ := reachfive.UserFromContext(r.Context())
		_, err := s.SignOut(r.Context(), reachfiveredis.SignOut{Issuer: user.Issuer, Subject: user.Subject})
		if err != nil {
			http.Error(w, "the sign-out could not be stored: try again", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	// In your service, reachfive.New takes the check for every token:
	// reachfive.WithChecks(signOuts.Check()). This verifier was made by the demo.
	signedIn := reachfive.Require(s.Check())
	return reachfive.Middleware(v)(signedIn(mux))
}

// serve serves an instance on a free port.
func serve(handler http.Handler) (address string, err error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String(), nil
}

func commands(d *demo.Demo, other string) []demo.Command {
	const get = `curl -i -H "Authorization: Bearer $GOOD" `
	try := []demo.Command{
		{Line: get + `"$URL/me"`, Want: `200`},
		{Line: get + `"` + other + `/me"`, Want: `200`},
		{Line: `curl -i -H "Authorization: Bearer $EXPIRED" "$URL/me"`, Want: `401 expired`},
		{Line: `curl -i -X POST -H "Authorization: Bearer $GOOD" "$URL/sign-out-everywhere"`, Want: `204`},
		{Line: `sleep 3; ` + get + `"$URL/me"`, Want: `401 revoked max_age`},
		{Line: get + `"` + other + `/me"`, Want: `401 revoked max_age`},
	}
	if d.Tenant != nil { // a new sign-in, which has a later auth_time
		try = append(try, demo.Command{
			Line: `curl -i -H "Authorization: Bearer $(curl -s "$URL/sign-in")" "` + other + `/me"`, Want: `200`,
		})
	}
	return try
}

// withSignIn adds the tenant's part to the demo: it issues an ID token to
// whoever asks.
func withSignIn(d *demo.Demo, next http.Handler) http.Handler {
	if d.Tenant == nil {
		return next
	}
	mux := http.NewServeMux()
	mux.Handle("/", next)
	mux.HandleFunc("GET /sign-in", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, d.Tenant.Token())
	})
	return mux
}
