// Command golangjwt is the service that verifies with golang-jwt and keyfunc.
package main

import (
	"context"
	"net/http"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

func main() {
	keys, err := keyfunc.NewDefault([]string{"https://acme.reach5.net/jwks.json"})
	if err != nil {
		panic(err)
	}
	verify := func(_ context.Context, token string) error {
		_, err := jwt.ParseWithClaims(token, &jwt.RegisteredClaims{}, keys.Keyfunc, jwt.WithAudience("client"))
		return err
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if verify(r.Context(), r.Header.Get("Authorization")) != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	_ = http.ListenAndServe("127.0.0.1:8080", nil) //nolint:gosec // never run
}
