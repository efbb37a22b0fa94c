package reachfive

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These tests use the corpora of testdata/wycheproof and testdata/cookbook, which
// others wrote. Their payloads are not JWTs, so they go through the first four
// steps only: the text, the header, the key and the signature.

func readCorpus(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", path))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, into))
}

// corpusJWK is a key, or a set of them, of a corpus.
type corpusJWK struct {
	raw  json.RawMessage
	K    string
	Keys []json.RawMessage
}

func (k *corpusJWK) UnmarshalJSON(text []byte) error {
	type plain corpusJWK
	k.raw = bytes.Clone(text)
	return json.Unmarshal(text, (*plain)(k))
}

// public returns the key without its private members, as a provider publishes it.
func (k *corpusJWK) public(t *testing.T) json.RawMessage {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(k.raw, &members))
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi"} {
		delete(members, name)
	}
	text, err := json.Marshal(members)
	require.NoError(t, err)
	return text
}

// verifiers returns one that uses the key as a client secret and one whose provider
// publishes it. fetches counts the requests of the latter.
func (k *corpusJWK) verifiers(t *testing.T) (hs, rs *Verifier, fetches *int) {
	t.Helper()
	secret, err := base64.RawURLEncoding.DecodeString(k.K)
	require.NoError(t, err)
	if len(secret) == 0 {
		secret = []byte(strings.Repeat("not the key of any test", 2))
	}
	hs, err = New("acme.reach5.net", "client", WithClientSecret(string(secret)))
	if len(secret) < minSecretSize {
		require.Error(t, err)
		hs, err = New("acme.reach5.net", "client", WithClientSecret(string(secret)), InsecureAllowShortSecret())
	}
	require.NoError(t, err)
	document := k.public(t)
	if k.Keys == nil {
		document = []byte(`{"keys":[` + string(document) + `]}`)
	}
	fetches = new(int)
	rs, err = New("acme.reach5.net", "client", WithHTTPClient(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		*fetches++
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: r, Body: io.NopCloser(bytes.NewReader(document))}, nil
	})}))
	require.NoError(t, err)
	return hs, rs, fetches
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// firstSteps verifies a token up to its signature.
func firstSteps(t *testing.T, v *Verifier, token string) error {
	t.Helper()
	c, err := splitToken(token)
	if err == nil {
		err = c.checkText()
	}
	if err == nil {
		s := &buffers{token: []byte(token)}
		_, err = v.verifySignature(t.Context(), c, s, new(eventFacts))
	}
	if err != nil { // Verify must agree
		_, whole := v.Verify(t.Context(), token)
		require.Error(t, whole)
	}
	return err
}

// wycheproofFile is a file of JWS, JWK or JWE tests.
type wycheproofFile struct {
	NumberOfTests int
	TestGroups    []struct {
		Comment         string
		Private, Public corpusJWK
		Tests           []struct {
			TCID     int `json:"tcId"`
			Comment  string
			JWS, JWE json.RawMessage // a string, or the JSON serialization
			Result   string
			Flags    []string
		}
	}
}

// compactOf returns the text that a client would send as a token.
func compactOf(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var text string
	if raw[0] == '{' {
		return string(raw)
	}
	require.NoError(t, json.Unmarshal(raw, &text))
	return text
}

// deviations are the tests that are valid by the corpus and refused here, with the
// reason.
type deviations map[int]string

func (d deviations) run(t *testing.T, path string) (accepted, refused int) {
	t.Helper()
	var file wycheproofFile
	readCorpus(t, path, &file)
	total, met := 0, make(deviations)
	for _, group := range file.TestGroups {
		key := group.Public
		if key.raw == nil {
			key = group.Private
		}
		hs, rs, fetches := key.verifiers(t)
		valid := make(map[string]bool)
		for _, test := range group.Tests {
			total++
			raw, name := test.JWS, group.Comment+"/"+test.Comment
			if raw == nil {
				raw = test.JWE
			}
			token := compactOf(t, raw)
			before := *fetches
			errHS, errRS := firstSteps(t, hs, token), firstSteps(t, rs, token)
			header, _, _ := strings.Cut(token, ".")
			text, _ := base64.RawURLEncoding.DecodeString(header)
			isOurs := bytes.Contains(text, []byte(`"RS256"`)) || bytes.Contains(text, []byte(`"HS256"`))
			if !isOurs {
				// Refused by its form or its alg: no key was even asked for.
				assert.Contains(t, []Code{CodeMalformedToken, CodeUnsupportedAlgorithm, CodeMissingToken}, CodeOf(errHS), "%d %s", test.TCID, name)
				assert.Contains(t, []Code{CodeMalformedToken, CodeUnsupportedAlgorithm, CodeMissingToken}, CodeOf(errRS), "%d %s", test.TCID, name)
				assert.Equal(t, before, *fetches, "%d %s", test.TCID, name)
			}
			good := errHS == nil || errRS == nil
			want := test.Result == "valid" && isOurs
			if reason, deviates := d[test.TCID]; deviates {
				met[test.TCID] = reason
				assert.Equal(t, "valid", test.Result, "%d %s: the corpus refuses it too", test.TCID, name)
				want = false
			}
			if test.Result == "valid" {
				valid[token] = true
			} else if valid[token] {
				// Two tests of the corpus are to the byte the token of an
				// earlier one that is valid: their padding has got lost.
				assert.Contains(t, []string{"invalidBase64Padding", "invalidBase64PaddingInPayload"}, test.Comment)
				assert.True(t, good)
				want = true
			}
			assert.Equal(t, want, good, "%d %s: %v, %v", test.TCID, name, errHS, errRS)
			if good {
				accepted++
			} else {
				refused++
			}
		}
	}
	assert.Equal(t, file.NumberOfTests, total)
	assert.Equal(t, d, met)
	t.Logf("%s: %d tests, %d accepted, %d refused, %d of these against the corpus", path, total, accepted, refused, len(d))
	return accepted, refused
}

func TestWycheproofJWS(t *testing.T) {
	t.Parallel()
	deviations{
		259: "the payload is empty: no ID token, and the gate takes no empty segment",
		372: "a '?' stands in the header, and the corpus calls it valid",
		373: "a '?' stands in the payload, and the corpus calls it valid",
	}.run(t, "wycheproof/json_web_signature_test.json")
}

func TestWycheproofJWK(t *testing.T) {
	t.Parallel()
	deviations{
		2:  "a symmetric key of a JWK Set is no client secret",
		13: "a symmetric key of a JWK Set is no client secret",
	}.run(t, "wycheproof/json_web_key_test.json")
}

func TestWycheproofJWC(t *testing.T) {
	t.Parallel()
	deviations{
		48: "a symmetric key of a JWK Set is no client secret",
	}.run(t, "wycheproof/json_web_crypto_test.json")
}

func TestWycheproofRSASignatures(t *testing.T) {
	t.Parallel()
	var file struct {
		NumberOfTests int
		TestGroups    []struct {
			PublicKeyDer string
			Tests        []struct {
				TCID             int `json:"tcId"`
				Msg, Sig, Result string
			}
		}
	}
	readCorpus(t, "wycheproof/rsa_signature_2048_sha256_test.json", &file)
	verifier, err := newSignatureVerifier(algRS256)
	require.NoError(t, err)
	total, accepted := 0, 0
	for _, group := range file.TestGroups {
		der, err := hex.DecodeString(group.PublicKeyDer)
		require.NoError(t, err)
		parsed, err := x509.ParsePKIXPublicKey(der)
		require.NoError(t, err)
		key, ok := parsed.(*rsa.PublicKey)
		require.True(t, ok)
		for _, test := range group.Tests {
			msg, errMsg := hex.DecodeString(test.Msg)
			sig, errSig := hex.DecodeString(test.Sig)
			require.NoError(t, errMsg)
			require.NoError(t, errSig)
			good := verifier.rsa(msg, sig, key)
			// What the corpus calls acceptable, an encoding without NULL, is refused.
			assert.Equal(t, test.Result == "valid", good, test.TCID)
			if good {
				accepted++
			}
			total++
		}
	}
	assert.Equal(t, file.NumberOfTests, total)
	t.Logf("%d tests, %d accepted, %d refused", total, accepted, total-accepted)
}

func TestWycheproofHMACs(t *testing.T) {
	t.Parallel()
	var file struct {
		NumberOfTests int
		TestGroups    []struct {
			TagSize int
			Tests   []struct {
				TCID                  int `json:"tcId"`
				Key, Msg, Tag, Result string
			}
		}
	}
	readCorpus(t, "wycheproof/hmac_sha256_test.json", &file)
	verifier, err := newSignatureVerifier(algHS256)
	require.NoError(t, err)
	total, accepted := 0, 0
	for _, group := range file.TestGroups {
		for _, test := range group.Tests {
			key, errKey := hex.DecodeString(test.Key)
			msg, errMsg := hex.DecodeString(test.Msg)
			tag, errTag := hex.DecodeString(test.Tag)
			require.NoError(t, errKey)
			require.NoError(t, errMsg)
			require.NoError(t, errTag)
			good := verifier.hmac(msg, tag, key)
			// A truncated tag is none of HS256.
			assert.Equal(t, test.Result == "valid" && group.TagSize == 256, good, test.TCID)
			if good {
				accepted++
			}
			total++
		}
	}
	assert.Equal(t, file.NumberOfTests, total)
	t.Logf("%d tests, %d accepted, %d refused", total, accepted, total-accepted)
}
