package reachfivetest

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// keyring holds the tenant's RSA keys. Keys are made when they are first
// needed, each tenant its own: 2048 bits take about 50 ms (measured; 10 to
// 130), which a tenant of HS256 never pays, and a pool shared by all tenants
// would be package state that couples tests to one another.
type keyring struct {
	bits    int
	spare   []*rsa.PrivateKey // of WithKeys, not yet used
	signing []*signingKey     // oldest first; the last one signs
	foreign *rsa.PrivateKey   // of WrongKey, never published
	made    int               // for the next kid
	raw     []string          // of PublishRaw
}

type signingKey struct {
	kid       string
	private   *rsa.PrivateKey
	published bool
}

// next takes a spare key or makes one.
func (k *keyring) next() (*rsa.PrivateKey, error) {
	if len(k.spare) > 0 {
		key := k.spare[0]
		k.spare = k.spare[1:]
		return key, nil
	}
	return rsa.GenerateKey(rand.Reader, k.bits)
}

// add publishes a new key under kid and signs with it from now on.
func (k *keyring) add(kid string) (*signingKey, error) {
	private, err := k.next()
	if err != nil {
		return nil, fmt.Errorf("make an RSA key: %w", err)
	}
	key := &signingKey{kid: kid, private: private, published: true}
	k.signing = append(k.signing, key)
	return key, nil
}

func (k *keyring) newKID() string {
	k.made++
	return "key-" + strconv.Itoa(k.made)
}

// current returns the key that signs, and makes the first one.
func (k *keyring) current() (*signingKey, error) {
	if len(k.signing) == 0 {
		return k.add(k.newKID())
	}
	return k.signing[len(k.signing)-1], nil
}

// find returns the newest key of that kid, published or not.
func (k *keyring) find(kid string) *signingKey {
	for _, key := range slices.Backward(k.signing) {
		if key.kid == kid {
			return key
		}
	}
	return nil
}

// KID returns the kid of the key that signs now: "key-1" at first.
func (t *Tenant) KID() string {
	t.mu.Lock()
	key, err := t.keys.current()
	t.mu.Unlock()
	if err != nil {
		t.mistake(err)
		return ""
	}
	return key.kid
}

// Rotate publishes a new key, signs with it from now on, and returns its kid:
// "key-2" at first. The older keys stay published until RemoveKey.
func (t *Tenant) Rotate() string {
	t.mu.Lock()
	_, err := t.keys.current() // there is a key to rotate away from
	var key *signingKey
	if err == nil {
		key, err = t.keys.add(t.keys.newKID())
	}
	t.mu.Unlock()
	if err != nil {
		t.mistake(err)
		return ""
	}
	return key.kid
}

// RemoveKey takes the key of that kid out of /jwks.json. It goes on signing
// if it is the current one. A kid that is not published is a mistake.
func (t *Tenant) RemoveKey(kid string) {
	t.mu.Lock()
	_, err := t.keys.current()
	key := t.keys.find(kid)
	known := key != nil && key.published
	if known {
		key.published = false
	}
	t.mu.Unlock()
	switch {
	case err != nil:
		t.mistake(err)
	case !known:
		t.mistake(fmt.Errorf("RemoveKey: no key %q is published", kid))
	}
}

// ReplaceKey puts a new key in the place of the one of that kid, under the
// same kid, and signs with it from now on: what a provider should not do.
func (t *Tenant) ReplaceKey(kid string) {
	t.mu.Lock()
	_, err := t.keys.current()
	old := t.keys.find(kid)
	if err == nil && old != nil {
		old.published = false
		_, err = t.keys.add(kid)
	}
	t.mu.Unlock()
	switch {
	case err != nil:
		t.mistake(err)
	case old == nil:
		t.mistake(fmt.Errorf("ReplaceKey: there is no key %q", kid))
	}
}

// JWK returns the public JWK (RFC 7517) of the key of that kid as it stands,
// or stood, in /jwks.json; "" if there never was one. It is where a test
// starts that publishes a variant of it through PublishRaw.
func (t *Tenant) JWK(kid string) string {
	t.mu.Lock()
	_, err := t.keys.current()
	key := t.keys.find(kid)
	t.mu.Unlock()
	if err != nil {
		t.mistake(err)
		return ""
	}
	if key == nil {
		return ""
	}
	return t.publicJWK(key)
}

// PublishRaw publishes these JWKs after the tenant's own keys, each written
// as it is, JSON or not, in place of those of an earlier call.
func (t *Tenant) PublishRaw(jwks ...string) {
	t.mu.Lock()
	t.keys.raw = slices.Clone(jwks)
	t.mu.Unlock()
}

// publicJWK writes a key as RFC 7518 section 6.3.1 has it.
func (t *Tenant) publicJWK(key *signingKey) string {
	jwk := map[string]string{
		"kty": "RSA",
		"use": "sig",
		"alg": rs256,
		"n":   base64.RawURLEncoding.EncodeToString(key.private.N.Bytes()),
		"e":   base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.private.E)).Bytes()),
	}
	if !t.settings.withoutKIDs {
		jwk["kid"] = key.kid
	}
	text, err := json.Marshal(jwk)
	if err != nil {
		return "" // never: strings have a JSON form
	}
	return string(text)
}

// keySet writes the JWK Set as it is published now.
func (t *Tenant) keySet() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := t.keys.current(); err != nil {
		return "", err
	}
	var jwks []string
	for _, key := range t.keys.signing {
		if key.published {
			jwks = append(jwks, t.publicJWK(key))
		}
	}
	jwks = append(jwks, t.keys.raw...)
	return `{"keys":[` + strings.Join(jwks, ",") + `]}`, nil
}
