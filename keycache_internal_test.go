package reachfive

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a caller cannot see of the key cache: what it holds on to, and what
// happens within one moment.

func TestKeyCacheForgetsFetchesThatHaveEnded(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	set := `{"keys":[{"kty":"RSA","e":"AQAB","n":"` + base64.RawURLEncoding.EncodeToString(key.N.Bytes()) + `"}]}`
	synctest.Test(t, func(t *testing.T) {
		answered := 0
		v, err := New("acme.reach5.net", "client", WithHTTPClient(&http.Client{
			Transport: transport(func(*http.Request) (*http.Response, error) {
				answered++
				status := http.StatusOK
				if answered%2 == 0 {
					status = http.StatusServiceUnavailable
				}
				return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(set))}, nil
			}),
		}))
		require.NoError(t, err)
		for i := range 100 {
			assert.Equal(t, i%2 == 0, v.Refresh(t.Context()) == nil)
		}
		synctest.Wait()
		assert.Equal(t, 100, answered)
		assert.Empty(t, v.keys.running)
		assert.Nil(t, v.keys.latest)
	})
}

// endingContext ends at the very moment at which a call returns: whoever asks
// for its end finds both.
type endingContext struct{ context.Context }

func (endingContext) Done() <-chan struct{} {
	synctest.Wait() // until the call has returned
	done := make(chan struct{})
	close(done)
	return done
}

func (endingContext) Err() error { return context.DeadlineExceeded }

func TestKeyCallThatReturnsInTheMomentOfItsDeadlineCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls calls
		for range 64 { // select takes either at random
			got, err := within(endingContext{t.Context()}, &calls, func(context.Context) (string, error) { return "done", nil })
			require.NoError(t, err)
			assert.Equal(t, "done", got)
		}
	})
}

func TestKeyRetryAfterOfADateThatIsOverIsNothing(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for ahead, want := range map[time.Duration]time.Duration{
		-time.Hour: 0, -time.Second: 0, 0: 0, time.Second: time.Second, time.Hour: maxRetryAfter,
	} {
		header := http.Header{"Retry-After": {now.Add(ahead).Format(http.TimeFormat)}}
		assert.Equal(t, want, retryAfter(header, now), "%v", ahead)
	}
	assert.Zero(t, retryAfter(http.Header{}, now))
}

func TestKeyFetchOfOurOwnTransportSpeaksNoOldTLS(t *testing.T) {
	for version, good := range map[uint16]bool{
		tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
	} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.TLS = &tls.Config{MinVersion: version, MaxVersion: version}
			server.StartTLS()
			defer server.Close()
			own := newTransport()
			// Not what the Go of the day has for a default.
			assert.EqualValues(t, tls.VersionTLS12, own.TLSClientConfig.MinVersion)
			own.TLSClientConfig.RootCAs = x509.NewCertPool()
			own.TLSClientConfig.RootCAs.AddCert(server.Certificate())
			response, err := (&http.Client{Transport: own}).Get(server.URL)
			if good {
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				return
			}
			require.ErrorContains(t, err, "tls: ")
		})
	}
}
