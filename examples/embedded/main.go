// Embedded shows the whole bridge between ReachFive and the Reach embedded UI:
// a page signs in with ReachFive, the backend verifies the ID token, looks up
// the user's business in SQLite, and mints the Reach token that the page's
// ReachProvider takes, and takes anew each time it asks.
//
//	go run ./embedded                      # with a ReachFive tenant of its own
//	REACH_SHARED_JWT_SECRET=... go run ./embedded -domain acme.reach5.net \
//		-client-id AtnY5xDg4fbanentihip -partner-id ... -members members.db
//
// bridge.go is the part to copy, members.go the part to replace.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/embedreach"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		slog.Error("embedded", "error", err)
		os.Exit(1)
	}
}

type settings struct {
	addr, bundle, domain, clientID, partnerID, members, secret string
}

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("embedded", flag.ContinueOnError)
	flags.StringVar(&s.addr, "addr", "localhost:8080", "where to listen")
	flags.StringVar(&s.bundle, "bundle", "embedded/bundle", "the folder of the bundled script")
	flags.StringVar(&s.domain, "domain", "", "your ReachFive domain; empty: a tenant of the demo's own")
	flags.StringVar(&s.clientID, "client-id", "", "your ReachFive client ID")
	flags.StringVar(&s.partnerID, "partner-id", "demo-partner", "your Reach partner ID")
	flags.StringVar(&s.members, "members", ":memory:", "the SQLite file that maps users to tenants")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	// The environment, not a flag: a command line is for everyone to see.
	s.secret = os.Getenv("REACH_SHARED_JWT_SECRET")
	if s.secret == "" && s.domain == "" {
		s.secret = rand.Text() + rand.Text() // a demo that reaches nobody needs no real one
	}
	return s, nil
}

// run serves until ctx ends. The first line it prints is the page's address.
func run(ctx context.Context, args []string, out *os.File) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	members, err := openMembers(ctx, s.members)
	if err != nil {
		return err
	}
	defer func() { _ = members.close() }()

	cfg := pageConfig{ReachFive: "https://" + s.domain, ClientID: s.clientID}
	var (
		opts   []reachfive.Option
		signIn http.Handler
	)
	if s.domain == "" {
		tenant, err := startDemo(ctx, members)
		if err != nil {
			return err
		}
		defer func() { _ = tenant.Close() }()
		s.domain, s.clientID, opts = tenant.Domain, tenant.ClientID, tenant.Options()
		cfg, signIn = pageConfig{ReachFive: demoSignIn, ClientID: tenant.ClientID}, demoProxy(tenant)
	}

	verifier, err := reachfive.New(s.domain, s.clientID, opts...)
	if err != nil {
		return err
	}
	defer func() { _ = verifier.Close() }()
	signer, err := embedreach.NewSigner(s.secret, s.partnerID, embedreach.WithLogger(slog.Default()))
	if err != nil {
		return err
	}
	handler, err := site(cfg, os.DirFS(s.bundle), bridge(verifier, signer, members), signIn)
	if err != nil {
		return err
	}
	return serve(ctx, s.addr, handler, out, signIn != nil)
}

func serve(ctx context.Context, addr string, handler http.Handler, out *os.File, demo bool) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	_, _ = fmt.Fprintf(out, "http://localhost:%s/\n", port)
	if demo {
		_, _ = fmt.Fprintf(out, "sign in as %s with: %s\n", demoEmail, demoPassword)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer ended()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
