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
	"sync"
	"testing"
	"time"

	"github.com/reachfive-community/reachfive"
)

// closeWait bounds how long Close waits for handlers that do not end.
const closeWait = 5 * time.Second

// Tenant is a ReachFive tenant with one client. Its methods are safe for
// concurrent use. It prints as its domain only, whatever the verb.
//
// A method that cannot do what it was asked, such as Sign with a claim that
// has no JSON form, fails the test of NewTenant; without a test, the error is
// returned by Close.
type Tenant struct {
	// Domain is what reachfive.New takes: "tenant.localhost:41235", or
	// without a port if InMemory was given. Not to be changed.
	Domain string
	// ClientID is the client that the tokens are for. Not to be changed.
	ClientID string
	// ClientSecret is the client's secret: the HS256 key of a WithHS256
	// tenant, and what a server sends to /oauth/token. Not to be changed.
	ClientSecret string `json:"-"`

	settings  *settings
	tb        testing.TB // nil for a tenant of Start
	handler   http.Handler
	transport http.RoundTripper // what Client goes through
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
	exchanges map[*exchange]struct{} // in-memory requests under way
	running   sync.WaitGroup         // handlers, through whichever transport
	closing   sync.Once
}

// NewTenant starts a tenant that ends with the test, and fails the test if it
// cannot.
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

// Start starts a tenant for a program that is no test. The caller calls Close.
// All mistakes in opts are reported at once.
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
		// A client that turns down the certificate, or a hook that panics on
		// purpose, is what a test is about: nothing for its output.
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
	// No proxy of the environment, no resolver: every name is our listener,
	// and the certificate decides which names are right. No connection is
	// kept, so none outlives its request.
	t.transport = &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}
	return nil
}

// Close ends the tenant and every Verifier that it made: requests under way
// are cut off, and it waits, for five seconds at most, until their handlers
// have ended. It returns what went wrong in methods that return no error.
// Calling it again does no more.
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

// Issuer is the iss of the tenant's tokens: "https://" and Domain.
func (t *Tenant) Issuer() string { return "https://" + t.Domain }

// Client returns an HTTP client that trusts the tenant's certificate and
// nothing else, and that reaches the tenant under any of the certificate's
// names: the tenant's own, localhost and 127.0.0.1. It asks no resolver and
// reads no environment. Each call returns a client of its own, to be changed
// at will.
func (t *Tenant) Client() *http.Client { return &http.Client{Transport: t.transport} }

// Certificate returns the certificate that the tenant shows, for a client that
// Client is not: a browser, say. It is nil for a tenant in memory, and not to
// be changed.
func (t *Tenant) Certificate() *x509.Certificate { return t.leaf }

// Options returns what a Verifier of this tenant's tokens needs, for
// reachfive.New(t.Domain, t.ClientID, t.Options()...): the tenant's Client,
// the client secret if it signs with HS256, and the clock if WithClock set
// one.
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

// Verifier returns a Verifier of this tenant's tokens, which Close closes.
// opts come after the tenant's own Options and override them. If opts are
// wrong it ends the test; for a tenant of Start it is nil then, and Close
// returns the error: a program better calls reachfive.New with Options.
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

// mistake reports what a method without an error result could not do.
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

// Format prints String under every verb, so that no verb reaches a secret.
func (t *Tenant) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue gives slog what String says.
func (t *Tenant) LogValue() slog.Value { return slog.StringValue(t.String()) }
