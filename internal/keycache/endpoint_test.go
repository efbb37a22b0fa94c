package keycache

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRetryAfterOfADateThatIsOverIsNothing(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for ahead, want := range map[time.Duration]time.Duration{
		-time.Hour: 0, -time.Second: 0, 0: 0, time.Second: time.Second, time.Hour: maxRetryAfter,
	} {
		header := http.Header{"Retry-After": {now.Add(ahead).Format(http.TimeFormat)}}
		assert.Equal(t, want, retryAfter(header, now), "%v", ahead)
	}
	assert.Zero(t, retryAfter(http.Header{}, now))
}

func TestOwnTransportSpeaksNoOldTLS(t *testing.T) {
	t.Parallel()
	for version, good := range map[uint16]bool{
		tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
	} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
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

func TestOwnTransportSpeaksHTTP2(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	own := newTransport()
	own.TLSClientConfig.RootCAs = x509.NewCertPool()
	own.TLSClientConfig.RootCAs.AddCert(server.Certificate())
	response, err := (&http.Client{Transport: own}).Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, "HTTP/2.0", response.Proto)
}

func TestURLIsShownWithoutCredentials(t *testing.T) {
	t.Parallel()
	for place, want := range map[string]string{
		"https://a.example/keys":               "https://a.example/keys",
		"https://me:secret@a.example/keys":     "https://a.example/keys",
		"https://a.example/keys?secret":        "https://a.example/keys",
		"https://a.example/keys?":              "https://a.example/keys",
		"https://:secret@a.example:8443/?k=v&": "https://a.example:8443/",
		"https://a.example/%zz?secret":         "",
		"":                                     "",
	} {
		assert.Equal(t, want, withoutCredentials(place))
	}
}
