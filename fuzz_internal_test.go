package reachfive

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/internal/reference"
	"github.com/reachfive-community/reachfive/internal/vectors"
)

// These targets compare each step of Verify with the same step in
// internal/reference. fuzz_test.go does the same with whole tokens.

// eachVector seeds a target.
func eachVector(f *testing.F, seed func(file vectors.File, v vectors.Vector)) {
	f.Helper()
	paths, err := filepath.Glob("testdata/vectors/*.json")
	require.NoError(f, err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(f, err)
		var file vectors.File
		require.NoError(f, json.Unmarshal(text, &file))
		for _, v := range file.Vectors {
			seed(file, v)
		}
	}
}

// segment decodes one segment of a vector's token, nil if it has none.
func segment(v vectors.Vector, i int) []byte {
	segments := strings.Split(v.Token, ".")
	if len(segments) != 3 {
		return nil
	}
	text, err := base64.RawURLEncoding.DecodeString(segments[i])
	if err != nil {
		return nil
	}
	return text
}

func FuzzGate(f *testing.F) {
	eachVector(f, func(_ vectors.File, v vectors.Vector) { f.Add(v.Token) })
	f.Fuzz(func(t *testing.T, token string) {
		c, err := splitToken(token)
		if err == nil {
			err = c.checkText()
		}
		segments, ok := reference.Gate(token)
		require.Equal(t, ok, err == nil, "%q", token)
		if err != nil {
			assert.Equal(t, token == "", errors.Is(err, CodeMissingToken))
			assert.Equal(t, token != "", errors.Is(err, CodeMalformedToken))
			return
		}
		// What passes is byte for byte what its content encodes to.
		for i, text := range []string{c.header, c.payload, c.signature} {
			assert.Equal(t, base64.RawURLEncoding.EncodeToString(segments[i]), text)
			decoded := new(buffers).decode([]byte(text))
			assert.Equal(t, segments[i], decoded)
		}
		assert.Equal(t, token, c.header+"."+c.payload+"."+c.signature)
		assert.Equal(t, c.header+"."+c.payload, c.signed)
	})
}

func FuzzHeader(f *testing.F) {
	eachVector(f, func(_ vectors.File, v vectors.Vector) {
		if text := segment(v, 0); text != nil {
			f.Add(text)
		}
	})
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, alg := range []string{algRS256, algHS256} {
			var s buffers
			h, err := readHeader(&s.reader, slices.Clone(text), alg)
			kid, code := reference.Header(text, alg)
			require.Equal(t, code, string(CodeOf(err)), "%q", text)
			assert.Equal(t, kid, h.kid, "%q", text)
		}
	})
}

func FuzzClaims(f *testing.F) {
	eachVector(f, func(_ vectors.File, v vectors.Vector) {
		if text := segment(v, 1); text != nil {
			f.Add(text)
		}
	})
	now := time.Unix(1512140000, 0)
	const issuer, client = "https://acme.reach5.net", "AtnY5xDg4fbanentihip"
	v, err := New("acme.reach5.net", client, WithClientSecret(strings.Repeat("s", 32)), WithClock(func() time.Time { return now }))
	require.NoError(f, err)
	oracle := reference.Config{Issuer: issuer, Audiences: []string{client}, Now: now}
	f.Fuzz(func(t *testing.T, text []byte) {
		user, err := v.readClaims(slices.Clone(text))
		var got reference.Refusal
		if refusal, ok := errors.AsType[*Error](err); ok {
			got = reference.Refusal{Code: string(refusal.Code), Claim: refusal.Claim}
		}
		require.Equal(t, oracle.Claims(text), got, "%q", text)
		if err != nil {
			return
		}
		assertUserIsItsClaims(t, user, text)
	})
}

// readClaims takes steps 5 to 7.
func (v *Verifier) readClaims(payload []byte) (*User, error) {
	var s buffers
	if err := s.claims.read(&s.reader, payload); err != nil {
		return nil, err
	}
	u, err := newUser(&s.claims, v.allowAccessToken)
	if err != nil {
		return nil, err
	}
	if err := v.checkParties(u); err != nil {
		return nil, err
	}
	return u, v.checkTimes(u, v.clock.now())
}

// assertUserIsItsClaims compares the fields of a User, and what its Claims
// decodes, with the payload decoded by the standard library.
func assertUserIsItsClaims(t *testing.T, u *User, payload []byte) {
	t.Helper()
	members, ok := reference.Object(payload)
	require.True(t, ok)
	var claims map[string]json.RawMessage
	require.NoError(t, u.Claims(&claims))
	require.Len(t, claims, len(members))
	for name, want := range members {
		assert.Equal(t, string(want), string(claims[name]), "%q", name)
	}
	text := func(name string) (text string) {
		if raw, there := reference.Claim(members, name); there && raw[0] == '"' {
			require.NoError(t, json.Unmarshal(raw, &text))
		}
		return text
	}
	for name, got := range map[string]string{
		"iss": u.Issuer, "sub": u.Subject, "nonce": u.Nonce, "azp": u.AuthorizedParty, "acr": u.ACR, "auth_type": u.AuthType,
		"email": u.Email, "phone_number": u.PhoneNumber, "name": u.Name, "given_name": u.GivenName, "family_name": u.FamilyName,
		"middle_name": u.MiddleName, "nickname": u.Nickname, "preferred_username": u.PreferredUsername, "gender": u.Gender,
		"birthdate": u.Birthdate, "locale": u.Locale, "zoneinfo": u.Zoneinfo, "website": u.Website, "picture": u.Picture,
		"profile": u.Profile, "custom_identifier": u.CustomIdentifier, "external_id": u.ExternalID, "at_hash": u.accessTokenHash,
	} {
		assert.Equal(t, text(name), got, name)
	}
	for name, got := range map[string]bool{
		"email_verified": u.EmailVerified, "phone_number_verified": u.PhoneNumberVerified, "new_user": u.NewUser,
	} {
		raw, _ := reference.Claim(members, name)
		assert.Equal(t, string(raw) == "true", got, name)
	}
	for name, got := range map[string]time.Time{"exp": u.ExpiresAt, "iat": u.IssuedAt, "auth_time": u.AuthTime, "nbf": u.notBefore} {
		raw, there := reference.Claim(members, name)
		if !there || string(raw) == "null" {
			assert.True(t, got.IsZero(), name)
			continue
		}
		var seconds int64
		require.NoError(t, json.Unmarshal(raw, &seconds))
		assert.Equal(t, seconds, got.Unix(), name)
	}
	for name, got := range map[string][]string{"aud": u.Audience, "amr": u.AMR} {
		want, _ := reference.Texts(members[name])
		if name == "amr" && len(want) > 64 {
			want = nil
		}
		assert.ElementsMatch(t, want, got, name)
	}
	fields, _ := reference.Claim(members, "custom_fields")
	if len(fields) > 0 && fields[0] == '{' {
		assert.Equal(t, string(fields), string(u.CustomFields))
	} else {
		assert.Nil(t, u.CustomFields)
	}
}

func FuzzKeySet(f *testing.F) {
	seen := make(map[string]bool)
	eachVector(f, func(file vectors.File, _ vectors.Vector) {
		for _, document := range file.JWKS {
			if !seen[string(document)] {
				seen[string(document)] = true
				f.Add([]byte(document))
			}
		}
	})
	for _, odd := range []string{`{"keys":[]}`, `{"keys":null}`, `{}`, `[]`, `{"keys":[]}{}`, `{"keys":[],"keys":[]}`, `{"k\u0065ys":[1,null,"x",[],{}]}`, "{\"keys\":[{\"\xff\":1}]}", `{"keys":[{"kty":"AKP"}]}`} {
		f.Add([]byte(odd))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		set, err := parseKeySet(slices.Clone(document))
		want, ok := reference.Keys(document)
		require.Equal(t, ok && len(want) > 0, err == nil, "%q", document)
		if err != nil {
			return
		}
		require.Len(t, set.keys, len(want))
		for i, key := range set.keys {
			assert.Equal(t, want[i].KID, key.kid)
			assert.Zero(t, want[i].N.Cmp(key.rsa.N))
			assert.Equal(t, want[i].E.Int64(), int64(key.rsa.E))
		}
	})
}
