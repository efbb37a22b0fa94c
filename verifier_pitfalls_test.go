package reachfive_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	kit "github.com/reachfive-community/reachfive/reachfivetest"
)

// These are tokens and keys that other verifiers, or libraries used as one, have
// accepted, one of each kind. testdata/vectors has many more of each kind.

// codeOf returns the Code of a token's refusal, and "" if the token is accepted.
func codeOf(t *testing.T, v reachfive.TokenVerifier, token string, checks ...reachfive.Check) reachfive.Code {
	t.Helper()
	user, err := v.Verify(t.Context(), token, checks...)
	assert.Equal(t, err == nil, user != nil)
	if err != nil {
		require.NotEmpty(t, reachfive.CodeOf(err), "%v", err)
	}
	return reachfive.CodeOf(err)
}

// segmentsOf splits a token.
func segmentsOf(token string) (header, payload, signature string) {
	s := strings.Split(token, ".")
	return s[0], s[1], s[2]
}

// memoryTenant makes a tenant for a synctest bubble, where a busy machine cannot
// make a fetch time out. All these tenants sign with the same keys.
func memoryTenant(t *testing.T, opts ...kit.Option) *kit.Tenant {
	t.Helper()
	return kit.NewTenant(t, append([]kit.Option{kit.InMemory(), kit.WithKeys(rsaKeys()...)}, opts...)...)
}

// assertVerdict verifies a token with a new Verifier, in a bubble. Any of these
// tenants may have signed it: they share their clock and their keys.
func assertVerdict(t *testing.T, token string, want reachfive.Code, checks ...reachfive.Check) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		assert.Equal(t, want, codeOf(t, pitfallTenant(t).Verifier(), token, checks...))
	})
}

func pitfallTime() time.Time { return time.Unix(1_800_000_000, 0) }

func pitfallTenant(t *testing.T) *kit.Tenant {
	t.Helper()
	return memoryTenant(t, kit.WithClock(pitfallTime))
}

func TestPitfallsOfTheTextAreRefused(t *testing.T) {
	t.Parallel()
	tenant := pitfallTenant(t)
	good := tenant.Token()
	assertVerdict(t, good, "")
	h, p, s := segmentsOf(good)
	eh, ep, es := segmentsOf(tenant.Token(kit.Expired()))
	last := func(text, with string) string { return text[:len(text)-1] + with }
	sameBits := func() string { // a signature of 256 bytes ends in a character with four bits to spare
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		return last(s, string(alphabet[strings.IndexByte(alphabet, s[len(s)-1])+1]))
	}()
	for _, tt := range []struct{ name, token string }{
		{"JSON with unsigned claims beside an expired token", fmt.Sprintf(
			`{"iss":%q,"aud":%q,"sub":"admin","exp":4000000000,"payload":%q,"protected":%q,"signature":%q}`, tenant.Issuer(), tenant.ClientID, ep, eh, es)},
		{"general JSON with two signatures", fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q},{"protected":%q,"signature":"AA"}]}`, p, h, s, h)},
		{"general JSON with 20000 signatures", fmt.Sprintf(`{"payload":%q,"signatures":[%s]}`, p, strings.Repeat(fmt.Sprintf(`{"protected":%q,"signature":"AA"},`, h), 20000))},
		{"padding after the signature", good + "=="},
		{"standard base64", strings.NewReplacer("-", "+", "_", "/").Replace(good) + "+"},
		{"a line feed in the signature", h + "." + p + "." + s[:9] + "\n" + s[9:]},
		{"CR LF in the payload", h + "." + p[:9] + "\r\n" + p[9:] + "." + s},
		{"white space before it", " " + good},
		{"white space after it", good + "\n"},
		{"another last character with the same bits", h + "." + p + "." + sameBits},
		{"a bad token of 17 KiB", good + strings.Repeat("A", 17<<10)},
		{"a header of 16 MiB", strings.Repeat("A", 16<<20) + "." + p + "." + s},
	} {
		t.Run(tt.name, func(t *testing.T) { assertVerdict(t, tt.token, reachfive.CodeMalformedToken) })
	}
}

func TestPitfallsOfTheHeaderAreRefused(t *testing.T) {
	t.Parallel()
	tenant := pitfallTenant(t)
	alg := func(value any) kit.Mod { return kit.Header("alg", value) }
	for _, tt := range []struct {
		name string
		mod  kit.Mod
		want reachfive.Code
	}{
		{"the typ of an access token", kit.Header("typ", "at+jwt"), reachfive.CodeMalformedToken},
		{"the typ of a logout token", kit.Header("typ", "logout+jwt"), reachfive.CodeMalformedToken},
		{"the typ of a DPoP proof", kit.Header("typ", "dpop+jwt"), reachfive.CodeMalformedToken},
		{"alg twice", kit.RawHeader(`{"alg":"RS256","alg":"RS256"}`), reachfive.CodeMalformedToken},
		{"kid twice, once escaped", kit.RawHeader(`{"alg":"RS256","kid":"key-1","\u006bid":"key-1"}`), reachfive.CodeMalformedToken},
		{"crit with an unknown name", kit.Header("crit", []string{"x"}), reachfive.CodeMalformedToken},
		{"crit empty", kit.Header("crit", []string{}), reachfive.CodeMalformedToken},
		{"alg none and a good signature", alg("none"), reachfive.CodeUnsupportedAlgorithm},
		{"alg HS256 and a good signature", alg("HS256"), reachfive.CodeUnsupportedAlgorithm},
		{"alg PS256 and a good signature", alg("PS256"), reachfive.CodeUnsupportedAlgorithm},
		{"alg rs256", alg("rs256"), reachfive.CodeUnsupportedAlgorithm},
		{"alg null", alg(nil), reachfive.CodeUnsupportedAlgorithm},
		{"no alg", kit.WithoutHeader("alg"), reachfive.CodeUnsupportedAlgorithm},
		{"alg RS512 by a key without alg", alg("RS512"), reachfive.CodeUnsupportedAlgorithm},
		{"an unknown kid", kit.KID("nobody"), reachfive.CodeUnknownKey},
		{"cty of a nested token", kit.Header("cty", "JWT"), reachfive.CodeMalformedToken},
		{"a token in the payload", kit.RawPayload(tenant.Token()), reachfive.CodeMalformedToken},
	} {
		t.Run(tt.name, func(t *testing.T) { assertVerdict(t, tenant.Token(tt.mod), tt.want) })
	}
	t.Run("HS256 under another alg", func(t *testing.T) { // which has no keys to fetch
		hs := memoryTenant(t, kit.WithHS256())
		require.Empty(t, codeOf(t, hs.Verifier(), hs.Token()))
		for _, alg := range []any{"RS256", "none", nil, "HS512"} {
			assert.Equal(t, reachfive.CodeUnsupportedAlgorithm, codeOf(t, hs.Verifier(), hs.Token(kit.Header("alg", alg))))
		}
		_, err := reachfive.New(hs.Domain, hs.ClientID, reachfive.WithClientSecret("s"))
		require.Error(t, err)
	})
}

func TestPitfallsOfTheClaimsAreRefused(t *testing.T) {
	t.Parallel()
	now, tenant := pitfallTime(), pitfallTenant(t)
	plain := fmt.Sprintf(`{"iss":%q,"aud":[%q],"sub":"s","iat":%d,"exp":%d}`, tenant.Issuer(), tenant.ClientID, now.Unix(), now.Unix()+60)
	assertVerdict(t, tenant.Token(kit.RawPayload(plain)), "")
	raw := func(old, with string) kit.Mod { return kit.RawPayload(strings.Replace(plain, old, with, 1)) }
	exp := fmt.Sprintf(`"exp":%d`, now.Unix()+60)
	for _, tt := range []struct {
		name string
		mod  kit.Mod
		want reachfive.Code
	}{
		{"the events of a logout token", kit.Claim("events", map[string]any{}), reachfive.CodeInvalidClaim},
		{"the scope of an access token", kit.Claim("scope", "openid"), reachfive.CodeInvalidClaim},
		{"the client_id of an access token", kit.Claim("client_id", tenant.ClientID), reachfive.CodeInvalidClaim},
		{"no exp", kit.WithoutClaim("exp"), reachfive.CodeMissingClaim},
		{"exp 0", kit.Claim("exp", 0), reachfive.CodeInvalidClaim},
		{"exp a string", kit.Claim("exp", "9999999999"), reachfive.CodeInvalidClaim},
		{"exp a date", kit.Claim("exp", "2040-01-01T00:00:00Z"), reachfive.CodeInvalidClaim},
		{"exp no number", kit.Claim("exp", "9999999999.5.5"), reachfive.CodeInvalidClaim},
		{"exp 1e10", raw(exp, `"exp":1e10`), reachfive.CodeInvalidClaim},
		{"exp in milliseconds", kit.Claim("exp", now.Add(time.Hour).UnixMilli()), reachfive.CodeInvalidClaim},
		{"iat a string", kit.Claim("iat", "1"), reachfive.CodeInvalidClaim},
		{"no iat", kit.WithoutClaim("iat"), reachfive.CodeMissingClaim},
		{"iat 0", kit.Claim("iat", 0), reachfive.CodeInvalidClaim},
		{"no sub", kit.WithoutClaim("sub"), reachfive.CodeMissingClaim},
		{"sub empty", kit.Claim("sub", ""), reachfive.CodeInvalidClaim},
		{"sub null", kit.Claim("sub", nil), reachfive.CodeInvalidClaim},
		{"sub of 10 kB", kit.Claim("sub", strings.Repeat("s", 10_000)), reachfive.CodeInvalidClaim},
		{"sub with NUL", kit.Claim("sub", "s\x00"), reachfive.CodeInvalidClaim},
		{"sub in invalid UTF-8", raw(`"s"`, "\"s\xff\""), reachfive.CodeMalformedToken},
		{"sub with a lone surrogate", raw(`"s"`, `"\ud800"`), reachfive.CodeMalformedToken},
		{"sub twice", raw(`"sub":"s"`, `"sub":"s","sub":"admin"`), reachfive.CodeMalformedToken},
		{"sub twice, once escaped", raw(`"sub":"s"`, `"sub":"s","\u0073ub":"admin"`), reachfive.CodeMalformedToken},
		{"aud twice", raw(`"sub"`, `"aud":"x","sub"`), reachfive.CodeMalformedToken},
		{"garbage after the payload", kit.RawPayload(plain + "garbage"), reachfive.CodeMalformedToken},
		{"another object after the payload", kit.RawPayload(plain + plain), reachfive.CodeMalformedToken},
		{"another client beside ours", kit.Claim("aud", []string{tenant.ClientID, "other"}), reachfive.CodeWrongAudience},
		{"azp of another client", kit.Claim("azp", "other"), reachfive.CodeWrongAudience},
		{"a payload 1000 deep", raw(`"s"`, `"s","x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)), reachfive.CodeMalformedToken},
		{"Exp and AUD for exp and aud", raw(exp, `"Exp":4000000000,"EXP":4000000000`), reachfive.CodeMissingClaim},
		{"email_verified a string", kit.Claim("email_verified", "true"), reachfive.CodeInvalidClaim},
		{"exp is now", kit.Claim("exp", now.Unix()), reachfive.CodeExpired},
	} {
		t.Run(tt.name, func(t *testing.T) { assertVerdict(t, tenant.Token(tt.mod), tt.want) })
	}
	t.Run("a token of ten years ago", func(t *testing.T) {
		old := tenant.Token(kit.Claim("iat", now.AddDate(-10, 0, 0).Unix()))
		assertVerdict(t, old, "") // its exp is what the provider says
		assertVerdict(t, old, reachfive.CodeExpired, reachfive.MaxTokenAge(24*time.Hour))
	})
	t.Run("SUB beside sub is another claim", func(t *testing.T) {
		assertVerdict(t, tenant.Token(raw(`"sub":"s"`, `"sub":"s","SUB":"admin","Sub":"admin"`)), "", func(_ context.Context, u *reachfive.User) error {
			assert.Equal(t, "s", u.Subject)
			return nil
		})
	})
	t.Run("an odd profile claim costs no sign-in", func(t *testing.T) {
		assertVerdict(t, tenant.Token(kit.Claim("birthdate", 1990), kit.Claim("gender", []int{1})), "")
		assertVerdict(t, tenant.Token(kit.Claim("email", nil), kit.Claim("email_verified", nil)), "", func(_ context.Context, u *reachfive.User) error {
			assert.False(t, u.EmailVerified)
			return nil
		})
	})
	t.Run("a clock two seconds ahead costs no sign-in", func(t *testing.T) {
		assertVerdict(t, tenant.Token(kit.Claim("iat", now.Unix()+2)), "")
	})
}

// rawKeys returns a Verifier of a tenant that publishes this document, for a
// bubble.
func rawKeys(t *testing.T, document string) *reachfive.Verifier {
	t.Helper()
	tenant := pitfallTenant(t)
	tenant.OnJWKS(func(w http.ResponseWriter, _ *http.Request) bool {
		_, err := w.Write([]byte(document))
		return err == nil
	})
	return tenant.Verifier()
}

func TestPitfallsOfTheKeysAreRefused(t *testing.T) {
	t.Parallel()
	with := func(jwk, members string) string { return `{` + members + `,` + jwk[1:] }
	without := func(jwk, name string) string { return strings.Replace(jwk, `"`+name+`"`, `"x-`+name+`"`, 1) }
	tenant := pitfallTenant(t)
	jwk := tenant.JWK(tenant.KID())
	bare := without(without(jwk, "use"), "alg")
	set := func(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }
	token := tenant.Token()
	for _, tt := range []struct {
		name, document string
		want           reachfive.Code
	}{
		{"a private RSA key", set(with(jwk, `"d":"AQAB"`)), reachfive.CodeKeysUnavailable},
		{"a key for RS512", set(with(bare, `"alg":"RS512"`)), reachfive.CodeKeysUnavailable},
		{"a key for encryption", set(with(bare, `"use":"enc"`)), reachfive.CodeKeysUnavailable},
		{"a key for key_ops encrypt", set(with(bare, `"key_ops":["encrypt"]`)), reachfive.CodeKeysUnavailable},
		{"a key for key_ops sign", set(with(bare, `"key_ops":["sign"]`)), reachfive.CodeKeysUnavailable},
		{"a bare JWK", jwk, reachfive.CodeKeysUnavailable},
		{"garbage after the set", set(jwk) + "garbage", reachfive.CodeKeysUnavailable},
		{"a padded modulus", set(strings.Replace(jwk, `"n":"`, `"n":"AA`, 1)), reachfive.CodeKeysUnavailable},
		{"an unknown kty beside the good key", set(`{"kty":"AKP","pub":"AA"}`, jwk), ""},
		{"a malformed key beside the good one", set(`{"kty":"RSA","n":1}`, `7`, jwk), ""},
		{"two keys of one kid", set(with(without(jwk, "n"), `"n":"`+base64.RawURLEncoding.EncodeToString(slices.Repeat([]byte{0xc1}, 256))+`"`), jwk), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				assert.Equal(t, tt.want, codeOf(t, rawKeys(t, tt.document), token))
			})
		})
	}
	t.Run("a secret published among the keys", func(t *testing.T) {
		secret := strings.Repeat("s", 32)
		oct := fmt.Sprintf(`{"kty":"oct","kid":"key-1","k":%q}`, base64.RawURLEncoding.EncodeToString([]byte(secret)))
		inBubble(t, func(t *testing.T) {
			v := rawKeys(t, set(oct, jwk))
			assert.Equal(t, reachfive.CodeUnsupportedAlgorithm, codeOf(t, v, tenant.Token(kit.HS256With(secret), kit.KID("key-1"))))
			assert.Empty(t, codeOf(t, v, token))
		})
	})
	t.Run("an RSA key of 1024 bits", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			weak := kit.NewTenant(t, kit.InMemory(), kit.WithKeyBits(1024))
			assert.Equal(t, reachfive.CodeKeysUnavailable, codeOf(t, weak.Verifier(), weak.Token()))
		})
	})
	t.Run("ten thousand keys for a token without kid", func(t *testing.T) {
		many := slices.Repeat([]string{strings.Replace(without(jwk, "kid"), `"n":"`, `"n":"_`, 1)}, 10_000)
		inBubble(t, func(t *testing.T) {
			v := rawKeys(t, set(append(many, jwk)...))
			assert.Equal(t, reachfive.CodeKeysUnavailable, codeOf(t, v, tenant.Token(kit.NoKID())))
		})
	})
}

func TestAHugeTokenIsRefusedByItsLength(t *testing.T) {
	v := hs256Verifier(t, time.Unix(1_800_000_000, 0))
	huge := strings.Repeat("A", 100<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := v.Verify(t.Context(), huge)
	runtime.ReadMemStats(&after)
	assert.Equal(t, reachfive.CodeMalformedToken, reachfive.CodeOf(err))
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestNewRefusesToCheckNothing(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]func() (*reachfive.Verifier, error){
		"no domain":    func() (*reachfive.Verifier, error) { return reachfive.New("", testClient) },
		"no client ID": func() (*reachfive.Verifier, error) { return reachfive.New(testDomain, "") },
		"no secret": func() (*reachfive.Verifier, error) {
			return reachfive.New(testDomain, testClient, reachfive.WithClientSecret(""), reachfive.InsecureAllowShortSecret())
		},
		"no issuer": func() (*reachfive.Verifier, error) {
			return reachfive.New(testDomain, testClient, reachfive.WithIssuer(""))
		},
		"an empty further client": func() (*reachfive.Verifier, error) {
			return reachfive.New(testDomain, testClient, reachfive.WithAudiences(""))
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := try()
			require.Error(t, err)
		})
	}
}
