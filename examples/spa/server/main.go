// Command server serves the backend of package spa. The page is not here:
// `reachfive demo --serve` has one.
package main

import (
	"io"
	"net/http"
	"time"

	"github.com/reachfive-community/reachfive/examples/internal/demo"
	"github.com/reachfive-community/reachfive/examples/spa"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func main() {
	// In your service: v, err := reachfive.New("acme.reach5.net", "AtnY5xDg4fbanentihip")
	demo.Main(func(d *demo.Demo) (demo.Server, error) {
		mux := http.NewServeMux()
		mux.Handle("/", spa.Handler(d.Verifier, spa.NewSessions(), spa.NewNonces()))
		d.Try(demo.Command{Line: `curl -i -d "" "$URL/session"`, Want: `401 missing_token`})
		if d.Tenant != nil {
			mux.Handle("POST /demo/token", issue(d.Tenant))
			d.Try(signIn()...)
		}
		return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}, nil
	})
}

// issue takes the place of the page and of ReachFive's SDK, which sign in with
// the nonce.
func issue(tenant *reachfivetest.Tenant) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		token := tenant.Token(reachfivetest.Claim("nonce", r.PostFormValue("nonce")))
		_, _ = io.WriteString(w, token) //nolint:gosec // base64url, whatever the nonce is
	}
}

func signIn() []demo.Command {
	return []demo.Command{
		{Line: `JAR="$(mktemp)"`},
		{Line: `NONCE="$(curl -s -c "$JAR" -X POST "$URL/session/nonce")"`},
		{Line: `TOKEN="$(curl -s -d "nonce=$NONCE" "$URL/demo/token")"`},
		{Line: `curl -i --data-urlencode "idtoken=$TOKEN" "$URL/session"`, Want: `401 wrong_nonce`},
		{Line: `curl -i -b "$JAR" --data-urlencode "idtoken=$EXPIRED" "$URL/session"`, Want: `401 expired`},
		{Line: `curl -i -b "$JAR" -c "$JAR" --data-urlencode "idtoken=$TOKEN" "$URL/session"`, Want: `200`},
		{Line: `curl -i -b "$JAR" "$URL/me"`, Want: `200 "sub"`},
		{Line: `curl -i -b "$JAR" -c "$JAR" -X DELETE "$URL/session"`, Want: `204`},
		{Line: `curl -i -b "$JAR" "$URL/me"`, Want: `401`},
		{Line: `rm "$JAR"`},
	}
}
