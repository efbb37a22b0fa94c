package policy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
)

// newVerifier makes a tenant's verifier, or adds what is wrong to problems and
// returns nil.
func newVerifier(t config.Tenant, tokenCache int, path string, problems *config.Problems, lookup config.LookupEnv, options []reachfive.Option) *reachfive.Verifier {
	if t.Domain == "" || len(t.ClientIDs) == 0 || t.ClientIDs[0] == "" {
		return nil // reported already
	}
	options = append([]reachfive.Option{reachfive.WithTokenCache(tokenCache), reachfive.WithLeeway(t.Leeway)}, options...)
	if len(t.ClientIDs) > 1 {
		options = append(options, reachfive.WithAudiences(t.ClientIDs[1:]...))
	}
	if t.Issuer != "" {
		options = append(options, reachfive.WithIssuer(t.Issuer))
	}
	switch {
	case t.Algorithm != "HS256":
		keys, ok := keyOptions(t, path, problems)
		if !ok {
			return nil
		}
		options = append(options, keys...)
	case t.ClientSecretFile == "" && t.ClientSecretEnv == "":
		return nil // reported already
	default:
		secret, err := t.Secret(lookup)
		if err != nil {
			problems.Add(path+"."+secretKey(t), "%s", err)
			return nil
		}
		options = append(options, reachfive.WithClientSecret(secret))
	}
	v, err := reachfive.New(t.Domain, t.ClientIDs[0], options...)
	if err != nil {
		explain(err, t, path, problems)
		return nil
	}
	return v
}

func secretKey(t config.Tenant) string {
	if t.ClientSecretFile != "" {
		return "client_secret_file"
	}
	return "client_secret_env"
}

// keyOptions are the options about fetching keys.
func keyOptions(t config.Tenant, path string, problems *config.Problems) (options []reachfive.Option, ok bool) {
	options = append(options, reachfive.WithMaxStale(t.MaxStale))
	if t.JWKSURL != "" {
		options = append(options, reachfive.WithJWKSURL(t.JWKSURL))
	}
	if t.Discovery {
		options = append(options, reachfive.WithDiscovery())
	}
	if t.KeyStoreFile != "" {
		options = append(options, reachfive.WithKeyStore(reachfive.FileKeyStore(t.KeyStoreFile)))
	}
	if t.CAFile != "" {
		client, err := clientTrusting(t.CAFile)
		if err != nil {
			problems.Add(path+".ca_file", "%s", err)
			return nil, false
		}
		options = append(options, reachfive.WithHTTPClient(client))
	}
	return options, true
}

// clientTrusting is an HTTP client that trusts the authorities of a file alone.
// A fetch an hour needs no idle connection.
func clientTrusting(path string) (*http.Client, error) {
	text, err := config.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("the file has no certificate in PEM form")
	}
	return &http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 5 * time.Second,
		DisableKeepAlives:   true,
		ForceAttemptHTTP2:   true,
	}}, nil
}

// explain adds each mistake that reachfive.New found at the key that it is
// about.
func explain(err error, t config.Tenant, path string, problems *config.Problems) {
	keys := map[string]string{
		"domain": "domain", "clientID": "client_ids", "WithAudiences": "client_ids", "WithIssuer": "issuer",
		"WithJWKSURL": "jwks_url", "WithDiscovery": "discovery", "WithLeeway": "leeway", "WithMaxStale": "max_stale",
		"WithClientSecret": secretKey(t),
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		option, text, _ := strings.Cut(strings.TrimPrefix(line, "reachfive: "), ": ")
		key := keys[option]
		switch {
		case option == "WithClientSecret" && strings.Contains(text, "WithAudiences"):
			key, text = "client_ids", "want exactly one with HS256: a secret belongs to one client"
		case option == "WithDiscovery" && strings.Contains(text, "WithJWKSURL"):
			text = "cannot be combined with jwks_url; remove one"
		case key == "":
			problems.Add(path, "%s", line)
			continue
		}
		problems.Add(path+"."+key, "%s", text)
	}
}
