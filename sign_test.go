package reachfive_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/internal/reference"
)

// The tokens of these tests are made with the standard library only, so that a bug
// of this package cannot be on both sides of a test.

const (
	testDomain = "acme.reach5.net"
	testClient = "AtnY5xDg4fbanentihip"
	testSecret = "a secret of a test, and of nothing else"
)

func hs256Verifier(tb testing.TB, now time.Time, opts ...reachfive.Option) *reachfive.Verifier {
	tb.Helper()
	v, err := reachfive.New(testDomain, testClient, append([]reachfive.Option{
		reachfive.WithClientSecret(testSecret),
		reachfive.WithClock(func() time.Time { return now }),
	}, opts...)...)
	require.NoError(tb, err)
	return v
}

// payload returns a payload that is good at now, with further claims. A nil claim
// is left out.
func payload(now time.Time, further map[string]any) map[string]any {
	claims := map[string]any{
		"iss": "https://" + testDomain, "aud": []string{testClient}, "sub": "AVqvOB58Fg6nZfQ0ZqXt",
		"iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix(),
	}
	for name, value := range further {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	return claims
}

func hs256(tb testing.TB, claims map[string]any) string {
	tb.Helper()
	text, err := json.Marshal(claims)
	require.NoError(tb, err)
	return hs256Raw(`{"alg":"HS256","typ":"JWT"}`, string(text))
}

// hs256Raw signs a header and a payload as they are.
func hs256Raw(header, payload string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	return signed + "." + base64.RawURLEncoding.EncodeToString(hs256Signature(signed))
}

func hs256Signature(signed string) []byte { return reference.HMAC([]byte(testSecret), signed) }

// roundTripper answers requests without a server.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// heapInUse is the memory that is reachable now. A test that compares two of its
// results cannot run in parallel with others.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // which frees what the first one found in a sync.Pool
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
