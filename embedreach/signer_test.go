package embedreach_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/embedreach"
)

const (
	secret    = "reach-shared-secret-of-forty-bytes-00000"
	partnerID = "partner-42"
	issuedAt  = 1_700_000_000
)

func identity() embedreach.Identity {
	return embedreach.Identity{
		Email: "jane@acme.example", Name: "Jane O'Neil <3 & Søn",
		ExternalID: "AVqvOB58Fg6nZfQ0ZqXt", TenantExternalID: "acme-7",
	}
}

func clock() time.Time { return time.Unix(issuedAt, 999_999_999) }

func newSigner(t *testing.T, opts ...embedreach.Option) *embedreach.Signer {
	t.Helper()
	s, err := embedreach.NewSigner(secret, partnerID, append([]embedreach.Option{embedreach.WithClock(clock)}, opts...)...)
	require.NoError(t, err)
	return s
}

// open verifies the token with nothing of the package under test and returns
// its payload's bytes.
func open(t *testing.T, token, key string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(parts[0] + "." + parts[1]))
	require.Equal(t, base64.RawURLEncoding.EncodeToString(h.Sum(nil)), parts[2], "signature")
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	require.NoError(t, err)
	require.Equal(t, `{"alg":"HS256","typ":"JWT"}`, string(header))
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	return string(payload)
}

func TestTenantTokenHasTheTablesFieldsInItsOrder(t *testing.T) {
	token, err := newSigner(t).TenantToken(identity())
	require.NoError(t, err)
	assert.Equal(t, `{"email":"jane@acme.example","name":"Jane O'Neil <3 & Søn","externalId":"AVqvOB58Fg6nZfQ0ZqXt",`+
		`"tenantExternalId":"acme-7","partnerId":"partner-42","iat":1700000000,"exp":1700003600}`, open(t, token, secret))
}

func TestPartnerTokenHasTheTablesFieldsInItsOrder(t *testing.T) {
	token, err := newSigner(t, embedreach.WithTTL(24*time.Hour)).PartnerToken()
	require.NoError(t, err)
	assert.Equal(t, `{"partnerId":"partner-42","type":"partner","iat":1700000000,"exp":1700086400}`, open(t, token, secret))
}

func TestTokenIsTheSameByteForByteForOneClock(t *testing.T) {
	// The vector was computed with OpenSSL's HMAC over the two encoded parts.
	s, err := embedreach.NewSigner(secret, partnerID, embedreach.WithClock(clock), embedreach.WithTTL(time.Second))
	require.NoError(t, err)
	token, err := s.PartnerToken()
	require.NoError(t, err)
	assert.Equal(t, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."+
		"eyJwYXJ0bmVySWQiOiJwYXJ0bmVyLTQyIiwidHlwZSI6InBhcnRuZXIiLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMDAwMX0."+
		"3Qpj1oJ3qgG9yYWf8nzYpy3hGXJtk-lBSnKdw0WaUBg", token)
}

func TestTokenStartsNowByTheSystemClock(t *testing.T) {
	s, err := embedreach.NewSigner(secret, partnerID)
	require.NoError(t, err)
	before := time.Now().Unix()
	token, err := s.TenantToken(identity())
	require.NoError(t, err)
	var claims struct{ IAT, EXP int64 }
	require.NoError(t, json.Unmarshal([]byte(open(t, token, secret)), &claims))
	assert.GreaterOrEqual(t, claims.IAT, before)
	assert.LessOrEqual(t, claims.IAT, time.Now().Unix())
	assert.Equal(t, int64(3600), claims.EXP-claims.IAT)
}

func TestSecretIsUsedRaw(t *testing.T) {
	// Each of these decodes to other bytes under base64url, hex or trimming.
	for _, key := range []string{
		"KiHTYd2yCaoqRW2V8IxMP81XfyUbLadEZNO0IS02",
		strings.Repeat("0a", 32),
		"  a secret with a line feed at its end \n",
		"ключ, который не из одних только латинских букв",
		strings.Repeat("\x00\xff", 40),
	} {
		s, err := embedreach.NewSigner(key, partnerID, embedreach.WithClock(clock))
		require.NoError(t, err)
		token, err := s.PartnerToken()
		require.NoError(t, err)
		open(t, token, key)
	}
}

func TestNewSignerRefusesWhatCannotWork(t *testing.T) {
	short := secret[:31]
	for _, tc := range []struct {
		name, secret, partner string
		opts                  []embedreach.Option
		want                  string // "" = accepted
	}{
		{"all good", secret, partnerID, nil, ""},
		{"nil option", secret, partnerID, []embedreach.Option{embedreach.WithTTL(time.Hour), nil}, "option 1 is nil"},
		{"32 bytes are enough", secret[:32], partnerID, nil, ""},
		{"31 bytes", short, partnerID, nil, "less than 32 bytes"},
		{"31 bytes allowed", short, partnerID, []embedreach.Option{embedreach.InsecureAllowShortSecret()}, ""},
		{"empty secret", "", partnerID, nil, "secret is empty"},
		{"empty secret, short ones allowed", "", partnerID, []embedreach.Option{embedreach.InsecureAllowShortSecret()}, "secret is empty"},
		{"empty partner", secret, "", nil, "partnerId is empty"},
		{"blank partner", secret, " \u00a0", nil, "partnerId is blank"},
		{"control character in partner", secret, "partner\n", nil, "partnerId has a control character"},
		{"no TTL", secret, partnerID, []embedreach.Option{embedreach.WithTTL(0)}, "TTL"},
		{"TTL below zero", secret, partnerID, []embedreach.Option{embedreach.WithTTL(-time.Hour)}, "TTL"},
		{"TTL of one second", secret, partnerID, []embedreach.Option{embedreach.WithTTL(time.Second)}, ""},
		{"TTL with a fraction", secret, partnerID, []embedreach.Option{embedreach.WithTTL(1500 * time.Millisecond)}, "TTL"},
		{"TTL of a day", secret, partnerID, []embedreach.Option{embedreach.WithTTL(24 * time.Hour)}, ""},
		{"TTL over a day", secret, partnerID, []embedreach.Option{embedreach.WithTTL(24*time.Hour + time.Second)}, "TTL"},
		{"nil clock", secret, partnerID, []embedreach.Option{embedreach.WithClock(nil)}, "clock"},
		{"nil logger", secret, partnerID, []embedreach.Option{embedreach.WithLogger(nil)}, "logger"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := embedreach.NewSigner(tc.secret, tc.partner, tc.opts...)
			if tc.want == "" {
				require.NoError(t, err)
				assert.NotNil(t, s)
				return
			}
			require.ErrorContains(t, err, tc.want)
			assert.Nil(t, s)
			assert.NotContains(t, err.Error(), short)
		})
	}
}

func TestNewSignerReportsEveryFaultAtOnce(t *testing.T) {
	_, err := embedreach.NewSigner("short", "", embedreach.WithTTL(0), embedreach.WithClock(nil), embedreach.WithLogger(nil))
	require.Error(t, err)
	for _, part := range []string{"secret", "partnerId", "TTL", "clock", "logger"} {
		assert.ErrorContains(t, err, part)
	}
	field, ok := errors.AsType[*embedreach.FieldError](err)
	require.True(t, ok)
	assert.Equal(t, "partnerId", field.Field)
}

func TestTenantTokenRequiresEveryField(t *testing.T) {
	set := map[string]func(*embedreach.Identity, string){
		"email":            func(id *embedreach.Identity, v string) { id.Email = v },
		"name":             func(id *embedreach.Identity, v string) { id.Name = v },
		"externalId":       func(id *embedreach.Identity, v string) { id.ExternalID = v },
		"tenantExternalId": func(id *embedreach.Identity, v string) { id.TenantExternalID = v },
	}
	for field, setter := range set {
		for _, tc := range []struct{ name, value, want string }{
			{"empty", "", "is empty"},
			{"spaces", "   ", "is blank"},
			{"no-break and ideographic space", "\u00a0\u3000", "is blank"},
			{"zero-width space", "\u200b", "is blank"},
			{"line feed", "private\nvalue", "has a control character"},
			{"NUL", "private\x00value", "has a control character"},
			{"C1 control", "private\u0085value", "has a control character"},
			{"invalid UTF-8", "private\xffvalue", "is not valid UTF-8"},
			{"a surrogate", "private\xed\xa0\x80value", "is not valid UTF-8"},
			{"256 bytes", strings.Repeat("p", 256), "has more than 255 bytes"},
		} {
			t.Run(field+"/"+tc.name, func(t *testing.T) {
				id := identity()
				setter(&id, tc.value)
				token, err := newSigner(t).TenantToken(id)
				assert.Empty(t, token)
				require.EqualError(t, err, "embedreach: "+field+" "+tc.want)
				e, ok := errors.AsType[*embedreach.FieldError](err)
				require.True(t, ok)
				assert.Equal(t, field, e.Field)
				assert.NotContains(t, err.Error(), "private")
			})
		}
	}
}

func TestTenantTokenNamesEveryFieldAtFault(t *testing.T) {
	_, err := newSigner(t).TenantToken(embedreach.Identity{})
	require.EqualError(t, err, "embedreach: email is empty\nembedreach: name is empty\n"+
		"embedreach: externalId is empty\nembedreach: tenantExternalId is empty")
}

func TestTenantTokenTakesFieldsOf255Bytes(t *testing.T) {
	long := strings.Repeat("p", 255)
	_, err := newSigner(t).TenantToken(embedreach.Identity{
		Email: strings.Repeat("p", 243) + "@example.org", Name: long, ExternalID: long, TenantExternalID: long,
	})
	require.NoError(t, err)
}

func TestTenantTokenTakesOnlyABareAddress(t *testing.T) {
	for email, ok := range map[string]bool{
		"jane@acme.example":            true,
		"jane+reach@mail.acme.example": true,
		"jane@localhost":               true,
		"jåne@ácme.example":            true,
		"jane":                         false,
		"jane@":                        false,
		"@acme.example":                false,
		"jane@acme@example":            false,
		"Jane <jane@acme.example>":     false,
		"<jane@acme.example>":          false,
		" jane@acme.example":           false,
		"jane@acme.example ":           false,
		"jane@acme.example (home)":     false,
		`"jane"@acme.example`:          false,
		"jane@acme.example, b@acme.ex": false,
	} {
		id := identity()
		id.Email = email
		_, err := newSigner(t).TenantToken(id)
		if ok {
			require.NoError(t, err, email)
			continue
		}
		require.EqualError(t, err, "embedreach: email is not a bare e-mail address", email)
	}
}

func TestNothingPrintsTheSecretOrAField(t *testing.T) {
	s := newSigner(t)
	id := identity()
	type holder struct {
		Signer   any
		Identity embedreach.Identity
	}
	var logged bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&logged, nil))
	logger.Info("signer", "pointer", s, "value", *s, "identity", id, "identity pointer", &id)
	texts := []string{logged.String()}
	for _, v := range []any{
		s, *s,
		[]any{s},
		map[string]any{"k": s},
		holder{s, id},
		&holder{*s, id}, id, &id,
		[]embedreach.Identity{id},
		embedreach.InsecureAllowShortSecret(),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			texts = append(texts, fmt.Sprintf(verb, v))
		}
	}
	asJSON, err := json.Marshal(s) //nolint:staticcheck // SA9005: that nothing comes out is what is tested
	require.NoError(t, err)
	texts = append(texts, string(asJSON))
	for _, text := range texts {
		for _, private := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%v", []byte(secret)), id.Email, id.Name, id.ExternalID, id.TenantExternalID, partnerID} {
			assert.NotContains(t, text, private)
		}
	}
	assert.Contains(t, logged.String(), "redacted")
}

func TestSignerServesManyGoroutinesAtOnce(t *testing.T) {
	s := newSigner(t)
	want, err := s.TenantToken(identity())
	require.NoError(t, err)
	got := make(chan string, 32)
	for range cap(got) {
		go func() {
			token, _ := s.TenantToken(identity())
			got <- token
		}()
	}
	for range cap(got) {
		assert.Equal(t, want, <-got)
	}
}
