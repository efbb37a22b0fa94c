// Command jwx2 is the service that verifies with jwx/v2.
package main

import (
	"context"
	"net/http"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jwt"
	"github.com/lestrrat-go/jwx/v2/jwt/openid"
)

func main() {
	const keys = "https://acme.reach5.net/jwks.json"
	cache := jwk.NewCache(context.Background()) //nolint:forbidigo // as its users do
	if err := cache.Register(keys); err != nil {
		panic(err)
	}
	set := jwk.NewCachedSet(cache, keys)
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
