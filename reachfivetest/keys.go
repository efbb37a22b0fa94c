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

// keyring holds the tenant's RSA keys. They are generated when they are first
// needed, because 2048 bits take about 50 ms (measured: 10 to 130), and an HS256
// tenant needs none. Tenants share no keys: a pool would be package state that
// couples tests.
type keyring struct {
	bits    int
	spare   []*rsa.PrivateKey // from WithKeys, not yet used
	signing []*signingKey     // oldest first; the last one signs
	foreign *rsa.PrivateKey   // for WrongKey, never published
	made    int               // number of the last kid
	raw     []string          // from PublishRaw
}

type signingKey struct {
	kid       string
	private   *rsa.PrivateKey
	published bool
}

// next returns a spare key or generates one.
func (k *keyring) next() (*rsa.PrivateKey, error) {
	if len(k.spare) > 0 {
		key := k.spare[0]
		k.spare = k.spare[1:]
		return key, nil
	}
	return rsa.GenerateKey(rand.Reader, k.bits)
}

// add publishes a new key under kid, which signs from now on.
func (k *keyring) add(kid string) (*signingKey, error) {
	private, err := k.next()
	if err != nil {
		return nil, fmt.Errorf("generate an RSA key: %w", err)
	}
	key := &signingKey{kid: kid, private: private, published: true}
	k.signing = append(k.signing, key)
	return key, nil
}

func (k *keyring) newKID() string {
	k.made++
	return "key-" + strconv.Itoa(k.made)
}

// current returns the key that signs. It generates the first one.
func (k *keyring) current() (*signingKey, error) {
	if len(k.signing) == 0 {
		return k.add(k.newKID())
	}
	return k.signing[len(k.signing)-1], nil
}

// find returns the newest key with this kid, published or not.
func (k *keyring) find(kid string) *signingKey {
	for _, key := range slices.Backward(k.signing) {
		if key.kid == kid {
			return key
		}
	}
	return nil
}

// KID returns the kid of the key that signs now. The first is "key-1".
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

// Rotate publishes a new key, which signs from now on, and returns its kid: "key-2"
// the first time. The older keys stay published until RemoveKey.
func (t *Tenant) Rotate() string {
	t.mu.Lock()
	_, err := t.keys.current() // generates the key that is replaced
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

// RemoveKey removes the key with this kid from /jwks.json. The current key still
// signs after that. A kid that is not published is a mistake.
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

// ReplaceKey replaces the key with this kid by a new key with the same kid, which
// signs from now on. A provider should not do that.
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

// JWK returns the public JWK (RFC 7517) of the key with this kid as /jwks.json has or
// had it, or "" if there never was one. Use it to publish a variant of the key with
// PublishRaw.
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

// PublishRaw publishes these JWKs after the tenant's keys. Each is written
// unchanged, and need not be JSON. They replace those of an earlier call.
func (t *Tenant) PublishRaw(jwks ...string) {
	t.mu.Lock()
	t.keys.raw = slices.Clone(jwks)
	t.mu.Unlock()
}

// publicJWK returns a key in the form of RFC 7518 section 6.3.1.
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
		return "" // never: strings can be encoded
	}
	return string(text)
}

// keySet returns the JWK Set that is published now.
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
