package main

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"
)

const (
	domain   = "acme.reach5.net"
	issuer   = "https://" + domain
	clientID = "AtnY5xDg4fbanentihip"
	secret   = "7kxuVjw2h1vYpVYxnNnP8b6vZr0mFq3T" //nolint:gosec // of these benchmarks, and of nothing else
)

// provider is a key endpoint on loopback that counts its requests, and the
// keys that it publishes.
type provider struct {
	*httptest.Server
	keys     []*rsa.PrivateKey
	requests atomic.Int64
	delay    time.Duration
}

// newProvider publishes n keys, "key-0" first, each under its kid, or without
// one. Only the first is of use here, so that the others are all the same.
func newProvider(n int, kids bool) *provider {
	p := &provider{}
	for range min(n, 2) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		check(err)
		p.keys = append(p.keys, key)
	}
	var jwks []string
	for i := range n {
		key := p.keys[min(i, 1)]
		kid := ""
		if kids {
			kid = fmt.Sprintf(`"kid":"key-%d",`, i)
		}
		jwks = append(jwks, fmt.Sprintf(`{"kty":"RSA","alg":"RS256","use":"sig",%s"n":%q,"e":"AQAB"}`,
			kid, base64.RawURLEncoding.EncodeToString(key.N.Bytes())))
	}
	document := `{"keys":[` + strings.Join(jwks, ",") + `]}`
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		select {
		case <-time.After(p.delay):
		case <-r.Context().Done():
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, document)
	}))
	return p
}

func (p *provider) url() string { return p.Server.URL + "/jwks.json" }

// payload is what ReachFive puts into an ID token, padded with custom fields
// until the token has about size bytes; 0 leaves it as it is.
func payload(size int) []byte {
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": issuer, "sub": "AVqvOB58Fg6nZfQ0ZqXt", "aud": []string{clientID},
		"iat": now, "exp": now + 86400, "auth_time": now, "auth_type": "password", "new_user": false,
		"email": "john.doe@example.com", "email_verified": true,
		"given_name": "John", "family_name": "Doe", "name": "John Doe",
		"gender": "male", "birthdate": "1983-11-13", "locale": "en_US",
		"picture": "https://cdn.example.com/p/1.png", "updated_at": "2017-12-01T14:35:17.218Z",
	}
	text := mustMarshal(claims)
	if size == 0 {
		return text
	}
	const overhead = 52 + 342 + 2 // header, signature, dots
	if small := []string{"picture", "birthdate", "gender", "name", "family_name", "given_name", "updated_at", "new_user", "locale"}; size < 700 {
		for _, name := range small {
			if overhead+len(mustMarshal(claims))*4/3 > size {
				delete(claims, name)
			}
		}
		return mustMarshal(claims)
	}
	fields := map[string]any{}
	claims["custom_fields"] = fields
	for i := 0; overhead+len(mustMarshal(claims))*4/3+60 < size; i++ {
		fields[fmt.Sprintf("preference_%03d", i)] = []any{"a value of some length", i, true}[i%3]
	}
	return mustMarshal(claims)
}

func mustMarshal(v any) []byte {
	text, err := json.Marshal(v)
	check(err)
	return text
}

func header(alg, kid string) string {
	if kid == "" {
		return fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, alg)
	}
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, alg, kid)
}

func signingInput(header string, payload []byte) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload)
}

func rs256(key *rsa.PrivateKey, kid string, payload []byte) string {
	signed := signingInput(header("RS256", kid), payload)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	check(err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func hs256(payload []byte) string {
	signed := signingInput(header("HS256", ""), payload)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// check ends the program: what goes wrong here is a mistake of ours.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
