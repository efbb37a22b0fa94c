// Command jwx3 is the service that verifies with jwx/v3.
package main

import (
	"context"
	"net/http"

	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"github.com/lestrrat-go/jwx/v3/jwt/openid"
)

func main() {
	const keys = "https://acme.reach5.net/jwks.json"
	cache, err := jwk.NewCache(context.Background(), httprc.NewClient()) //nolint:forbidigo // as its users do
	if err != nil {
		panic(err)
	}
	if err := cache.Register(context.Background(), keys); err != nil {
		panic(err)
	}
	set, err := cache.CachedSet(keys)
	if err != nil {
		panic(err)
	}
	verify := func(_ context.Context, token string) error {
		_, err := jwt.ParseString(token, jwt.WithKeySet(set), jwt.WithToken(openid.New()),
			jwt.WithIssuer("https://acme.reach5.net"), jwt.WithAudience("client"))
		return err
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if verify(r.Context(), r.Header.Get("Authorization")) != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	_ = http.ListenAndServe("127.0.0.1:8080", nil) //nolint:gosec // never run
}
