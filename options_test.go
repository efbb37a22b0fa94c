package reachfive_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

func TestNewNamesTheOptionThatIsWrong(t *testing.T) {
	const shortSecret = "thirty-one bytes are too few!!!"
	option := func(opts ...reachfive.Option) []reachfive.Option { return opts }
	for _, tt := range []struct {
		name, domain, clientID string
		opts                   []reachfive.Option
		want                   string
	}{
		{"empty domain", "", "client", nil, "domain"},
		{"http domain", "http://acme.reach5.net", "client", nil, "domain"},
		{"domain with a path", "acme.reach5.net/identity", "client", nil, "domain"},
		{"domain with two slashes", "acme.reach5.net//", "client", nil, "domain"},
		{"domain with a query", "acme.reach5.net?x", "client", nil, "domain"},
		{"domain with a fragment", "acme.reach5.net#x", "client", nil, "domain"},
		{"domain with user information", "me@acme.reach5.net", "client", nil, "domain"},
		{"domain with the default port", "acme.reach5.net:443", "client", nil, "domain"},
		{"domain with port 0", "acme.reach5.net:0", "client", nil, "domain"},
		{"domain with a port of five nines", "acme.reach5.net:99999", "client", nil, "domain"},
		{"domain with an empty port", "acme.reach5.net:", "client", nil, "domain"},
		{"domain with a port that is a word", "acme.reach5.net:https", "client", nil, "domain"},
		{"domain without a dot", "acme", "client", nil, "domain"},
		{"domain with white space", "acme .reach5.net", "client", nil, "domain"},
		{"domain with a newline", "acme.reach5.net\n", "client", nil, "domain"},
		{"domain with an empty label", "acme..net", "client", nil, "domain"},
		{"domain with a hyphen first", "-acme.net", "client", nil, "domain"},
		{"domain with a hyphen last", "acme-.net", "client", nil, "domain"},
		{"domain beyond ASCII", "acmé.net", "client", nil, "domain"},
		{"domain with a plus sign", "a+b.net", "client", nil, "domain"},
		{"domain with a brace", "a{b.net", "client", nil, "domain"},
		{"domain of an address with a zone", "[fe80::1%25eth0]:9443", "client", nil, "domain"},
		{"domain with an underscore", "ac_me.net", "client", nil, "domain"},
		{"domain with a label of 64 bytes", strings.Repeat("a", 64) + ".net", "client", nil, "domain"},
		{"domain of more than 253 bytes", strings.Repeat("a.", 127) + "net", "client", nil, "domain"},
		{"domain of 254 bytes", strings.Repeat(strings.Repeat("a", 62)+".", 4) + "ab", "client", nil, "domain"},
		{"domain with a port that starts with 0", "acme.reach5.net:0443", "client", nil, "domain"},
		{"domain that is only a scheme", "https://", "client", nil, "domain"},
		{"empty client ID", "acme.reach5.net", "", nil, "clientID"},
		{"client ID with white space", "acme.reach5.net", "my client", nil, "clientID"},
		{"client ID with a control character", "acme.reach5.net", "my\x1fclient", nil, "clientID"},
		{"client ID with DEL", "acme.reach5.net", "my\x7fclient", nil, "clientID"},
		{"client ID beyond ASCII", "acme.reach5.net", "myclient\u00e9", nil, "clientID"},
		{"empty secret", "acme.reach5.net", "client", option(reachfive.WithClientSecret("")), "WithClientSecret"},
		{"empty secret, short ones allowed", "acme.reach5.net", "client", option(reachfive.WithClientSecret(""), reachfive.InsecureAllowShortSecret()), "WithClientSecret"},
		{"short secret", "acme.reach5.net", "client", option(reachfive.WithClientSecret(shortSecret)), "WithClientSecret"},
		{"secret and further audiences", "acme.reach5.net", "client", option(reachfive.WithClientSecret(goldenSecret), reachfive.WithAudiences("ios")), "WithClientSecret: cannot be combined with WithAudiences"},
		{"secret and discovery", "acme.reach5.net", "client", option(reachfive.WithClientSecret(goldenSecret), reachfive.WithDiscovery()), "WithClientSecret: cannot be combined with WithDiscovery"},
		{"secret and JWKS URL", "acme.reach5.net", "client", option(reachfive.WithJWKSURL("https://a.example/k"), reachfive.WithClientSecret(goldenSecret)), "WithClientSecret: cannot be combined with WithJWKSURL"},
		{"discovery and JWKS URL", "acme.reach5.net", "client", option(reachfive.WithDiscovery(), reachfive.WithJWKSURL("https://a.example/k")), "WithDiscovery"},
		{"no further audience", "acme.reach5.net", "client", option(reachfive.WithAudiences()), "WithAudiences"},
		{"empty further audience", "acme.reach5.net", "client", option(reachfive.WithAudiences("ios", "")), "WithAudiences"},
		{"http issuer", "acme.reach5.net", "client", option(reachfive.WithIssuer("http://acme.reach5.net")), "WithIssuer"},
		{"issuer without a host", "acme.reach5.net", "client", option(reachfive.WithIssuer("https://")), "WithIssuer"},
		{"issuer with a query", "acme.reach5.net", "client", option(reachfive.WithIssuer("https://a.example?")), "WithIssuer"},
		{"issuer with a fragment", "acme.reach5.net", "client", option(reachfive.WithIssuer("https://a.example/#")), "WithIssuer"},
		{"issuer with user information", "acme.reach5.net", "client", option(reachfive.WithIssuer("https://me@a.example")), "WithIssuer"},
		{"issuer that is no URL", "acme.reach5.net", "client", option(reachfive.WithIssuer("https://a b")), "WithIssuer"},
		{"JWKS URL over http", "acme.reach5.net", "client", option(reachfive.WithJWKSURL("http://acme.reach5.net/jwks.json")), "WithJWKSURL"},
		{"JWKS URL over http at a name that only looks like loopback", "acme.reach5.net", "client", option(reachfive.WithJWKSURL("http://127.0.0.1.example/jwks.json")), "WithJWKSURL"},
		{"JWKS URL of a file", "acme.reach5.net", "client", option(reachfive.WithJWKSURL("file:///jwks.json")), "WithJWKSURL"},
		{"JWKS URL of another scheme", "acme.reach5.net", "client", option(reachfive.WithJWKSURL("ftp://a.example/jwks.json")), "WithJWKSURL"},
		{"JWKS URL with a fragment", "acme.reach5.net", "client", option(reachfive.WithJWKSURL("https://a.example/k#x")), "WithJWKSURL"},
		{"JWKS URL with a port and no host", "acme.reach5.net", "client", option(reachfive.WithJWKSURL("https://:1/x")), "WithJWKSURL"},
		{"JWKS URL that is no URL", "acme.reach5.net", "client", option(reachfive.WithJWKSURL("https://a b/k")), "WithJWKSURL"},
		{"JWKS URL over http at an address that is not loopback", "acme.reach5.net", "client", option(reachfive.WithJWKSURL("http://192.0.2.1/k")), "WithJWKSURL"},
		{"empty JWKS URL", "acme.reach5.net", "client", option(reachfive.WithJWKSURL("")), "WithJWKSURL"},
		{"nil client", "acme.reach5.net", "client", option(reachfive.WithHTTPClient(nil)), "WithHTTPClient"},
		{"negative leeway", "acme.reach5.net", "client", option(reachfive.WithLeeway(-1)), "WithLeeway"},
		{"leeway over five minutes", "acme.reach5.net", "client", option(reachfive.WithLeeway(5*time.Minute + 1)), "WithLeeway"},
		{"nil clock", "acme.reach5.net", "client", option(reachfive.WithClock(nil)), "WithClock"},
		{"negative token cache", "acme.reach5.net", "client", option(reachfive.WithTokenCache(-1)), "WithTokenCache"},
		{"nil key store", "acme.reach5.net", "client", option(reachfive.WithKeyStore(nil)), "WithKeyStore"},
		{"nil shared key store", "acme.reach5.net", "client", option(reachfive.WithSharedKeyStore(nil)), "WithSharedKeyStore"},
		{"negative MaxStale", "acme.reach5.net", "client", option(reachfive.WithMaxStale(-1)), "WithMaxStale"},
		{"nil logger", "acme.reach5.net", "client", option(reachfive.WithLogger(nil)), "WithLogger"},
		{"nil check", "acme.reach5.net", "client", option(reachfive.WithChecks(nil)), "WithChecks"},
		{"nil option", "acme.reach5.net", "client", option(nil), "Option"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := reachfive.New(tt.domain, tt.clientID, tt.opts...)
			require.Error(t, err)
			assert.Nil(t, v)
			assert.Contains(t, err.Error(), "reachfive: "+tt.want+": ")
			assert.NotContains(t, err.Error(), shortSecret)
			assert.NotContains(t, err.Error(), goldenSecret)
			assert.NotContains(t, err.Error(), "\n", "one mistake, one line")
		})
	}
}

func TestNewReportsAllMistakesAtOnce(t *testing.T) {
	_, err := reachfive.New("http://acme", "", reachfive.WithLeeway(-1), reachfive.WithIssuer("acme"), reachfive.WithClientSecret("x"))
	require.Error(t, err)
	for _, option := range []string{"domain", "clientID", "WithLeeway", "WithIssuer", "WithClientSecret"} {
		assert.Contains(t, err.Error(), "reachfive: "+option+": ")
	}
	assert.ErrorContains(t, err, "want 0 to 5m0s, got -1ns")
}

func TestNewTakesADomainAsPeopleWriteIt(t *testing.T) {
	label := strings.Repeat("a", 63)
	longest := strings.Repeat(strings.Repeat("a", 62)+".", 4) + "a" // 253 bytes
	for domain, issuer := range map[string]string{
		"acme.reach5.net":          "https://acme.reach5.net",
		"https://acme.reach5.net":  "https://acme.reach5.net",
		"https://acme.reach5.net/": "https://acme.reach5.net",
		"ACME.Reach5.NET":          "https://acme.reach5.net",
		"HTTPS://acme.reach5.net":  "https://acme.reach5.net",
		"tenant.localhost:9443":    "https://tenant.localhost:9443",
		"tenant:9443":              "https://tenant:9443",
		"tenant:65535":             "https://tenant:65535",
		"localhost":                "https://localhost",
		"127.0.0.1:9443":           "https://127.0.0.1:9443",
		"[::1]:9443":               "https://[::1]:9443",
		"xn--acm-dma.net":          "https://xn--acm-dma.net",
		"0a9.b0-9z.net":            "https://0a9.b0-9z.net",
		label + ".net":             "https://" + label + ".net",
		longest:                    "https://" + longest,
	} {
		v, err := reachfive.New(domain, "client")
		require.NoError(t, err, domain)
		status := v.Status()
		assert.Equal(t, issuer, status.Issuer)
		assert.Equal(t, issuer+"/jwks.json", status.JWKSURL)
		assert.Equal(t, "RS256", status.Algorithm)
	}
}

func TestWithIssuerSetsTheIssuer(t *testing.T) {
	const issuer = "https://login.example/tenant"
	v, err := reachfive.New("acme.reach5.net", "client", reachfive.WithIssuer(issuer))
	require.NoError(t, err)
	assert.Equal(t, issuer, v.Status().Issuer)
	assert.Equal(t, "https://acme.reach5.net/jwks.json", v.Status().JWKSURL)
	_, err = reachfive.New("acme.reach5.net", "client", reachfive.WithClientSecret("short"))
	assert.ErrorContains(t, err, "the secret has 5 bytes, want at least 32")
}

func TestNewTakesEveryClientIDOfPrintableASCII(t *testing.T) {
	for _, id := range []string{"AtnY5xDg4fbanentihip", "!", "~", "a-b_c.d:e/f"} {
		_, err := reachfive.New("acme.reach5.net", id)
		assert.NoError(t, err, id)
	}
	for _, id := range []string{"a b", "a\x7f", "a\u00e9"} {
		_, err := reachfive.New("acme.reach5.net", id)
		assert.Error(t, err, id)
	}
}

func TestNewTakesHTTPForKeysOnLoopbackAlone(t *testing.T) {
	for _, jwksURL := range []string{"http://127.0.0.1:8080/k", "http://[::1]/k", "http://localhost/k", "https://keys.example/k"} {
		_, err := reachfive.New("acme.reach5.net", "client", reachfive.WithJWKSURL(jwksURL))
		assert.NoError(t, err, jwksURL)
	}
}

func TestStatusShowsNoCredentialsOfTheJWKSURL(t *testing.T) {
	v, err := reachfive.New("acme.reach5.net", "client", reachfive.WithJWKSURL("https://me:hunter2@keys.example/k"))
	require.NoError(t, err)
	assert.Equal(t, "https://keys.example/k", v.Status().JWKSURL)
}

func TestNewUsesNoNetwork(t *testing.T) {
	client := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("New, Status or Close asked the network")
		return nil, context.Canceled
	})}
	v, err := reachfive.New("acme.reach5.net", "client", reachfive.WithHTTPClient(client), reachfive.WithDiscovery())
	require.NoError(t, err)
	assert.Empty(t, v.Status().JWKSURL)
	require.NoError(t, v.Close())
	require.NoError(t, v.Close())
}

func TestAnHS256VerifierNeedsNoKeys(t *testing.T) {
	v := goldenVerifier(t, time.Unix(goldenIssued, 0))
	require.NoError(t, v.HealthCheck(t.Context()))
	require.NoError(t, v.Refresh(t.Context()))
	require.NoError(t, v.Close())
	assert.Equal(t, reachfive.Status{Issuer: "https://" + goldenDomain, Algorithm: "HS256"}, v.Status())
	assert.Equal(t, "reachfive.Verifier(https://local-sandbox.og4.me)", fmt.Sprint(v))
}

func TestAShortSecretIsTakenIfInsistedOn(t *testing.T) {
	_, err := reachfive.New("acme.reach5.net", "client", reachfive.WithClientSecret("short"), reachfive.InsecureAllowShortSecret())
	assert.NoError(t, err)
}
