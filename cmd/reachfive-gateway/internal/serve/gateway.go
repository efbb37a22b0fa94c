// Package serve runs the gateway's listeners, from start to drain.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/net/netutil"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
)

// The limits that are not configured. A decision waits up to 5 seconds for keys.
const (
	readHeaderTimeout = 5 * time.Second
	requestTimeout    = 15 * time.Second
	idleTimeout       = 60 * time.Second
)

// Parts are what a Gateway serves.
type Parts struct {
	Decide http.Handler
	// Authorization is for the gRPC listener.
	Authorization authv3.AuthorizationServer
	Health        func(context.Context) map[string]error // for /readyz
	// SignOuts tells what hinders sign-outs from being known; nil without Redis.
	SignOuts func(context.Context) error
	Metrics  http.Handler
	Log      *slog.Logger
	// WatchCertificate is told of each listener with TLS.
	WatchCertificate func(listener string, notAfter func() time.Time) error
}

// Gateway is the running listeners.
type Gateway struct {
	cfg     *config.Config
	parts   Parts
	log     *slog.Logger
	end     sync.Once
	ending  chan struct{} // closed when the drain begins
	servers []*server
	failed  chan error
}

// server is one listener and what it serves.
type server struct {
	name     string
	listener net.Listener
	serve    func(net.Listener) error
	shutdown func(context.Context) error
}

// Start opens all listeners and serves on them. Its error names everything that
// could not be opened, and then nothing is served.
func Start(ctx context.Context, cfg *config.Config, parts Parts) (*Gateway, error) {
	g := &Gateway{cfg: cfg, parts: parts, log: parts.Log, ending: make(chan struct{}), failed: make(chan error, 3)}
	var errs []error
	if l := cfg.Decision; l != nil {
		errs = append(errs, g.open(ctx, l.Address, l.TLS, []string{"h2", "http/1.1"}, g.httpServer("decision", g.closing(parts.Decide))))
	}
	if l := cfg.GRPC; l != nil {
		errs = append(errs, g.open(ctx, l.Address, l.TLS, []string{"h2"}, g.grpcServer(parts.Authorization)))
	}
	errs = append(errs, g.open(ctx, cfg.Health.Address, nil, nil, g.httpServer("health", http.HandlerFunc(g.serveHealth))))
	if err := errors.Join(errs...); err != nil {
		for _, s := range g.servers {
			_ = s.listener.Close()
		}
		return nil, err
	}
	for _, s := range g.servers {
		g.log.Info("listening", "listener", s.name, "address", s.listener.Addr().String())
		go func() {
			if err := s.serve(s.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
				g.failed <- fmt.Errorf("%s: %w", s.name, err)
			}
		}()
	}
	return g, nil
}

// open listens for a server.
func (g *Gateway) open(ctx context.Context, address string, files *config.TLS, protocols []string, s *server) error {
	name := s.name
	var secure *tls.Config
	if files != nil {
		cert, err := loadCertificate(*files, protocols, g.log)
		if err != nil {
			return fmt.Errorf("%s.%w", name, err)
		}
		if err := g.parts.WatchCertificate(name, cert.NotAfter); err != nil {
			return err
		}
		secure = cert.serverConfig()
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s.address: another program listens on %s; stop it, or choose another port", name, address)
	}
	if err != nil {
		return fmt.Errorf("%s.address: %w", name, err)
	}
	listener = netutil.LimitListener(listener, g.cfg.Limits.Connections)
	if secure != nil {
		listener = tls.NewListener(listener, secure)
	}
	s.listener = listener
	g.servers = append(g.servers, s)
	return nil
}

// httpServer is a server with the limits of the configuration.
func (g *Gateway) httpServer(name string, handler http.Handler) *server {
	s := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    g.cfg.Limits.HeaderBytes,
		// net/http would answer "OPTIONS *" itself, with 200.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	return &server{name: name, serve: s.Serve, shutdown: func(ctx context.Context) error {
		err := s.Shutdown(ctx)
		if err != nil {
			_ = s.Close()
		}
		return err
	}}
}

// closing asks clients to close their connections while the gateway drains, so
// that none is closed while a request is on its way.
func (g *Gateway) closing(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.isEnding() {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}

func (g *Gateway) isEnding() bool {
	select {
	case <-g.ending:
		return true
	default:
		return false
	}
}

// Address is where a listener listens, "" if there is none of this name.
func (g *Gateway) Address(name string) string {
	for _, s := range g.servers {
		if s.name == name {
			return s.listener.Addr().String()
		}
	}
	return ""
}

// Failed tells when a listener has failed.
func (g *Gateway) Failed() <-chan error { return g.failed }

// Drain ends the gateway without losing a request: /readyz answers 503 at once,
// requests are served for drain.delay, and those under way then have
// drain.timeout to finish. It waits no longer if ctx ends.
func (g *Gateway) Drain(ctx context.Context) error {
	g.end.Do(func() { close(g.ending) })
	g.log.Info("draining", "delay", g.cfg.Drain.Delay.String(), "timeout", g.cfg.Drain.Timeout.String())
	select {
	case <-time.After(g.cfg.Drain.Delay):
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Drain.Timeout)
	defer cancel()
	errs := make(chan error, len(g.servers))
	var health *server
	waiting := 0
	for _, s := range g.servers {
		if s.name == "health" {
			health = s // probes are answered to the end
			continue
		}
		waiting++
		go func() { errs <- s.shutdown(ctx) }()
	}
	var err error
	for range waiting {
		err = errors.Join(err, <-errs)
	}
	if health != nil {
		_ = health.shutdown(ctx) // a probe that is cut off changes nothing
	}
	if err != nil {
		return fmt.Errorf("some requests did not finish within drain.timeout: %w", err)
	}
	return nil
}
