package reachfive_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/reachfive-community/reachfive"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func BenchmarkVerify(b *testing.B) {
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	n := base64.RawURLEncoding.EncodeToString(key.N.Bytes())
	doc := fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":"k1","n":%q,"e":"AQAB"}]}`, n)
	client := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(doc)), Header: http.Header{}}, nil
	})}
	v, err := reachfive.New("acme.reach5.net", "client", reachfive.WithHTTPClient(client))
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now().Unix()
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"k1","typ":"JWT"}`))
	payload := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"sub":"AVqvOB58Fg6nZfQ0ZqXt","aud":["client"],"auth_type":"password","new_user":false,"email":"john.doe@example.com","email_verified":true,"given_name":"John","family_name":"Doe","name":"John Doe","gender":"male","birthdate":"1983-11-13","locale":"en_US","picture":"https://cdn.example.com/p/1.png","updated_at":"2017-12-01T14:35:17.218Z","auth_time":%d,"iss":"https://acme.reach5.net","exp":%d,"iat":%d}`, now, now+86400, now))
	signed := header + "." + payload
	sum := sha256.Sum256([]byte(signed))
	sig, _ := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	token := signed + "." + base64.RawURLEncoding.EncodeToString(sig)
	b.Logf("%d bytes", len(token))
	b.Run("floor", func(b *testing.B) {
		for b.Loop() {
			sum := sha256.Sum256([]byte(signed))
			if rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], sig) != nil {
				b.Fatal()
			}
		}
	})
	cached, _ := reachfive.New("acme.reach5.net", "client", reachfive.WithHTTPClient(client), reachfive.WithTokenCache(1000))
	b.Run("cached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := cached.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
}
