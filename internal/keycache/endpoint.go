package keycache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	fetchTimeout = 5 * time.Second // for everything that one fetch does

	// maxDocumentSize bounds an answer, in bytes after decompression: a JWK Set
	// of 100 keys of 4096 bits has less than 100 KB.
	maxDocumentSize = 512 << 10

	// discoveryInterval is how often the discovery document is read at most.
	discoveryInterval = time.Minute
	// discoveryShare is the part of fetchTimeout that is left for reading the
	// discovery document again, in case the keys have moved.
	discoveryShare = 1500 * time.Millisecond
)

// answer is what came of one fetch.
type answer struct {
	failure    string // its class, safe to log; "" if the fetch was good
	retryAfter time.Duration
	url        string // where the keys were asked for
	fetchedAt  time.Time
	keys       Keys
	lifetime   time.Duration
	document   []byte

	// With a shared store:
	shared   Shared
	digest   [sha256.Size]byte // of the record
	lookedAt time.Time         // when this was the newest that the store had
	unasked  time.Duration     // nobody may ask the provider for that long
}

// endpoint is the provider, over HTTP.
type endpoint struct {
	client       *http.Client
	discoveryURL string // "" without discovery
	now          func() time.Time
	parseKeys    func([]byte) (Keys, error)
	parseMeta    func([]byte) (string, error)

	mu      sync.Mutex
	jwksURL string    // configured, or read from the discovery document
	readAt  time.Time // when that was last tried
}

func newEndpoint(c Config) *endpoint {
	e := &endpoint{
		client: &http.Client{Transport: newTransport()}, discoveryURL: c.DiscoveryURL, now: c.Now,
		parseKeys: c.ParseKeys, parseMeta: c.ParseDiscovery, jwksURL: c.JWKSURL,
	}
	if c.Client != nil {
		client := *c.Client
		e.client = &client
	}
	// Whoever can redirect a key fetch could choose the keys.
	e.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return e
}

// newTransport is for a fetch every few minutes: it keeps no connection. It
// shares nothing with http.DefaultTransport, which anybody in the process may
// change.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: fetchTimeout}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// fetch gets the keys within fetchTimeout, whatever the user's RoundTripper does.
//
// If that fails, or if the keys lack the one that the fetch is for, they may have
// moved, and the discovery document is read again. After a failure, what it says
// serves the next fetch; after a good answer the new place is asked at once.
func (e *endpoint) fetch(ctx context.Context, calls *foreignCalls, f *fetch) answer {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	startedAt := e.now()
	place, mayMove := e.location()
	a := e.fetchFrom(ctx, calls, place, mayMove)
	lacking := a.failure == "" && f.cause == CauseUnknownKID && !slices.Contains(a.keys.KIDs(), f.kid)
	if mayMove && (a.failure != "" || lacking) && ctx.Err() == nil {
		moved, err := callForeign(ctx, calls, e.discover)
		if err == nil && lacking && moved != place {
			a = e.fetchFrom(ctx, calls, moved, false)
		}
	}
	a.fetchedAt = startedAt
	return a
}

// location is where the keys are, "" if that is not known yet, and whether it may
// be time to ask again.
func (e *endpoint) location() (place string, mayMove bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	since := elapsed(e.readAt, e.now())
	return e.jwksURL, e.jwksURL != "" && e.discoveryURL != "" && (since < 0 || since >= discoveryInterval)
}

// fetchFrom gets the keys from place, or from where the discovery document says
// if that is "".
func (e *endpoint) fetchFrom(ctx context.Context, calls *foreignCalls, place string, mayMove bool) answer {
	if mayMove {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, fetchTimeout-discoveryShare)
		defer cancel()
	}
	a, err := callForeign(ctx, calls, func(ctx context.Context) (answer, error) {
		if place == "" {
			found, err := e.discover(ctx)
			if err != nil {
				return answer{failure: "discovery: " + err.Error(), retryAfter: retryAfterOf(err)}, nil
			}
			place = found
		}
		return e.fetchKeys(ctx, place), nil
	})
	switch {
	case errors.Is(err, errPanic):
		return answer{failure: "panic in the HTTP client"}
	case err != nil:
		failed := answer{failure: classOf(ctx, err)}
		if failed.url, _ = e.location(); failed.url == "" {
			failed.failure = "discovery: " + failed.failure
		}
		return failed
	}
	return a
}

func (e *endpoint) fetchKeys(ctx context.Context, place string) answer {
	document, header, err := e.get(ctx, place)
	if err != nil {
		return answer{failure: err.Error(), retryAfter: retryAfterOf(err), url: place}
	}
	keys, err := e.parseKeys(document)
	if err != nil {
		return answer{failure: err.Error(), url: place}
	}
	return answer{keys: keys, lifetime: lifetime(header), document: document, url: place}
}

// discover reads the discovery document.
func (e *endpoint) discover(ctx context.Context) (string, error) {
	e.mu.Lock()
	e.readAt = e.now()
	e.mu.Unlock()
	document, _, err := e.get(ctx, e.discoveryURL)
	if err != nil {
		return "", err
	}
	place, err := e.parseMeta(document)
	if err != nil {
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if ctx.Err() == nil { // else a later reading may be here by now
		e.jwksURL = place
	}
	return place, nil
}

// fetchError is why a GET failed.
type fetchError struct {
	class      string // safe to log: no URL, no body
	retryAfter time.Duration
}

func (e *fetchError) Error() string { return e.class }

func retryAfterOf(err error) time.Duration {
	if failed, ok := errors.AsType[*fetchError](err); ok {
		return failed.retryAfter
	}
	return 0
}

// get makes one GET. The body is closed in any case.
func (e *endpoint) get(ctx context.Context, place string) ([]byte, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, place, http.NoBody)
	if err != nil {
		return nil, nil, &fetchError{class: "no valid URL"}
	}
	request.Header.Set("Accept", "application/json")
	response, err := e.client.Do(request)
	if err != nil {
		return nil, nil, &fetchError{class: classOf(ctx, err)}
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		failed := &fetchError{class: "status " + strconv.Itoa(response.StatusCode)}
		switch {
		case response.StatusCode == http.StatusProxyAuthRequired:
			failed.class = proxyRefused
		case response.StatusCode/100 == 3 && response.StatusCode != http.StatusNotModified:
			failed.class = "redirect"
		}
		failed.retryAfter = retryAfter(response.Header, e.now())
		return nil, nil, failed
	}
	var document bytes.Buffer
	size, err := document.ReadFrom(io.LimitReader(response.Body, maxDocumentSize+1))
	switch {
	case err != nil:
		return nil, nil, &fetchError{class: classOf(ctx, err)}
	case size > maxDocumentSize:
		return nil, nil, &fetchError{class: "document too large"}
	}
	return document.Bytes(), response.Header, nil
}

const (
	// proxyRefused is the class where a proxy on the way wants credentials.
	proxyRefused = "proxy authentication required"
	// canceled is the class of a fetch that the cache itself has ended.
	canceled = "canceled"
)

// classOf names what went wrong in words that tell an operator where to look.
// The text of the error itself contains the URL.
func classOf(ctx context.Context, err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return canceled
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case is[*net.DNSError](err):
		return "dns"
	case is[*tls.CertificateVerificationError](err), is[x509.UnknownAuthorityError](err),
		is[x509.HostnameError](err), is[x509.CertificateInvalidError](err),
		is[tls.RecordHeaderError](err), is[tls.AlertError](err),
		errors.Is(err, http.ErrSchemeMismatch), strings.Contains(err.Error(), "tls: "): // most have no type
		return "tls"
	case strings.Contains(err.Error(), http.StatusText(http.StatusProxyAuthRequired)): // answered to CONNECT; has no type
		return proxyRefused
	}
	return "connection"
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// withoutCredentials is a URL without the parts that may hold a secret: user
// information and the query.
func withoutCredentials(place string) string {
	u, err := url.Parse(place)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.ForceQuery = nil, "", false
	return u.String()
}
