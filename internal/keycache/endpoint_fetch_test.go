package keycache

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// response answers with this status, body and header fields.
func response(status int, body string, header ...string) *http.Response {
	res := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i+1 < len(header); i += 2 {
		res.Header.Set(header[i], header[i+1])
	}
	return res
}

func withTransport(f roundTripper) func(*Config) {
	return func(c *Config) { c.Client = &http.Client{Transport: f} }
}

func TestFetchThatFailsHasAClass(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		class string
		res   *http.Response
		err   error
	}{
		{class: "status 500", res: response(500, "")},
		{class: "status 304", res: response(304, "")},
		{class: "redirect", res: response(302, "", "Location", "https://other.example/")},
		{class: "document too large", res: response(200, strings.Repeat(" ", maxDocumentSize+1))},
		{class: "no keys", res: response(200, "")},
		{class: "connection", err: errors.New("connection refused")},
		{class: "dns", err: &net.DNSError{}},
		{class: "timeout", err: context.DeadlineExceeded},
		{class: "tls", err: x509.UnknownAuthorityError{}},
		{class: "tls", err: errors.New("remote error: tls: protocol version not supported")},
	} {
		t.Run(tt.class, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProvider(t, "", withTransport(func(*http.Request) (*http.Response, error) { return tt.res, tt.err }))
				p.unavailable(tt.class)
				synctest.Wait()
				require.Len(t, p.events, 1)
				assert.Equal(t, tt.class, p.events[0].Failure)
				assert.Equal(t, CauseFirst, p.events[0].Cause)
				p.Close()
			})
		})
	}
}

func TestFetchFromWhatIsNoURLFails(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "", func(c *Config) { c.JWKSURL = "https://provider.example:port/" })
	p.unavailable("no valid URL")
	p.Close()
}

func TestFetchEndsAfterFiveSecondsWhateverTheClientDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := newProvider(t, "", withTransport(func(*http.Request) (*http.Response, error) {
			<-release
			return nil, io.EOF
		}))
		start := time.Now()
		p.unavailable("timeout")
		assert.Equal(t, 5*time.Second, time.Since(start))
		close(release)
		p.Close()
	})
}

func TestFetchRespectsRetryAfterWithinBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		value  string
		empty  time.Duration // without keys
		having time.Duration // with keys
	}{
		{"20", 20 * time.Second, 20 * time.Second},
		{"100", 30 * time.Second, 100 * time.Second},
		{"1000", 30 * time.Second, 5 * time.Minute},
		{"soon", time.Second, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			busy := true
			p := newProvider(t, "", withTransport(func(*http.Request) (*http.Response, error) {
				if busy {
					return response(503, "", "Retry-After", tt.value), nil
				}
				return response(200, "a"), nil
			}))
			assert.InDelta(t, tt.empty, p.unavailable("status 503"), float64(time.Second))
			busy = false
			require.NoError(t, p.Refresh(t.Context()))
			busy = true
			require.Error(t, p.Refresh(t.Context()))
			_, err := p.knows("x")
			var u *UnavailableError
			require.ErrorAs(t, err, &u)
			assert.InDelta(t, tt.having, u.RetryAfter, float64(time.Second))
			p.Close()
		})
	}
}

// The provider has moved: discovery says so, and the old place still answers.
func TestFetchFollowsDiscovery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		place, readings, newest := "https://old.example/", 0, "a b"
		p := newProvider(t, "", func(c *Config) {
			c.JWKSURL, c.DiscoveryURL = "", "https://provider.example/discovery"
			c.Client = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				switch r.URL.Host {
				case "provider.example":
					readings++
					if place == "" {
						return response(503, "", "Retry-After", "20"), nil
					}
					return response(200, place), nil
				case "old.example":
					return response(200, "a"), nil
				}
				return response(200, newest), nil
			})}
		})
		place = ""
		p.unavailable("discovery: status 503")
		assert.Empty(t, p.Status().URL)
		place = "https://old.example/"
		time.Sleep(20 * time.Second)
		p.serves("a")
		assert.Equal(t, "https://old.example/", p.Status().URL)
		place = "https://new.example/"
		time.Sleep(time.Minute)
		known, err := p.knows("b")
		require.NoError(t, err)
		assert.True(t, known)
		assert.Equal(t, "https://new.example/", p.Status().URL)
		assert.Equal(t, 3, readings)
		newest = "a b c"
		time.Sleep(time.Minute)
		known, err = p.knows("c")
		require.NoError(t, err)
		assert.True(t, known)
		assert.Equal(t, 3, readings, "the keys have not moved")
		p.Close()
	})
}

// A place that hangs leaves a second and a half for asking where the keys are, and
// a new place has what is left of the five seconds.
func TestFetchSharesItsTimeWithDiscovery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		place, hangs := "https://old.example/", false
		var asked []time.Time // for the place
		p := newProvider(t, "", func(c *Config) {
			c.JWKSURL, c.DiscoveryURL = "", "https://provider.example/discovery"
			c.Client = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				switch {
				case r.URL.Host == "provider.example":
					asked = append(asked, time.Now())
					return response(200, place), nil
				case r.URL.Host == "old.example" && hangs:
					<-r.Context().Done()
					return nil, r.Context().Err()
				case r.URL.Host == "old.example":
					return response(200, "a"), nil
				}
				time.Sleep(4 * time.Second)
				return response(200, "a b"), nil
			})}
		})
		p.serves("a")
		time.Sleep(time.Minute)
		start := time.Now()
		synctest.Wait() // for the calls that were left to themselves
		hangs = true
		_, err := p.knows("x")
		require.EqualError(t, err, "timeout")
		require.Len(t, asked, 2)
		assert.Equal(t, start.Add(3500*time.Millisecond), asked[1])

		synctest.Wait()
		hangs, place = false, "https://new.example/"
		time.Sleep(time.Minute)
		known, err := p.knows("b")
		require.NoError(t, err)
		assert.True(t, known)
		p.Close()
	})
}

func TestLifetimeIsMaxAgeLessAgeWithinBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cacheControl []string
		age          string
		want         time.Duration
	}{
		{nil, "", defaultLifetime},
		{nil, "300", defaultLifetime},
		{[]string{"no-cache"}, "", defaultLifetime},
		{[]string{"public, Max-Age=300"}, "", 5 * time.Minute},
		{[]string{`max-age="300"`, "max-age=120"}, "", 2 * time.Minute},
		{[]string{"max-age=0, max-age=3600"}, "", minLifetime},
		{[]string{"max-age=x"}, "", minLifetime},
		{[]string{"max-age=3:00"}, "", minLifetime},
		{[]string{"max-age=99999999999999999999x"}, "", minLifetime},
		{[]string{"max-age=3/0"}, "", minLifetime},
		{[]string{"max-age=1"}, "", minLifetime},
		{[]string{"max-age=99999999999999999999"}, "", maxLifetime},
		{[]string{"max-age=86400"}, "84600", 30 * time.Minute},
		{[]string{"max-age=300"}, "99999999999999999999", minLifetime},
		{[]string{"max-age=300"}, "-1", 5 * time.Minute},
	} {
		header := http.Header{"Cache-Control": tt.cacheControl}
		if tt.age != "" {
			header.Set("Age", tt.age)
		}
		assert.Equal(t, tt.want, lifetime(header), "%v less %s", tt.cacheControl, tt.age)
	}
}
