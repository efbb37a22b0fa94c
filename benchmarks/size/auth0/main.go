// Command auth0 is the service that verifies with go-jwt-middleware.
package main

import (
	"context"
	"net/http"
	"net/url"

	"github.com/auth0/go-jwt-middleware/v3/jwks"
	"github.com/auth0/go-jwt-middleware/v3/validator"
)

func main() {
	keys, err := jwks.NewCachingProvider(jwks.WithIssuerURL(&url.URL{Scheme: "https", Host: "acme.reach5.net"}))
	if err != nil {
		panic(err)
	}
	v, err := validator.New(validator.WithKeyFunc(keys.KeyFunc), validator.WithAlgorithm(validator.RS256),
		validator.WithIssuer("https://acme.reach5.net"), validator.WithAudience("client"))
	if err != nil {
		panic(err)
	}
	verify := func(ctx context.Context, token string) error {
		_, err := v.ValidateToken(ctx, token)
		return err
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if verify(r.Context(), r.Header.Get("Authorization")) != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	_ = http.ListenAndServe("127.0.0.1:8080", nil) //nolint:gosec // never run
}
