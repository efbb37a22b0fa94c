// Command chi protects the routes of a chi router: one is open, one takes users
// and visitors, one needs a user, and one needs a user who signed in less than
// five minutes ago. A page of another origin may call them.
package main

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/examples/internal/demo"
)

func main() {
	// In your service: v, err := reachfive.New("acme.reach5.net", "AtnY5xDg4fbanentihip")
	demo.Main(func(d *demo.Demo) (demo.Server, error) {
		d.Try(demo.Routes()...)
		return &http.Server{Handler: newRouter(d.Verifier), ReadHeaderTimeout: 5 * time.Second}, nil
	})
}

func newRouter(v reachfive.TokenVerifier, opts ...reachfive.MiddlewareOption) http.Handler {
	r := chi.NewRouter()
	// It wraps the verification, so that it answers preflights, which carry no
	// token, and the page can read why it was refused.
	r.Use(allowOrigin("https://app.example.com"))
	r.Get("/health", hello)
	r.With(reachfive.Middleware(v, append(opts, reachfive.Optional())...)).Get("/greeting", hello)
	r.Group(func(r chi.Router) {
		r.Use(reachfive.Middleware(v, opts...))
		r.Get("/me", hello)
		r.With(reachfive.Require(reachfive.MaxAge(5*time.Minute))).Post("/payout", hello)
	})
	return r
}

// hello answers with the subject of the user, "" for a visitor.
func hello(w http.ResponseWriter, r *http.Request) {
	answer := map[string]string{"subject": ""}
	if user, ok := reachfive.UserFromContext(r.Context()); ok {
		answer["subject"] = user.Subject
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// allowOrigin lets the pages of one origin call the service.
func allowOrigin(origin string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("Vary", "Origin")
			if r.Header.Get("Origin") == origin {
				w.Header().Set("Access-Control-Allow-Origin", origin)
				if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
					w.Header().Set("Access-Control-Allow-Headers", "Authorization")
					w.WriteHeader(http.StatusNoContent)
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}
