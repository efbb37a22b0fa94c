// Command chi protects a chi router: a route for everybody, one that knows its
// visitors, one for users, and one that asks for a recent sign-in. A page of
// another origin may call it.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/reachfive-community/reachfive"
)

func main() {
	v, err := reachfive.New(os.Getenv("REACHFIVE_DOMAIN"), os.Getenv("REACHFIVE_CLIENT_ID"))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: newRouter(v), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func newRouter(v reachfive.TokenVerifier, opts ...reachfive.MiddlewareOption) http.Handler {
	r := chi.NewRouter()
	// Outside the verification, so that a preflight, which has no token, is
	// answered and the page can read a refusal.
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
