package reachfive_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// metadata answers for the tenant's discovery document, and notes where keys
// are asked for.
type metadata struct {
	next http.RoundTripper

	mu       sync.Mutex
	document string // "" hangs, "down" fails, "busy" asks for 20 seconds
	readings int
	hosts    []string
	frozen   map[string]string // what hosts answer that have no newer keys
}

// freeze makes a host answer with this key set from now on.
func (m *metadata) freeze(host, keys string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frozen = map[string]string{host: keys}
}

func (m *metadata) set(document string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.document = document
}

// seen returns how often the document was read, and where keys were asked for.
func (m *metadata) seen() (readings int, hosts []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.readings, slices.Clone(m.hosts)
}

func (m *metadata) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	document := m.document
	if r.URL.Path == "/.well-known/openid-configuration" {
		m.readings++
		m.mu.Unlock()
		switch document {
		case "":
			<-r.Context().Done()
			return nil, r.Context().Err()
		case "down":
			return nil, errors.New("down")
		case "busy":
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"20"}}, Body: http.NoBody}, nil
		}
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(document))}, nil
	}
	m.hosts = append(m.hosts, r.URL.Host)
	frozen := m.frozen[r.URL.Host]
	m.mu.Unlock()
	if frozen != "" {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(frozen))}, nil
	}
	r = r.Clone(r.Context())
	if r.URL.Host == "gone.example" {
		return nil, errors.New("no such host")
	}
	r.URL.Host, r.URL.Path = "tenant.localhost", "/jwks.json"
	return m.next.RoundTrip(r)
}

func newDiscoveringFixture(t *testing.T, opts ...reachfive.Option) (*fixture, *metadata) {
	w := newFixture(t)
	m := &metadata{next: w.Client().Transport}
	w.v = w.verifier(append([]reachfive.Option{
		reachfive.WithDiscovery(), reachfive.WithHTTPClient(&http.Client{Transport: m}),
	}, opts...)...)
	return w, m
}

func metadataOf(issuer, jwksURI string) string {
	return `{"issuer":"` + issuer + `","n":1,"other":[1,{"issuer":"x"}],"jwks_uri":"` + jwksURI + `"}`
}

func TestKeyDiscoveryFindsKeysOnAnyHTTPSHost(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w, m := newDiscoveringFixture(t)
		assert.Empty(t, w.v.Status().JWKSURL)
		m.set(metadataOf(w.Issuer(), "https://keys.example/set?v=1"))
		w.accepts(w.Token())
		assert.Equal(t, "https://keys.example/set", w.v.Status().JWKSURL, "a query may hold a secret")
		for range 10 { // good fetches read it no more
			require.NoError(t, w.v.Refresh(t.Context()))
			advance(2 * time.Minute)
		}
		readings, _ := m.seen()
		assert.Equal(t, 1, readings)
	})
}

func TestKeyDiscoveryRefusesADocument(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, document, class string }{
		{"of another issuer", metadataOf("https://evil.example", "https://keys.example/"), "discovery: another issuer"},
		{"without issuer", `{"jwks_uri":"https://keys.example/"}`, "discovery: another issuer"},
		{"with two issuers", `{"issuer":"https://tenant.localhost","issuer":"https://tenant.localhost","jwks_uri":"https://keys.example/"}`, "discovery: no JSON object"},
		{"with an http jwks_uri", metadataOf("https://tenant.localhost", "http://keys.example/"), "discovery: jwks_uri is no https URL"},
		{"with a loopback jwks_uri", metadataOf("https://tenant.localhost", "http://127.0.0.1/"), "discovery: jwks_uri is no https URL"},
		{"without jwks_uri", `{"issuer":"https://tenant.localhost"}`, "discovery: jwks_uri is no https URL"},
		{"that is no JSON", `<html>`, "discovery: no JSON object"},
		{"with something after it", metadataOf("https://tenant.localhost", "https://keys.example/") + "x", "discovery: no JSON object"},
		{"that is too large", strings.Repeat(" ", 512<<10+1), "discovery: document too large"},
		{"that never comes", "", "discovery: timeout"},
		{"that cannot be had", "down", "discovery: connection"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w, m := newDiscoveringFixture(t)
				m.set(tt.document)
				w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
				assert.Equal(t, tt.class, w.v.Status().LastError)
				assert.Empty(t, m.hosts)
				m.set(metadataOf(w.Issuer(), "https://keys.example/"))
				advance(time.Second)
				w.accepts(w.Token()) // the first reading is tried as often as a fetch
			})
		})
	}
}

func TestKeyDiscoveryThatAsksForTimeGetsIt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w, m := newDiscoveringFixture(t)
		m.set("busy")
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
		s := w.v.Status()
		assert.Equal(t, "discovery: status 503", s.LastError)
		assert.Equal(t, 20*time.Second, time.Until(s.NextAttempt))
		m.set(metadataOf(w.Issuer(), "https://keys.example/"))
		advance(20*time.Second - time.Nanosecond)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
		advance(time.Nanosecond)
		w.accepts(w.Token())
	})
}

func TestKeyDiscoveryIsNotReadTwiceForOneFetch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w, m := newDiscoveringFixture(t)
		m.set(metadataOf(w.Issuer(), "https://keys.example/"))
		w.SetDown(true)
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
		assert.Equal(t, "status 503", w.v.Status().LastError)
		readings, hosts := m.seen()
		assert.Equal(t, 1, readings, "it was read for this fetch, and cannot be newer")
		assert.Equal(t, []string{"keys.example"}, hosts)
	})
}

func TestKeyDiscoveryAndKeysShareTheirFiveSeconds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w, m := newDiscoveringFixture(t)
		m.set(metadataOf(w.Issuer(), "https://keys.example/"))
		w.accepts(w.Token())
		w.OnJWKS(hang())
		m.set("")
		advance(10 * time.Minute)
		assert.Equal(t, 5*time.Second, took(func() { w.accepts(w.Token()) }))
		readings, _ := m.seen()
		assert.Equal(t, 2, readings, "a hanging key endpoint left no time to ask where it went")
	})
}

func TestKeyDiscoveryReadingThatComesLateIsDropped(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newFixture(t)
		var asked atomic.Bool // a call that hangs is not waited for
		transport := w.Client().Transport
		w.v = w.verifier(reachfive.WithDiscovery(), reachfive.WithHTTPClient(&http.Client{
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "old.example" {
					return nil, errors.New("no such host")
				}
				if strings.Contains(r.URL.Path, "openid-configuration") {
					uri := "https://new.example/"
					if !asked.Swap(true) {
						uri = "https://old.example/"
						<-release
					}
					return &http.Response{
						StatusCode: http.StatusOK, Header: http.Header{},
						Body: io.NopCloser(strings.NewReader(metadataOf(w.Issuer(), uri))),
					}, nil
				}
				r = r.Clone(context.WithoutCancel(r.Context()))
				r.URL.Host, r.URL.Path = "tenant.localhost", "/jwks.json"
				return transport.RoundTrip(r)
			}),
		}))
		w.refuses(w.Token(), reachfive.CodeKeysUnavailable)
		require.NoError(t, w.v.Refresh(t.Context()))
		close(release)
		synctest.Wait()
		require.NoError(t, w.v.Refresh(t.Context()))
		assert.Equal(t, "https://new.example/", w.v.Status().JWKSURL)
	})
}

func TestKeyDiscoveryThatHangsTakesNothingFromTheAnswerOfTheKeys(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w, m := newDiscoveringFixture(t)
		m.set(metadataOf(w.Issuer(), "https://keys.example/"))
		w.accepts(w.Token())
		advance(time.Hour)
		w.OnJWKS(status(503, "Retry-After", "240"))
		m.set("") // hangs
		before := w.requests()
		for start := time.Now(); time.Since(start) < 230*time.Second; advance(time.Second) {
			w.accepts(w.Token())
		}
		assert.Equal(t, 1, w.requests()-before, "Retry-After binds")
		assert.Equal(t, "status 503", w.v.Status().LastError)
	})
}

func TestKeyDiscoveryIsNotReadAgainAfterClose(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		w, m := newDiscoveringFixture(t)
		m.set(metadataOf(w.Issuer(), "https://keys.example/"))
		w.accepts(w.Token())
		advance(time.Hour)
		w.OnJWKS(hang())
		go func() { _ = w.v.Refresh(t.Context()) }()
		synctest.Wait()
		require.NoError(t, w.v.Close())
		readings, _ := m.seen()
		assert.Equal(t, 1, readings)
	})
}
