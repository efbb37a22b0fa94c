// Command embedded is the whole bridge between ReachFive and Reach's embedded
// UI. Its page signs in with ReachFive. The backend verifies the ID token, looks
// up the user's business in SQLite, and signs the Reach token that the page's
// ReachProvider needs, and a new one each time the provider asks.
//
// Copy bridge.go, and replace members.go by your own table.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"io/fs"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/reachfive-community/reachfive/embedreach"
	"github.com/reachfive-community/reachfive/examples/internal/demo"
)

func main() {
	folder := flag.String("bundle", "embedded/bundle", "the `folder` of the bundled script")
	partnerID := flag.String("partner-id", "demo-partner", "your Reach partner `ID`")
	table := flag.String("members", ":memory:", "the SQLite `file` that maps users to tenants")
	demo.Main(func(d *demo.Demo) (demo.Server, error) {
		members, err := openMembers(context.Background(), *table)
		if err != nil {
			return nil, err
		}
		secret, err := sharedSecret(d)
		if err != nil {
			return nil, err
		}
		signer, err := embedreach.NewSigner(secret, *partnerID, embedreach.WithLogger(slog.Default()))
		if err != nil {
			return nil, err
		}

		cfg := pageConfig{ReachFive: "https://" + d.Domain, ClientID: d.ClientID}
		var signIn http.Handler
		if d.Tenant != nil {
			cfg.ReachFive, signIn = demoSignIn, demoProxy(d.Tenant)
			if err := addDemoUsers(d.Tenant, members); err != nil {
				return nil, err
			}
		}
		bundle := os.DirFS(*folder)
		handler, err := site(cfg, bundle, bridge(d.Verifier, signer, members), signIn)
		if err != nil {
			return nil, err
		}
		describe(d, *folder, bundle)
		return &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}, nil
	})
}

// sharedSecret comes from the environment: everybody on the machine can read a
// command line.
func sharedSecret(d *demo.Demo) (string, error) {
	secret := os.Getenv("REACH_SHARED_JWT_SECRET")
	switch {
	case secret != "":
		return secret, nil
	case d.Tenant == nil:
		return "", errors.New("REACH_SHARED_JWT_SECRET is not set")
	}
	return rand.Text() + rand.Text(), nil // a demo that reaches nobody needs no real one
}

// describe prints the page's address and commands for the bridge.
func describe(d *demo.Demo, folder string, bundle fs.FS) {
	// localhost, and not 127.0.0.1: the sign-in returns to a registered address.
	d.Note("The page is http://localhost:%s/.", d.Port)
	if d.Tenant != nil {
		d.Note("Sign in as %s with: %s", demoEmail, demoPassword)
	}
	if missing(bundle) {
		log.Printf("%s has no page.js. %s", folder, howToBundle)
	}
	d.Try(
		demo.Command{Line: `curl -i "$URL/reach-authtoken"`, Want: `401 missing_token`},
		demo.Command{Line: `curl -i -H "Authorization: Bearer $GOOD" "$URL/reach-authtoken"`, Want: `200 "token"`},
		demo.Command{Line: `curl -i -H "Authorization: Bearer not.a.token" "$URL/reach-authtoken"`, Want: `401 malformed_token`},
		demo.Command{Line: `curl -i -H "Authorization: Bearer $EXPIRED" "$URL/reach-authtoken"`, Want: `401 expired`},
	)
}
