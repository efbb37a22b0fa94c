// Command gooidc is the service that verifies with go-oidc.
package main

import (
	"context"
	"net/http"

	"github.com/coreos/go-oidc/v3/oidc"
)

func main() {
	keys := oidc.NewRemoteKeySet(context.Background(), "https://acme.reach5.net/jwks.json")
	verifier := oidc.NewVerifier("https://acme.reach5.net", keys, &oidc.Config{ClientID: "client"})
	verify := func(ctx context.Context, token string) error {
		_, err := verifier.Verify(ctx, token)
		return err
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if verify(r.Context(), r.Header.Get("Authorization")) != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	_ = http.ListenAndServe("127.0.0.1:8080", nil) //nolint:gosec // never run
}
