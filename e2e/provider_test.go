package e2e_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// provider is npm oidc-provider, running for one test.
type provider struct {
	Issuer  string `json:"issuer"`
	Control string `json:"control"`
	Clients map[string]struct {
		ID     string `json:"id"`
		Secret string `json:"secret"`
	} `json:"clients"`
	RedirectURI string `json:"redirectURI"`

	http *http.Client // trusts the provider's certificate, and nothing else
}

func startProvider(t *testing.T) *provider {
	t.Helper()
	certPEM, keyPEM := newCertificate(t)
	p := new(provider)
	startNode(t, "provider.mjs", []string{"TLS_CERT=" + certPEM, "TLS_KEY=" + keyPEM}, p)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM([]byte(certPEM)))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	p.http = &http.Client{Transport: transport, Timeout: 20 * time.Second}
	return p
}

// newCertificate returns a certificate for 127.0.0.1 and its key, both in PEM.
func newCertificate(t *testing.T) (certPEM, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return encode("CERTIFICATE", cert), encode("PRIVATE KEY", der)
}

// replaceKeys gives the provider these keys and no others; the first one signs.
func (p *provider) replaceKeys(t *testing.T, kids ...string) {
	t.Helper()
	body, err := json.Marshal(map[string][]string{"kids": kids})
	require.NoError(t, err)
	res, err := http.Post(p.Control+"/keys", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusNoContent, res.StatusCode)
}

// signIn goes through the authorization-code flow with PKCE as a browser and
// its page would, and returns the ID token.
func (p *provider) signIn(t *testing.T, algorithm, nonce string) string {
	t.Helper()
	client := p.Clients[algorithm]
	verifier, state := rand.Text()+rand.Text(), rand.Text()
	challenge := sha256.Sum256([]byte(verifier))

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	callback, err := url.Parse(p.RedirectURI)
	require.NoError(t, err)
	browser := &http.Client{
		Transport: p.http.Transport, Timeout: p.http.Timeout, Jar: jar,
		CheckRedirect: func(req *http.Request, _ []*http.Request) error {
			if req.URL.Host == callback.Host {
				return http.ErrUseLastResponse // back at the application
			}
			return nil
		},
	}
	res, err := browser.Get(p.Issuer + "/auth?" + url.Values{
		"client_id": {client.ID}, "response_type": {"code"}, "redirect_uri": {p.RedirectURI},
		"scope": {"openid profile email phone"}, "state": {state}, "nonce": {nonce},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(challenge[:])},
		"code_challenge_method": {"S256"},
	}.Encode())
	require.NoError(t, err)
	defer res.Body.Close()
	at, err := res.Location()
	require.NoError(t, err, "no way back to the application: %s", read(t, res))
	require.Equal(t, callback.Host, at.Host)
	require.Equal(t, state, at.Query().Get("state"))
	require.NotEmpty(t, at.Query().Get("code"), "the provider refused: %s", at.RawQuery)

	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {at.Query().Get("code")},
		"redirect_uri": {p.RedirectURI}, "client_id": {client.ID}, "code_verifier": {verifier},
	}
	if client.Secret != "" {
		form.Set("client_secret", client.Secret)
	}
	res, err = browser.PostForm(p.Issuer+"/token", form)
	require.NoError(t, err)
	defer res.Body.Close()
	body := read(t, res)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", body)
	var tokens struct {
		IDToken string `json:"id_token"`
	}
	require.NoError(t, json.Unmarshal(body, &tokens))
	require.NotEmpty(t, tokens.IDToken)
	return tokens.IDToken
}

func read(t *testing.T, res *http.Response) []byte {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return body
}

// verifier returns a Verifier that finds the provider's keys by discovery.
func (p *provider) verifier(t *testing.T, clientID string, opts ...reachfive.Option) *reachfive.Verifier {
	t.Helper()
	v, err := reachfive.New(strings.TrimPrefix(p.Issuer, "https://"), clientID,
		append([]reachfive.Option{reachfive.WithIssuer(p.Issuer)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, v.Close()) })
	return v
}

func assertAccount(t *testing.T, u *reachfive.User, issuer, clientID string) {
	t.Helper()
	assert.Equal(t, issuer, u.Issuer)
	assert.Equal(t, []string{clientID}, u.Audience)
	assert.Equal(t, "c2a1e6b0-5f0d-4f4e-9f0a-6d2b8a7c1e55", u.Subject)
	assert.Equal(t, "john.doe@example.com", u.Email)
	assert.True(t, u.EmailVerified)
	assert.Equal(t, "John Doe", u.Name)
	assert.Equal(t, "John", u.GivenName)
	assert.Equal(t, "Doe", u.FamilyName)
	assert.Equal(t, "1983-11-13", u.Birthdate)
	assert.Equal(t, "en_US", u.Locale)
	assert.Equal(t, "+33612345678", u.PhoneNumber)
	assert.False(t, u.PhoneNumberVerified)
	assert.WithinDuration(t, time.Now(), u.IssuedAt, time.Minute)
	assert.Equal(t, 24*time.Hour, u.ExpiresAt.Sub(u.IssuedAt))
}

func TestProviderRS256TokenVerifiesByDiscovery(t *testing.T) {
	p := startProvider(t)
	clientID := p.Clients["RS256"].ID
	v := p.verifier(t, clientID, reachfive.WithDiscovery(), reachfive.WithHTTPClient(p.http))
	token := p.signIn(t, "RS256", "n-0S6_WzA2Mj")

	u, err := v.Verify(t.Context(), token, reachfive.Nonce("n-0S6_WzA2Mj"), reachfive.MaxAge(time.Minute))
	require.NoError(t, err)
	assertAccount(t, u, p.Issuer, clientID)
	t.Logf("accepted an RS256 token of %d bytes by the keys of %s", len(token), v.Status().JWKSURL)

	for _, refusal := range []struct {
		name  string
		token string
		check reachfive.Check
		want  reachfive.Code
	}{
		{"the nonce of another sign-in", token, reachfive.Nonce("another"), reachfive.CodeWrongNonce},
		{"a payload that was changed", tamper(t, token), nil, reachfive.CodeInvalidSignature},
		{"the other client's token", p.signIn(t, "HS256", ""), nil, reachfive.CodeUnsupportedAlgorithm},
	} {
		t.Run(refusal.name, func(t *testing.T) {
			var checks []reachfive.Check
			if refusal.check != nil {
				checks = append(checks, refusal.check)
			}
			_, err := v.Verify(t.Context(), refusal.token, checks...)
			assert.Equal(t, refusal.want, reachfive.CodeOf(err))
			t.Logf("refused: %v", err)
		})
	}

	other := p.verifier(t, "another-client", reachfive.WithDiscovery(), reachfive.WithHTTPClient(p.http))
	_, err = other.Verify(t.Context(), token)
	assert.Equal(t, reachfive.CodeWrongAudience, reachfive.CodeOf(err))
}

func TestProviderHS256TokenVerifiesWithTheClientSecret(t *testing.T) {
	p := startProvider(t)
	client := p.Clients["HS256"]
	v := p.verifier(t, client.ID, reachfive.WithClientSecret(client.Secret))
	token := p.signIn(t, "HS256", "n-0S6_WzA2Mj")

	u, err := v.Verify(t.Context(), token, reachfive.Nonce("n-0S6_WzA2Mj"), reachfive.MaxAge(time.Minute))
	require.NoError(t, err)
	assertAccount(t, u, p.Issuer, client.ID)
	t.Logf("accepted an HS256 token of %d bytes by the client secret", len(token))

	_, err = v.Verify(t.Context(), tamper(t, token))
	assert.Equal(t, reachfive.CodeInvalidSignature, reachfive.CodeOf(err))
	_, err = v.Verify(t.Context(), p.signIn(t, "RS256", ""))
	assert.Equal(t, reachfive.CodeUnsupportedAlgorithm, reachfive.CodeOf(err))
	foreign := p.verifier(t, client.ID, reachfive.WithClientSecret(strings.Repeat("not the secret ", 3)))
	_, err = foreign.Verify(t.Context(), token)
	assert.Equal(t, reachfive.CodeInvalidSignature, reachfive.CodeOf(err))
}

func TestProviderRotationIsFollowedAtOnceAndRemovalAtTheNextFetch(t *testing.T) {
	p := startProvider(t)
	v := p.verifier(t, p.Clients["RS256"].ID, reachfive.WithDiscovery(), reachfive.WithHTTPClient(p.http))
	old := p.signIn(t, "RS256", "")
	_, err := v.Verify(t.Context(), old)
	require.NoError(t, err)
	require.EqualValues(t, 1, v.Status().Fetches)

	p.replaceKeys(t, "second", "first")
	fresh := p.signIn(t, "RS256", "")
	_, err = v.Verify(t.Context(), fresh)
	require.NoError(t, err, "a key that was rotated in is accepted on first sight")
	_, err = v.Verify(t.Context(), old)
	require.NoError(t, err, "the key before it is still published")
	require.EqualValues(t, 2, v.Status().Fetches)

	p.replaceKeys(t, "second")
	_, err = v.Verify(t.Context(), old)
	require.NoError(t, err, "nothing has been fetched since the key was removed")
	require.NoError(t, v.Refresh(t.Context()))
	_, err = v.Verify(t.Context(), old)
	require.Equal(t, reachfive.CodeUnknownKey, reachfive.CodeOf(err), "a removed key is refused after a good fetch")
	_, err = v.Verify(t.Context(), fresh)
	require.NoError(t, err)
	t.Logf("keys after the rotation: %+v", v.Status().Keys)
}

// tamper changes the subject of a token and leaves its signature.
func tamper(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	changed := bytes.Replace(payload, []byte("john.doe@"), []byte("jane.doe@"), 1)
	require.NotEqual(t, payload, changed)
	parts[1] = base64.RawURLEncoding.EncodeToString(changed)
	return strings.Join(parts, ".")
}
