// Command cristalhq is the service that verifies with cristalhq/jwt and one fixed key.
package main

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"net/http"
	"os"

	"github.com/cristalhq/jwt/v5"
)

func main() {
	modulus, err := base64.RawURLEncoding.DecodeString(os.Getenv("MODULUS"))
	if err != nil {
		panic(err)
	}
	verifier, err := jwt.NewVerifierRS(jwt.RS256, &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537})
	if err != nil {
		panic(err)
	}
	verify := func(_ context.Context, token string) error {
		var claims jwt.RegisteredClaims
		return jwt.ParseClaims([]byte(token), verifier, &claims)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if verify(r.Context(), r.Header.Get("Authorization")) != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	_ = http.ListenAndServe("127.0.0.1:8080", nil) //nolint:gosec // never run
}
