package reachfive

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	fetchTimeout = 5 * time.Second // for all that one fetch does

	// maxDocumentSize bounds an answer, in bytes after decompression: a JWK
	// Set of 100 keys of 4096 bits has less than 100 KB.
	maxDocumentSize = 512 << 10

	minLifetime     = time.Minute
	maxLifetime     = time.Hour
	defaultLifetime = 10 * time.Minute

	// discoveryEvery is how seldom the discovery document is read again.
	discoveryEvery = time.Minute
	// discoveryShare is what a fetch of the keys leaves of its time for
	// reading the discovery document again, should the keys have moved.
	discoveryShare = 1500 * time.Millisecond
)

// fetchResult is what came of one fetch.
type fetchResult struct {
	failure    string // its class, "" if the fetch was good; safe to log
	set        *keySet
	lifetime   time.Duration
	retryAfter time.Duration
	document   []byte
	url        string // where the keys were asked for
}

// keySource fetches the tenant's key set over HTTP.
type keySource struct {
	client       *http.Client
	issuer       string
	discoveryURL string // "" without discovery
	now          func() time.Time

	mu      sync.Mutex
	jwksURL string    // configured, or read from the discovery document
	readAt  time.Time // when that was last tried
}

func newKeySource(c *config) *keySource {
	s := &keySource{client: &http.Client{Transport: newTransport()}, issuer: c.issuer, now: c.now, jwksURL: c.jwksURL}
	if c.client != nil {
		client := *c.client
		s.client = &client
	}
	// Whoever can redirect a key fetch could choose the keys.
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.discovery {
		s.discoveryURL = "https://" + c.domain + "/.well-known/openid-configuration"
	}
	return s
}

// newTransport is for a fetch every few minutes: it keeps no connection. It owes
// nothing to http.DefaultTransport, which anybody in the process may change.
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

// fetch gets the key set within fetchTimeout, whatever the caller's own
// RoundTripper does. If that fails, the keys may have moved: what the discovery
// document says now serves the next fetch, and is nothing to this one's outcome.
func (s *keySource) fetch(ctx context.Context, calls *calls) fetchResult {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	jwksURL, mayMove := s.location()
	result := s.fetchFrom(ctx, calls, jwksURL, mayMove)
	if result.failure != "" && mayMove && ctx.Err() == nil {
		_, _ = within(ctx, calls, func(ctx context.Context) (string, error) {
			moved, _ := s.discover(ctx)
			return moved, nil
		})
	}
	return result
}

// location is where the keys are, "" if that is not known yet, and whether it
// may be time to ask again.
func (s *keySource) location() (jwksURL string, mayMove bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := elapsed(s.readAt, s.now())
	return s.jwksURL, s.jwksURL != "" && s.discoveryURL != "" && (since < 0 || since >= discoveryEvery)
}

// fetchFrom gets the key set from jwksURL, or from where the discovery document
// says.
func (s *keySource) fetchFrom(ctx context.Context, calls *calls, jwksURL string, mayMove bool) fetchResult {
	if mayMove {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, fetchTimeout-discoveryShare)
		defer cancel()
	}
	result, err := within(ctx, calls, func(ctx context.Context) (fetchResult, error) {
		where := jwksURL
		if where == "" {
			var failed *fetchError
			if where, failed = s.discover(ctx); failed != nil {
				return fetchResult{failure: "discovery: " + failed.class, retryAfter: failed.retryAfter}, nil
			}
		}
		return s.fetchKeys(ctx, where), nil
	})
	switch {
	case errors.Is(err, errPanic):
		return fetchResult{failure: "panic in the HTTP client"}
	case err != nil:
		failed := fetchResult{failure: classOf(ctx, err)}
		if failed.url, _ = s.location(); failed.url == "" {
			failed.failure = "discovery: " + failed.failure
		}
		return failed
	}
	return result
}

func (s *keySource) fetchKeys(ctx context.Context, jwksURL string) fetchResult {
	document, header, failed := s.get(ctx, jwksURL)
	if failed != nil {
		return fetchResult{failure: failed.class, retryAfter: failed.retryAfter, url: jwksURL}
	}
	set, err := parseKeySet(document)
	if err != nil {
		return fetchResult{failure: err.Error(), url: jwksURL}
	}
	return fetchResult{set: set, lifetime: lifetime(header), document: document, url: jwksURL}
}

// discover reads jwks_uri from the tenant's discovery document, whose issuer
// must be the one that tokens have (OpenID Connect Discovery section 4.3).
func (s *keySource) discover(ctx context.Context) (string, *fetchError) {
	s.mu.Lock()
	s.readAt = s.now()
	s.mu.Unlock()
	document, _, failed := s.get(ctx, s.discoveryURL)
	if failed != nil {
		return "", failed
	}
	var (
		r               objectReader
		issuer, jwksURI string
	)
	if err := r.open(document); err != nil {
		return "", &fetchError{class: "no JSON object"}
	}
	for {
		name, at, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", &fetchError{class: "no JSON object"}
		}
		if raw := string(document[at.start:at.end]); raw[0] == '"' {
			switch string(name) {
			case "issuer":
				issuer = unquote(raw)
			case "jwks_uri":
				jwksURI = unquote(raw)
			}
		}
	}
	switch {
	case issuer != s.issuer:
		return "", &fetchError{class: "another issuer"}
	case jwksURLError(jwksURI, false) != nil:
		return "", &fetchError{class: "jwks_uri is no https URL"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() == nil { // else another reading may be here by now
		s.jwksURL = jwksURI
	}
	return jwksURI, nil
}

// fetchError is why a GET failed.
type fetchError struct {
	class      string // safe to log: no URL, no body
	retryAfter time.Duration
}

// get makes one GET. The body is closed whatever comes.
func (s *keySource) get(ctx context.Context, url string) ([]byte, http.Header, *fetchError) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, nil, &fetchError{class: "no valid URL"}
	}
	request.Header.Set("Accept", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, nil, &fetchError{class: classOf(ctx, err)}
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		failed := &fetchError{class: "status " + strconv.Itoa(response.StatusCode)}
		if response.StatusCode/100 == 3 && response.StatusCode != http.StatusNotModified {
			failed.class = "redirect"
		}
		failed.retryAfter = retryAfter(response.Header, s.now())
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

// classOf names what went wrong in words that tell an operator where to look.
// The error's own text has the URL in it.
func classOf(ctx context.Context, err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return "canceled"
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case is[*net.DNSError](err):
		return "dns"
	case is[*tls.CertificateVerificationError](err), is[x509.UnknownAuthorityError](err),
		is[x509.HostnameError](err), is[x509.CertificateInvalidError](err),
		is[tls.RecordHeaderError](err), is[tls.AlertError](err),
		errors.Is(err, http.ErrSchemeMismatch), strings.Contains(err.Error(), "tls: "): // most have no type
		return "tls"
	}
	return "connection"
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// lifetime is how long a key set is fresh: Cache-Control's max-age (RFC 9111
// section 5.2.2.1) within bounds that neither a mistake nor malice of a cache
// in between can leave. Of several the shortest counts; one that is no number
// is none at all, and so at once over.
func lifetime(header http.Header) time.Duration {
	shortest := time.Duration(-1)
	for _, value := range header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(value, ",") {
			name, argument, _ := strings.Cut(strings.TrimSpace(directive), "=")
			if !strings.EqualFold(name, "max-age") {
				continue
			}
			age := wholeSeconds(strings.Trim(argument, `"`), maxLifetime)
			if shortest < 0 || age < shortest {
				shortest = age
			}
		}
	}
	if shortest < 0 {
		return defaultLifetime
	}
	return max(shortest, minLifetime)
}

// wholeSeconds reads delta-seconds (RFC 9111 section 1.2.2) up to most, and 0
// for what is none.
func wholeSeconds(text string, most time.Duration) time.Duration {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0
		}
	}
	seconds, err := strconv.ParseUint(text, 10, 31)
	switch {
	case text == "":
		return 0
	case err != nil: // too large for 31 bits
		return most
	}
	return min(time.Duration(seconds)*time.Second, most)
}

// retryAfter reads Retry-After (RFC 9110 section 10.2.3), seconds or a date.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), maxRetryAfter)
	}
	return wholeSeconds(value, maxRetryAfter)
}
