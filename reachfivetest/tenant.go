package reachfivetest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/reachfive-community/reachfive"
)

// closeWait bounds how long Close waits for handlers that do not end.
const closeWait = 5 * time.Second

// Tenant is a ReachFive tenant. Its methods are safe for concurrent use. Every verb
// of package fmt prints only its domain.
//
// If a method without an error result fails, for example Sign with a claim that
// has no JSON form, the test of NewTenant fails. For a tenant of Start, Close
// returns the error.
type Tenant struct {
	// Domain is the domain for reachfive.New: "tenant.localhost:41235", without
	// the port if InMemory was given. Do not change it.
	Domain string
	// ClientID is the client that Token issues tokens for. Do not change it.
	ClientID string
	// ClientSecret is this client's secret: the HS256 key of a WithHS256 tenant,
	// and what a server sends to /oauth/token. Do not change it.
	ClientSecret string `json:"-"`

	settings  *settings
	tb        testing.TB // nil for a tenant of Start
	handler   http.Handler
	transport http.RoundTripper // of Client
	leaf      *x509.Certificate // nil without a listener
	stop      func()            // ends the listener; does nothing without one

	mu        sync.Mutex
	keys      keyring
	users     []*account
	signIns   signIns
	faults    faults
	verifiers []*reachfive.Verifier
	mistakes  []error
	closed    bool
	exchanges map[*exchange]struct{} // in-memory requests in progress
	running   sync.WaitGroup         // handlers, of either transport
	closing   sync.Once
}

// NewTenant starts a tenant that is closed when the test ends. It fails the test if
// the options are wrong.
func NewTenant(tb testing.TB, opts ...Option) *Tenant {
	tb.Helper()
	t, err := Start(opts...)
	if err != nil {
		tb.Fatal(err)
	}
	t.tb = tb
	tb.Cleanup(func() {
		if err := t.Close(); err != nil {
			tb.Error(err)
		}
	})
	return t
}

// Start starts a tenant for a program that is not a test. The caller must call
// Close. The error reports all mistakes in opts.
func Start(opts ...Option) (*Tenant, error) {
	s, err := newSettings(opts)
	if err != nil {
		return nil, err
	}
	t := &Tenant{
		Domain:       s.name,
		ClientID:     s.clientID,
		ClientSecret: s.clientSecret,
		settings:     s,
		stop:         func() {},
		keys:         keyring{bits: s.keyBits, spare: s.keys},
		faults:       faults{cacheControl: s.cacheControl},
		exchanges:    map[*exchange]struct{}{},
	}
	t.handler = t.routes()
	t.transport = t.Transport()
	if s.inMemory {
		return t, nil
	}
	if err := t.listen(); err != nil {
		return nil, fmt.Errorf("reachfivetest: start a tenant: %w", err)
	}
	return t, nil
}

// listen serves the tenant over TLS on a free port of 127.0.0.1.
func (t *Tenant) listen() error {
	certificate, roots, err := newCertificate(t.settings.name, t.settings.notAfter)
	if err != nil {
		return err
	}
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	address := listener.Addr().String()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	t.Domain = net.JoinHostPort(t.settings.name, port)
	t.leaf = certificate.Leaf
	server := &http.Server{
		Handler:           t.handler,
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		// A client that rejects the certificate and a hook that panics are
		// expected in tests, and not worth a log line.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.ServeTLS(listener, "", "") // ends with ErrServerClosed
	}()
	t.stop = func() {
		_ = server.Close()
		<-served
	}
	// Without a proxy and a resolver every name leads to this listener, and the
	// certificate decides which names are valid. No connection outlives its
	// request.
	t.transport = &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}
	return nil
}

// Close ends the tenant and closes every Verifier that it made. It aborts requests
// in progress and waits up to five seconds until their handlers have ended. It
// returns the errors of methods that have no error result. Further calls return the
// same.
func (t *Tenant) Close() error {
	t.closing.Do(func() {
		t.mu.Lock()
		t.closed = true
		for x := range t.exchanges {
			x.cancel()
		}
		verifiers := t.verifiers
		t.mu.Unlock()
		t.stop()
		for _, v := range verifiers {
			if err := v.Close(); err != nil {
				t.mistake(fmt.Errorf("close a verifier: %w", err))
			}
		}
		ended := make(chan struct{})
		go func() {
			t.running.Wait()
			close(ended)
		}()
		timer := time.NewTimer(closeWait)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			t.mistake(errors.New("a handler has not ended"))
		}
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(t.mistakes...)
}

// Issuer returns the iss of the tenant's tokens: "https://" and Domain.
func (t *Tenant) Issuer() string { return "https://" + t.Domain }

// isClient reports whether id is a client of the tenant.
func (t *Tenant) isClient(id string) bool {
	return id == t.ClientID || slices.Contains(t.settings.clients, id)
}

// Client returns an HTTP client that trusts only the tenant's certificate, and that
// reaches the tenant under each of the certificate's names: the tenant's own,
// localhost and 127.0.0.1. It uses no resolver and no proxy. Each call returns a
// new client, which the caller may change.
func (t *Tenant) Client() *http.Client { return &http.Client{Transport: t.transport} }

// Certificate returns the tenant's certificate, for other clients than Client, such
// as a browser. It is nil for a tenant in memory. Do not change it.
func (t *Tenant) Certificate() *x509.Certificate { return t.leaf }

// Options returns the options for a Verifier of this tenant's tokens, for use as
// reachfive.New(t.Domain, t.ClientID, t.Options()...): the tenant's Client, the
// client secret for HS256, and the clock if WithClock set one. As in production the
// Verifier accepts only ClientID's tokens, unless reachfive.WithAudiences names
// further clients.
func (t *Tenant) Options() []reachfive.Option {
	opts := []reachfive.Option{reachfive.WithHTTPClient(t.Client())}
	if t.settings.algorithm == hs256 {
		opts = append(opts, reachfive.WithClientSecret(t.ClientSecret))
	}
	if t.settings.ownClock {
		opts = append(opts, reachfive.WithClock(t.settings.now))
	}
	return opts
}

// Verifier returns a Verifier of this tenant's tokens, which Close closes. opts
// override the tenant's Options. If they are wrong, Verifier ends the test. For a
// tenant of Start it returns nil, and Close returns the error: programs should call
// reachfive.New with Options instead.
func (t *Tenant) Verifier(opts ...reachfive.Option) *reachfive.Verifier {
	if t.tb != nil {
		t.tb.Helper()
	}
	v, err := reachfive.New(t.Domain, t.ClientID, append(t.Options(), opts...)...)
	if err != nil {
		if t.tb != nil {
			t.tb.Fatal(err)
		}
		t.mistake(err)
		return nil
	}
	t.mu.Lock()
	t.verifiers = append(t.verifiers, v)
	t.mu.Unlock()
	return v
}

// mistake reports the error of a method without an error result.
func (t *Tenant) mistake(err error) {
	err = fmt.Errorf("reachfivetest: %w", err)
	if t.tb != nil {
		t.tb.Helper()
		t.tb.Error(err)
		return
	}
	t.mu.Lock()
	t.mistakes = append(t.mistakes, err)
	t.mu.Unlock()
}

// String returns "reachfivetest.Tenant(" with the domain.
func (t *Tenant) String() string { return "reachfivetest.Tenant(" + t.Domain + ")" }

// Format prints String for every verb, so that none prints a secret.
func (t *Tenant) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue returns String for slog.
func (t *Tenant) LogValue() slog.Value { return slog.StringValue(t.String()) }
