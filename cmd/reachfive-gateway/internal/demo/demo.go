// Package demo shows the gateway at work: an embedded tenant, the gateway, a
// backend that knows nothing of tokens, and a proxy before it.
package demo

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/decide"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/header"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/policy"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// policies are those of the demonstration: api, site and payout, as in
// deploy/gateway.yaml.
type policies map[string]*policy.Policy

// Find implements decide.Finder.
func (p policies) Find(name string) (*policy.Policy, bool) {
	found, ok := p[name]
	return found, ok
}

func newPolicies(v reachfive.TokenVerifier) policies {
	// The fields are right, and a test runs them.
	set, _ := header.NewSet([]header.Field{{Name: "X-Reachfive-Email", Claim: "email"}, {Name: "X-Reachfive-Name", Claim: "name"}})
	p := policies{}
	for _, s := range []policy.Settings{
		{Name: "api"}, {Name: "site", Optional: true}, {Name: "payout", Checks: []reachfive.Check{reachfive.MaxAge(5 * time.Minute)}},
	} {
		s.Verifier, s.Headers = v, set
		p[s.Name] = policy.New(s)
	}
	return p
}

// Run plays the demonstration and prints a transcript. lookPath finds nginx;
// without it, a proxy written in Go takes its place. Its error says that an
// answer was not the expected one.
func Run(ctx context.Context, out io.Writer, lookPath func(string) (string, error)) error {
	tenant, err := reachfivetest.Start()
	if err != nil {
		return err
	}
	defer func() { _ = tenant.Close() }()
	quiet := slog.New(slog.DiscardHandler)
	v, err := reachfive.New(tenant.Domain, tenant.ClientID, append(tenant.Options(), reachfive.WithLogger(quiet))...)
	if err != nil {
		return err
	}
	defer func() { _ = v.Close() }()

	gateway, err := serve(ctx, decide.New(newPolicies(v), func(string, policy.Outcome) {}, quiet))
	if err != nil {
		return err
	}
	defer gateway.stop()
	backend, err := serve(ctx, http.HandlerFunc(hello))
	if err != nil {
		return err
	}
	defer backend.stop()
	front, err := startProxy(ctx, gateway.address, backend.address, lookPath)
	if err != nil {
		return err
	}
	defer front.stop()

	transcript := &transcript{out: out}
	transcript.title("A backend behind "+front.name+" and reachfive-gateway",
		"tenant   "+tenant.Issuer()+"  embedded, ends with this command",
		"gateway  http://"+gateway.address+"/auth/{policy}",
		"backend  http://"+backend.address+"  knows nothing of tokens",
		"proxy    http://"+front.address+"  asks the gateway about each request")
	s := &scenes{ctx: ctx, transcript: transcript, tenant: tenant, gateway: gateway, front: "http://" + front.address}
	if err := s.play(); err != nil {
		return err
	}
	return transcript.verdict()
}

// hello answers with the identity that the proxy has handed over.
func hello(w http.ResponseWriter, r *http.Request) {
	subject, decision := r.Header.Get(header.Subject), r.Header.Get(header.Decision)
	switch {
	case subject != "":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "hello "+r.Header.Get("X-Reachfive-Name")+" <"+r.Header.Get("X-Reachfive-Email")+">") //nolint:gosec // plain text, no page
	case decision == header.Anonymous:
		_, _ = io.WriteString(w, "hello visitor")
	case strings.HasPrefix(r.URL.Path, "/public/"):
		_, _ = io.WriteString(w, "hello everybody")
	default:
		http.Error(w, "no subject", http.StatusForbidden)
	}
}

// served is an HTTP server on a loopback port.
type served struct {
	address string
	stop    func()
}

func serve(ctx context.Context, handler http.Handler) (*served, error) {
	return serveOn(ctx, "127.0.0.1:0", handler)
}

func serveOn(ctx context.Context, address string, handler http.Handler) (*served, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // until stop
	}()
	return &served{address: listener.Addr().String(), stop: func() {
		_ = server.Close()
		<-done
	}}, nil
}

// LookPath finds a program as the shell does.
func LookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrDot) {
		return "", err // not one from the current folder
	}
	return path, err
}
