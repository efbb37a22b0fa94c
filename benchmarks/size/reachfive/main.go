// Command reachfive is the service that verifies with this package.
package main

import (
	"context"
	"net/http"

	"github.com/reachfive-community/reachfive"
)

func main() {
	v, err := reachfive.New("acme.reach5.net", "client")
	if err != nil {
		panic(err)
	}
	verify := func(ctx context.Context, token string) error {
		_, err := v.Verify(ctx, token)
		return err
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if verify(r.Context(), r.Header.Get("Authorization")) != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	_ = http.ListenAndServe("127.0.0.1:8080", nil) //nolint:gosec // never run
}
