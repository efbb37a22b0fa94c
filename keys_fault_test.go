package reachfive_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// badAnswers are the answers that are a failed fetch, by what Status calls them.
func badAnswers() []struct {
	name   string
	answer func(http.ResponseWriter, *http.Request) bool
	class  string
} {
	return []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request) bool
		class  string
	}{
		{"F7 status 500", status(500), "status 500"},
		{"F7 status 502", status(502), "status 502"},
		{"F7 status 503", status(503), "status 503"},
		{"F7 status 404", status(404), "status 404"},
		{"F7 status 204", status(204), "status 204"},
		{"F7 status 304 unasked", status(304), "status 304"},
		{"F7 status 206", status(206), "status 206"},
		{"F8 status 429", status(429, "Retry-After", "1"), "status 429"},
		{"F6 never", hang(), "timeout"},
		{"F5 a byte a second", answering(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				w.(http.Flusher).Flush()
				pass(time.Second)
			}
		}), "timeout"},
		{"F9 cut JSON", document(`{"keys":[{"kty":"RSA"`), "no JWK Set"},
		{"F10 shorter than its Content-Length", answering(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"keys":[]}`)
		}), "connection"},
		{"F10 connection cut", answering(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "connection"},
		{"F11 HTML", document("<!doctype html><title>Sign in to the Wi-Fi</title>"), "no JWK Set"},
		{"F12 no keys", document(`{"keys":[]}`), "no usable key"},
		{"F12 keys null", document(`{"keys":null}`), "no JWK Set"},
		{"F12 no member keys", document(`{}`), "no JWK Set"},
		{"F12 an array", document(`[]`), "no JWK Set"},
		{"F12 null", document(`null`), "no JWK Set"},
		{"F12 nothing", document(``), "no JWK Set"},
		{"F12 keys an object", document(`{"keys":{}}`), "no JWK Set"},
		{"F12 keys twice", document(`{"keys":[],"keys":[]}`), "no JWK Set"},
		{"F12 a byte order mark", document("\ufeff{\"keys\":[]}"), "no JWK Set"},
		{"F13 an endless body", answering(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(" ", 4096)); err != nil {
					return
				}
			}
		}), "document too large"},
		{"F13 one byte too much", document(strings.Repeat(" ", 512<<10+1)), "document too large"},
		{"F30 a redirect to another host", status(302, "Location", "https://evil.example/jwks.json"), "redirect"},
		{"F30 a redirect to http", status(301, "Location", "http://tenant.localhost/jwks.json"), "redirect"},
		{"F30 a redirect to itself", status(307, "Location", "/jwks.json"), "redirect"},
		{"F30 a redirect to the same host", status(308, "Location", "/other.json"), "redirect"},
	}
}

func TestKeyFaultLeavesTheLastGoodSetInPlace(t *testing.T) {
	for _, tt := range badAnswers() {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t)
				bodies := countBodies(w.Client().Transport)
				w.v = w.verifier(reachfive.WithHTTPClient(&http.Client{Transport: bodies}))
				token := w.Token()
				w.accepts(token)
				w.OnJWKS(tt.answer)
				pass(10 * time.Minute)
				assert.LessOrEqual(t, took(func() { w.accepts(token) }), 5*time.Second)
				w.acceptsAtOnce(token)
				s := w.v.Status()
				assert.True(t, s.Failing)
				assert.Equal(t, tt.class, s.LastError)
				assert.Equal(t, 2, w.requests(), "a redirect was followed, or a fetch repeated")
				w.OnJWKS(nil)
				pass(2 * time.Second)
				w.acceptsAtOnce(token)
				synctest.Wait()
				assert.False(t, w.v.Status().Failing)
				assert.Zero(t, bodies.open(), "a body was left open")
			})
		})
	}
}

func TestKeyFaultAtTheStartIsUnavailableUntilTheFirstGoodFetch(t *testing.T) { // F1, F2
	for _, tt := range badAnswers() {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.OnJWKS(tt.answer)
				assert.LessOrEqual(t, took(func() {
					_, err := w.v.Verify(t.Context(), w.Token())
					unavailable(t, err)
					require.ErrorContains(t, err, tt.class)
				}), 5*time.Second)
				w.OnJWKS(nil)
				assert.Zero(t, took(func() { w.refuses(w.Token(), reachfive.CodeKeysUnavailable) }), "backoff")
				pass(2 * time.Second)
				w.accepts(w.Token())
				assert.Equal(t, []reachfive.State{reachfive.StateFailing, reachfive.StateRecovered}, w.stateChanges())
			})
		})
	}
}

func TestKeyDocumentIsTakenWhateverItsContentType(t *testing.T) { // F11
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		set := `{"keys":[` + w.JWK(w.KID()) + `]}`
		w.OnJWKS(answering(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(rw, set)
		}))
		w.accepts(w.Token())
	})
}

func TestKeyDocumentIsOneAndNothingAfterIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		set := `{"keys":[` + w.JWK(w.KID()) + `]}`
		for _, tt := range []struct {
			document string
			good     bool
		}{
			{set, true},
			{" \r\n" + set + "\n\t ", true},
			{`{"other":[{"keys":[]}],` + set[1:], true},
			{set + `{}`, false},
			{set + `x`, false},
			{set[:len(set)-1], false},
			{set + "\x00", false},
		} {
			w.OnJWKS(document(tt.document))
			err := w.verifier().Refresh(t.Context())
			assert.Equal(t, tt.good, err == nil, tt.document)
		}
	})
}

func TestKeyDocumentMayHaveExactlyTheLargestSize(t *testing.T) { // F13
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		set := `{"keys":[` + w.JWK(w.KID()) + `]}`
		w.OnJWKS(document(set + strings.Repeat(" ", 512<<10-len(set))))
		require.NoError(t, w.v.Refresh(t.Context()))
		w.OnJWKS(document(set + strings.Repeat(" ", 512<<10-len(set)+1)))
		unavailable(t, w.v.Refresh(t.Context()))
		assert.Equal(t, "document too large", w.v.Status().LastError)
	})
}

func TestKeyFetchAsksForJSONAndTellsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		var asked []*http.Request
		transport := w.Client().Transport
		w.v = w.verifier(reachfive.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r)
			return transport.RoundTrip(r)
		})}))
		w.accepts(w.Token())
		require.Len(t, asked, 1)
		assert.Equal(t, http.MethodGet, asked[0].Method)
		assert.Equal(t, http.Header{"Accept": {"application/json"}}, asked[0].Header)
	})
}

func TestKeyLifetimeIsCacheControlsWithinBounds(t *testing.T) { // F31
	const standard = 10 * time.Minute
	for _, tt := range []struct {
		header []string
		want   time.Duration
	}{
		{nil, standard},
		{[]string{""}, standard},
		{[]string{"max-age=300"}, 5 * time.Minute},
		{[]string{"Max-Age=300"}, 5 * time.Minute},
		{[]string{`max-age="300"`}, 5 * time.Minute},
		{[]string{"public, max-age=300 , must-revalidate"}, 5 * time.Minute},
		{[]string{"public,max-age=300"}, 5 * time.Minute},
		{[]string{"max-age=300", "max-age=120"}, 2 * time.Minute},
		{[]string{"max-age=59"}, time.Minute},
		{[]string{"max-age=0"}, time.Minute},
		{[]string{"max-age=-1"}, time.Minute},
		{[]string{"max-age=1e3"}, time.Minute},
		{[]string{"max-age="}, time.Minute},
		{[]string{"max-age"}, time.Minute},
		{[]string{"max-age=3600"}, time.Hour},
		{[]string{"max-age=3601"}, time.Hour},
		{[]string{"max-age=31536000, immutable"}, time.Hour},
		{[]string{"max-age=100000000000000000000"}, time.Hour},
		{[]string{"s-maxage=60"}, standard},
		{[]string{"no-store"}, standard},
		{[]string{"no-cache, must-revalidate"}, standard},
		// The time that the answer has spent in caches on the way (RFC 9111 4.2).
		{[]string{"max-age=300", "Age: 60"}, 4 * time.Minute},
		{[]string{"max-age=86400", "Age: 60"}, time.Hour},
		{[]string{"max-age=86400", "Age: 84600"}, 30 * time.Minute},
		{[]string{"max-age=300", "Age: 299"}, time.Minute},
		{[]string{"max-age=300", "Age: 100000000000000000000"}, time.Minute},
		{[]string{"max-age=100000000000000000000", "Age: 60"}, time.Hour},
		{[]string{"max-age=300", "Age: -60"}, 5 * time.Minute},
		{[]string{"max-age=300", "Age: 1e2"}, 5 * time.Minute},
		{[]string{"max-age=300", "Age: "}, 5 * time.Minute},
		{[]string{"no-cache", "Age: 300"}, standard},
	} {
		t.Run(strings.Join(tt.header, "; "), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t)
				set := `{"keys":[` + w.JWK(w.KID()) + `]}`
				w.OnJWKS(answering(func(rw http.ResponseWriter, _ *http.Request) {
					for _, value := range tt.header {
						if age, ok := strings.CutPrefix(value, "Age: "); ok {
							rw.Header().Set("Age", age)
							continue
						}
						rw.Header().Add("Cache-Control", value)
					}
					rw.Header().Set("Expires", "Thu, 01 Dec 1994 16:00:00 GMT")
					_, _ = io.WriteString(rw, set)
				}))
				require.NoError(t, w.v.Refresh(t.Context()))
				s := w.v.Status()
				assert.Equal(t, tt.want, s.FreshUntil.Sub(s.FetchedAt))
				// An hour of steady traffic costs between 1 and 75 fetches.
				token := w.Token()
				for start := time.Now(); time.Since(start) < time.Hour; pass(5 * time.Second) {
					w.acceptsAtOnce(token)
				}
				assert.LessOrEqual(t, w.requests(), 76)
				assert.GreaterOrEqual(t, w.requests(), 2)
			})
		})
	}
}

func TestKeyAdmissionIsKeyByKey(t *testing.T) { // F14, F15, F20
	weak := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeyBits(1024))
	strong := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()...))
	jwk := strong.JWK(strong.KID())
	member := func(name, value string) string {
		if start := strings.Index(jwk, `"`+name+`":"`); start >= 0 {
			end := start + len(name) + 4 + strings.Index(jwk[start+len(name)+4:], `"`) + 1
			return jwk[:start] + `"` + name + `":` + value + jwk[end:]
		}
		return `{"` + name + `":` + value + `,` + jwk[1:]
	}
	without := func(name string) string {
		return strings.NewReplacer(`{"`+name+`x":0,`, `{`, `,"`+name+`x":0`, ``).Replace(
			strings.Replace(member(name, "0"), `"`+name+`":0`, `"`+name+`x":0`, 1))
	}
	large := base64.RawURLEncoding.EncodeToString(append([]byte{1, 0, 0, 0, 0}, 0, 1, 0, 1)) // 2^64 + 65537
	for _, tt := range []struct {
		name string
		jwk  string
		used bool
	}{
		{"as it is", jwk, true},
		{"without use", without("use"), true},
		{"without alg", without("alg"), true},
		{"without kid", without("kid"), true},
		{"unknown members", member("x5t#S256", `"AAAA"`), true},
		{"key_ops with verify", member("key_ops", `["verify"]`), true},
		{"use null", member("use", `null`), false},
		{"alg null", member("alg", `null`), false},
		{"use enc", member("use", `"enc"`), false},
		{"use a number", member("use", `1`), false},
		{"alg PS256", member("alg", `"PS256"`), false},
		{"alg RS512", member("alg", `"RS512"`), false},
		{"alg rs256", member("alg", `"rs256"`), false},
		{"alg none", member("alg", `"none"`), false},
		{"key_ops encrypt", member("key_ops", `["encrypt"]`), false},
		{"key_ops empty", member("key_ops", `[]`), false},
		{"key_ops a string", member("key_ops", `"verify"`), false},
		{"kid empty", member("kid", `""`), false},
		{"kid a number", member("kid", `1`), false},
		{"kid of 257 bytes", member("kid", `"`+strings.Repeat("k", 257)+`"`), false},
		{"e 3", member("e", `"Aw"`), false},
		{"e 1", member("e", `"AQ"`), false},
		{"e 65536", member("e", `"AQAA"`), false},
		{"e beyond 64 bits", member("e", `"`+large+`"`), false},
		{"e 2^31 + 1", member("e", `"gAAAAQ"`), false},
		{"e with a leading zero", member("e", `"AAEAAQ"`), false},
		{"e padded", member("e", `"AQAB===="`), false},
		{"without e", without("e"), false},
		{"without n", without("n"), false},
		{"n with a line break", strings.Replace(jwk, `"n":"`, `"n":"\n`, 1), false},
		{"1024 bits", weak.JWK(weak.KID()), false},
		{"with a private member", member("d", `"AQAB"`), false},
		{"with other primes", member("oth", `[]`), false},
		{"with a secret", member("k", `"c2VjcmV0"`), false},
		{"kty oct", `{"kty":"oct","kid":"key-1","k":"` + strings.Repeat("A", 43) + `","alg":"HS256"}`, false},
		{"kty EC", `{"kty":"EC","crv":"P-256","kid":"key-1","x":"AA","y":"AA"}`, false},
		{"kty AKP", `{"kty":"AKP","alg":"ML-DSA-65","pub":"AA","kid":"key-1"}`, false},
		{"kty missing", without("kty"), false},
		{"kty rsa", member("kty", `"rsa"`), false},
		{"a member twice", `{"kid":"x",` + jwk[1:], false},
		{"no object", `42`, false},
		{"bad UTF-8", member("kid", "\"\xff\""), false},
		{"too deep", member("x", strings.Repeat("[", 20)+strings.Repeat("]", 20)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, beside := range []bool{false, true} {
				keys, skipped := 0, 1
				if beside {
					keys++
				}
				if tt.used {
					keys, skipped = keys+1, skipped-1
				}
				inBubble(t, func(t *testing.T) {
					w := newWorld(t)
					good := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()[7]))
					set := tt.jwk
					if beside {
						set += "," + strings.Replace(good.JWK(good.KID()), "key-1", "good", 1)
					}
					w.OnJWKS(document(`{"keys":[` + set + `]}`))
					err := w.v.Refresh(t.Context())
					if keys == 0 {
						unavailable(t, err)
						return
					}
					require.NoError(t, err)
					s := w.v.Status()
					assert.Len(t, s.Keys, keys)
					assert.Equal(t, uint64(skipped), s.SkippedKeys)
					if beside {
						w.accepts(good.Token(reachfivetest.KID("good")))
					}
					if tt.used {
						w.accepts(strong.Token())
					}
				})
			}
		})
	}
}

func TestKeyOfOddSizesAndSecretsIsNoWayIn(t *testing.T) { // F15
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		secret := strings.Repeat("s", 32)
		w.PublishRaw(`{"kty":"oct","kid":"secret","alg":"HS256","k":"` + base64.RawURLEncoding.EncodeToString([]byte(secret)) + `"}`)
		w.accepts(w.Token())
		w.refuses(w.Token(reachfivetest.HS256With(secret), reachfivetest.KID("secret")), reachfive.CodeUnsupportedAlgorithm)
		w.refuses(w.Token(reachfivetest.KID("secret")), reachfive.CodeUnknownKey)
		assert.Equal(t, uint64(1), w.v.Status().SkippedKeys)
	})
}

func TestKeyTwiceUnderOneKIDIsTriedTwice(t *testing.T) { // F20
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		twin := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()[6:]...))
		w.PublishRaw(twin.JWK(twin.KID()))
		w.accepts(w.Token())
		w.accepts(twin.Token())
		assert.Len(t, w.v.Status().Keys, 2)
		w.refuses(w.Token(reachfivetest.WrongKey()), reachfive.CodeInvalidSignature)
		assert.Equal(t, 1, w.requests())
	})
}

func TestKeySetHasAtMostAHundredKeys(t *testing.T) { // F13
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		good := w.JWK(w.KID())
		w.OnJWKS(document(`{"keys":[` + strings.Repeat(`{},`, 99) + good + `]}`))
		require.NoError(t, w.v.Refresh(t.Context()))
		assert.Equal(t, uint64(99), w.v.Status().SkippedKeys)
		w.OnJWKS(document(`{"keys":[` + strings.Repeat(`{},`, 100) + good + `]}`))
		unavailable(t, w.v.Refresh(t.Context()))
		w.OnJWKS(document(`{"keys":[` + good + strings.Repeat(`,{}`, 100_000) + `]}`))
		require.NoError(t, w.v.Refresh(t.Context()))
		assert.Equal(t, uint64(100_000), w.v.Status().SkippedKeys)
	})
}

func TestKeyDNSFailureIsAFailedFetch(t *testing.T) { // F28
	for _, tt := range []struct {
		name, class string
		err         error
	}{
		{"no such host", "dns", &net.DNSError{Err: "no such host", Name: "tenant.localhost", IsNotFound: true}},
		{"a refusal", "connection", &net.OpError{Op: "dial", Err: errors.New("connection refused")}},
		{"a timeout of the network", "timeout", context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t)
				transport, fail := w.Client().Transport, false
				w.v = w.verifier(reachfive.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					if fail {
						return nil, tt.err
					}
					return transport.RoundTrip(r)
				})}))
				w.accepts(w.Token())
				fail = true
				pass(10 * time.Minute)
				w.accepts(w.Token())
				assert.Equal(t, tt.class, w.v.Status().LastError)
			})
		})
	}
}

// breach is a way in which a caller's own code breaks its contract.
type breach struct {
	name  string
	serve func(next http.RoundTripper, r *http.Request) (*http.Response, error)
	class string
}

func breaches(release <-chan struct{}) []breach {
	withBody := func(body func(io.ReadCloser) io.ReadCloser) func(http.RoundTripper, *http.Request) (*http.Response, error) {
		return func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			res, err := next.RoundTrip(r)
			if err == nil {
				res.Body = body(res.Body)
			}
			return res, err
		}
	}
	return []breach{
		{"RoundTrip panics", func(http.RoundTripper, *http.Request) (*http.Response, error) { panic("a bug") }, "panic in the HTTP client"},
		{"RoundTrip panics with nil", func(http.RoundTripper, *http.Request) (*http.Response, error) { panic(nil) }, "panic in the HTTP client"}, //nolint:govet // on purpose
		{"RoundTrip ends its goroutine", func(http.RoundTripper, *http.Request) (*http.Response, error) {
			runtime.Goexit()
			return nil, nil
		}, "panic in the HTTP client"},
		{"RoundTrip returns nothing", func(http.RoundTripper, *http.Request) (*http.Response, error) { return nil, nil }, "connection"},
		{"RoundTrip hangs whatever its context says", func(http.RoundTripper, *http.Request) (*http.Response, error) {
			<-release
			return nil, io.EOF
		}, "timeout"},
		{"Read panics", withBody(func(b io.ReadCloser) io.ReadCloser {
			return brokenBody{ReadCloser: b, read: func() { panic("a bug") }}
		}), "panic in the HTTP client"},
		{"Read hangs", withBody(func(b io.ReadCloser) io.ReadCloser {
			return brokenBody{ReadCloser: b, read: func() { <-release }}
		}), "timeout"},
		{"Close panics", withBody(func(b io.ReadCloser) io.ReadCloser {
			return brokenBody{ReadCloser: b, close: func() { panic("a bug") }}
		}), "panic in the HTTP client"},
	}
}

type brokenBody struct {
	io.ReadCloser
	read, close func()
}

func (b brokenBody) Read(p []byte) (int, error) {
	if b.read != nil {
		b.read()
	}
	return b.ReadCloser.Read(p)
}

func (b brokenBody) Close() error {
	err := b.ReadCloser.Close()
	if b.close != nil {
		b.close()
	}
	return err
}

func TestKeyBreachOfACallersRoundTripperIsAFailedFetch(t *testing.T) {
	for i, name := range breaches(nil) {
		t.Run(name.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				b := breaches(release)[i]
				w := newWorld(t)
				transport := w.Client().Transport
				var broken atomic.Bool // a call that hangs is never waited for
				broken.Store(true)
				w.v = w.verifier(reachfive.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					if broken.Load() {
						return b.serve(transport, r)
					}
					return transport.RoundTrip(r)
				})}))
				token := w.Token()
				assert.LessOrEqual(t, took(func() { w.refuses(token, reachfive.CodeKeysUnavailable) }), 5*time.Second)
				assert.Equal(t, b.class, w.v.Status().LastError)
				assert.Equal(t, w.Issuer()+"/jwks.json", w.v.Status().JWKSURL)
				broken.Store(false)
				pass(2 * time.Second)
				w.accepts(token)
				broken.Store(true)
				pass(10 * time.Minute)
				assert.LessOrEqual(t, took(func() { w.accepts(token) }), 5*time.Second)
				w.acceptsAtOnce(token)
				synctest.Wait() // until the fetch has ended, if not what it called
				assert.Zero(t, took(func() { require.NoError(t, w.v.Close()) }))
			})
		})
	}
}

func TestKeyObserverAndLoggerThatPanicEndNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.v = w.verifier(reachfive.WithObserver(reachfive.Observer{
			FetchDone:    func(context.Context, reachfive.FetchEvent) { panic("a bug") },
			StateChanged: func(reachfive.State) { panic("a bug") },
		}))
		w.accepts(w.Token())
		w.SetDown(true)
		pass(10 * time.Minute)
		w.accepts(w.Token())
		require.NoError(t, w.v.Close())
	})
}

func TestKeyTwoHundredFailuresLeaveNothingBehind(t *testing.T) { // F35
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		bodies := countBodies(w.Client().Transport)
		w.v = w.verifier(reachfive.WithHTTPClient(&http.Client{Transport: bodies}))
		token := w.Token()
		w.accepts(token)
		w.SetDown(true)
		before := bubbleGoroutines()
		for range 200 {
			pass(time.Minute)
			_ = w.verify(token)
			unavailable(t, w.v.Refresh(t.Context()))
		}
		assert.Equal(t, before, bubbleGoroutines())
		assert.Zero(t, bodies.open())
		assert.Greater(t, w.v.Status().Failures, uint64(200))
		assert.Len(t, w.logged(), 2, "one line for 200 failures")
	})
}

func TestKeyCountsOfAThousandFirstRequests(t *testing.T) { // F24
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.SetDelay(300 * time.Millisecond)
		token := w.Token()
		var callers sync.WaitGroup
		for range 1000 {
			callers.Go(func() { w.accepts(token) })
		}
		callers.Wait()
		assert.Equal(t, 1, w.requests())
		t.Logf("1000 concurrent first requests: %d fetch", w.requests())
	})
}

func TestKeyCountsOfAFloodOfJunkKIDs(t *testing.T) { // F22, F23
	for _, tt := range []struct {
		name     string
		distinct bool
		pace     time.Duration // between two tokens of one goroutine
	}{
		{"F22 10000 kids over 16 seconds", true, 100 * time.Millisecond},
		{"F22 10000 kids over 16 minutes", true, 6 * time.Second},
		{"F23 one kid 10000 times over 16 seconds", false, 100 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.SetCacheControl("max-age=3600")
				known := w.Token()
				w.accepts(known)
				start, before := time.Now(), w.requests()
				signed := w.Token()
				_, claims, _ := strings.Cut(signed, ".")
				var flood sync.WaitGroup
				for g := range 64 {
					flood.Go(func() {
						for i := range 157 {
							kid := "junk"
							if tt.distinct {
								kid += strconv.Itoa(g*157 + i)
							}
							// Nobody looks at the signature of an unknown kid.
							header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"` + kid + `"}`))
							if code := w.verify(header + "." + claims); code == reachfive.CodeKeysUnavailable {
								assert.True(t, tt.distinct, "the provider was asked about this kid")
							} else {
								assert.Equal(t, reachfive.CodeUnknownKey, code)
							}
							if i%10 == 0 {
								w.acceptsAtOnce(known)
							}
							pass(tt.pace)
						}
					})
				}
				flood.Wait()
				seconds := time.Since(start).Seconds()
				fetches := w.requests() - before
				assert.LessOrEqual(t, float64(fetches), 2+seconds/10)
				t.Logf("%d junk kids by 64 goroutines over T = %.0f s: %d fetches, 2 + T/10 = %.1f", 64*157, seconds, fetches, 2+seconds/10)
			})
		})
	}
}

func TestKeyEndpointThatHangsHoldsNoKnownKID(t *testing.T) { // F6, F27
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		token := w.Token()
		w.accepts(token)
		w.OnJWKS(hang())
		junk := w.Token(reachfivetest.KID("junk"))
		var flood sync.WaitGroup
		calls := 0
		for range 60 * 60 {
			flood.Go(func() { w.refuses(junk, reachfive.CodeKeysUnavailable) })
			synctest.Wait()
			w.acceptsAtOnce(token)
			calls++
			pass(time.Second)
		}
		flood.Wait()
		t.Logf("%d calls with a known kid while the endpoint hangs, over an hour: none waited", calls)
	})
}

// bodyCounter counts the response bodies that are open.
type bodyCounter struct {
	next http.RoundTripper
	mu   sync.Mutex
	n    int
}

func countBodies(next http.RoundTripper) *bodyCounter { return &bodyCounter{next: next} }

func (c *bodyCounter) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
}

func (c *bodyCounter) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *bodyCounter) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := c.next.RoundTrip(r)
	if err == nil {
		c.add(1)
		res.Body = brokenBody{ReadCloser: res.Body, close: sync.OnceFunc(func() { c.add(-1) })}
	}
	return res, err
}

// The provider answers an old request late, and has been down for newer ones
// since: that is no recovery, and its Retry-After still binds.
func TestKeyAnswerThatIsOlderThanAFailureEndsNoOutage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.accepts(w.Token())
		w.refuses(w.Token(reachfivetest.KID("junk1")), reachfive.CodeUnknownKey) // half of the budget
		document := `{"keys":[` + w.JWK(w.KID()) + `]}`
		var requests atomic.Int64
		w.OnJWKS(func(answer http.ResponseWriter, _ *http.Request) bool {
			if requests.Add(1) == 1 {
				time.Sleep(2 * time.Second)
				_, _ = io.WriteString(answer, document)
				return true
			}
			answer.Header().Set("Retry-After", "120")
			answer.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		junk := w.Token(reachfivetest.KID("junk2"))
		go func() { _, _ = w.v.Verify(t.Context(), junk) }() // the other half
		pass(time.Second)
		w.Rotate()
		rotated := w.Token()
		unavailable(t, w.v.Refresh(t.Context()))
		pass(1500 * time.Millisecond) // the late answer is here
		for range 60 {
			w.refuses(rotated, reachfive.CodeKeysUnavailable)
			pass(time.Second)
		}
		assert.EqualValues(t, 2, requests.Load())
		assert.True(t, w.v.Status().Failing)
		assert.Equal(t, []reachfive.State{reachfive.StateHealthy, reachfive.StateFailing}, w.stateChanges())
	})
}
