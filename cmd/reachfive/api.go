package main

import (
	"context"
	"encoding/json"
	"html/template"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/reachfive-community/reachfive"
)

// api is the protected service on a free port of 127.0.0.1.
type api struct {
	url  string
	stop func()
}

// startAPI serves the API that v protects. signIn, where there is one, gets
// the page an ID token to send.
func startAPI(ctx context.Context, v *reachfive.Verifier, signIn func(context.Context) (string, error)) (*api, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: apiHandler(v, signIn), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends with ErrServerClosed
	}()
	return &api{url: "http://" + listener.Addr().String(), stop: func() {
		_ = server.Close()
		<-served
	}}, nil
}

// apiHandler is what a service of one's own would look like: the form POST
// of ReachFive's SPA guide, and a route that takes a Bearer token.
func apiHandler(v *reachfive.Verifier, signIn func(context.Context) (string, error)) http.Handler {
	bearer := reachfive.Middleware(v)
	form := reachfive.Middleware(v, reachfive.TokenFrom(reachfive.FromForm("idtoken")))

	mux := http.NewServeMux()
	mux.Handle("POST /session", form(http.HandlerFunc(createSession)))
	mux.Handle("GET /me", bearer(http.HandlerFunc(showMe)))
	mux.Handle("GET /{$}", page(signIn))
	return mux
}

// createSession is where a service starts a session of its own. Like the
// sample of the SPA guide it answers with the user to show.
func createSession(w http.ResponseWriter, r *http.Request) {
	user, _ := reachfive.UserFromContext(r.Context())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, displayName(user))
}

func showMe(w http.ResponseWriter, r *http.Request) {
	user, _ := reachfive.UserFromContext(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(map[string]string{"sub": user.Subject, "name": displayName(user)}); err != nil {
		return // the client has gone
	}
}

// displayName falls back on what every token has.
func displayName(user *reachfive.User) string {
	if user.Name != "" {
		return user.Name
	}
	return user.Subject
}

// page lets a browser send a token to the API. With the embedded tenant it
// holds a fresh one.
func page(signIn func(context.Context) (string, error)) http.Handler {
	tmpl := template.Must(template.New("page").Parse(pageHTML))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var token string
		if signIn != nil {
			var err error
			if token, err = signIn(r.Context()); err != nil {
				http.Error(w, "the tenant did not sign the user in", http.StatusBadGateway)
				return
			}
		}
		header := w.Header()
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Cache-Control", "no-store") // it holds a token
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
		_ = tmpl.Execute(w, token)
	})
}

const pageHTML = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A protected API</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem; color: #1d2530 }
textarea { width: 100%; box-sizing: border-box; font: .85rem/1.4 ui-monospace, monospace; padding: .6rem }
button { font: inherit; margin-top: .8rem; padding: .5rem 1.2rem }
</style>
<h1>A protected API</h1>
<p>The form posts an ID token as <code>idtoken</code> to <code>/session</code>.
The API verifies it and answers with the name of its user, or with the reason why not: change a letter and see.</p>
<form method="post" action="/session">
<label for="idtoken">ID token</label>
<textarea id="idtoken" name="idtoken" rows="10" spellcheck="false" autocomplete="off">{{.}}</textarea>
<button>Sign in</button>
</form>
</html>
`
