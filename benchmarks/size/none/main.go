// Command none is a service that verifies nothing: what the others are
// compared with.
package main

import (
	"net/http"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	_ = http.ListenAndServe("127.0.0.1:8080", nil) //nolint:gosec // never run
}
