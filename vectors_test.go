package reachfive_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/internal/vectors"
)

// serving returns a client that gets document from every address.
func serving(document []byte) *http.Client {
	return &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{}, Request: r,
			Body: io.NopCloser(bytes.NewReader(document)),
		}, nil
	})}
}

func vectorFiles(t testing.TB) map[string]vectors.File {
	t.Helper()
	paths, err := filepath.Glob("testdata/vectors/*.json")
	require.NoError(t, err)
	files := make(map[string]vectors.File)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		var file vectors.File
		require.NoError(t, d.Decode(&file), path)
		files[filepath.Base(path)] = file
	}
	return files
}

// vectorVerifier returns the Verifier and the checks that a vector asks for.
func vectorVerifier(t testing.TB, file vectors.File, v vectors.Vector, further ...reachfive.Option) (*reachfive.Verifier, []reachfive.Check) {
	t.Helper()
	opts := append([]reachfive.Option{
		reachfive.WithClock(func() time.Time { return time.Unix(v.Clock, 0) }),
		reachfive.WithLeeway(time.Duration(v.Leeway) * time.Second),
	}, further...)
	switch v.Algorithm {
	case "HS256":
		opts = append(opts, reachfive.WithClientSecret(v.Secret))
	case "RS256":
		require.Contains(t, file.JWKS, v.JWKS)
		opts = append(opts, reachfive.WithHTTPClient(serving(file.JWKS[v.JWKS])))
	default:
		require.Fail(t, "no such algorithm", v.Algorithm)
	}
	if v.Audiences != nil {
		opts = append(opts, reachfive.WithAudiences(v.Audiences...))
	}
	if v.AllowAccessTokenClaims {
		opts = append(opts, reachfive.InsecureAllowAccessTokenClaims())
	}
	verifier, err := reachfive.New(v.Domain, v.ClientID, opts...)
	require.NoError(t, err)
	return verifier, vectorChecks(v.Checks)
}

func vectorChecks(c *vectors.Checks) (checks []reachfive.Check) {
	if c == nil {
		return nil
	}
	if c.Nonce != nil {
		checks = append(checks, reachfive.Nonce(*c.Nonce))
	}
	if c.MaxAge != nil {
		checks = append(checks, reachfive.MaxAge(time.Duration(*c.MaxAge)*time.Second))
	}
	if c.MaxTokenAge != nil {
		checks = append(checks, reachfive.MaxTokenAge(time.Duration(*c.MaxTokenAge)*time.Second))
	}
	if c.AMR != nil {
		checks = append(checks, reachfive.AMR(c.AMR...))
	}
	if c.ACR != nil {
		checks = append(checks, reachfive.ACR(c.ACR...))
	}
	if c.AuthType != nil {
		checks = append(checks, reachfive.AuthType(c.AuthType...))
	}
	if c.EmailVerified {
		checks = append(checks, reachfive.EmailVerified())
	}
	if c.AccessToken != nil {
		checks = append(checks, reachfive.AccessTokenHash(*c.AccessToken))
	}
	return checks
}

// verdict returns what a vector calls the outcome.
func verdict(err error) string {
	if err == nil {
		return vectors.Accept
	}
	return string(reachfive.CodeOf(err))
}

// Each vector is verified twice, with a token cache and without one: what a Verifier
// remembers of the first time must not change the second.
func TestVectors(t *testing.T) {
	t.Parallel()
	verdicts := make(map[string]int)
	for name, file := range vectorFiles(t) {
		t.Run(name, func(t *testing.T) {
			for _, vector := range file.Vectors {
				for _, opts := range [][]reachfive.Option{nil, {reachfive.WithTokenCache(8)}} {
					v, checks := vectorVerifier(t, file, vector, opts...)
					for _, time := range []string{"first", "second"} {
						user, err := v.Verify(t.Context(), vector.Token, checks...)
						assert.Equal(t, vector.Want, verdict(err), "%s, %s time: %v", vector.Name, time, err)
						assert.Equal(t, err == nil, user != nil, vector.Name)
						if vector.Claim != "" {
							assert.Equal(t, vector.Claim, refusalOf(err).Claim, vector.Name)
						}
					}
				}
				verdicts[vector.Want]++
			}
		})
	}
	t.Logf("vectors by verdict: %v", verdicts)
}

// vectorRules are the rules that a token or a key can break. Each has a vector that
// is refused and a similar one that is accepted.
func vectorRules() []string {
	return []string{
		"3.1 size", "3.1 dots", "3.1 segments", "3.1 compact", "3.1 alphabet", "3.1 trailing bits",
		"3.2 object", "3.2 white space", "3.2 duplicates", "3.2 UTF-8", "3.2 one object", "3.2 alg", "3.2 typ", "3.2 crit", "3.2 b64",
		"3.2 cty", "3.2 zip", "3.2 the token's own key", "3.2 kid",
		"3.3 kid", "3.3 two keys of one kid", "3.3 keys without kid", "3.3 token without kid", "3.3 sixteen candidates", "5 admission",
		"3.4 signature", "3.4 before the payload",
		"3.5 object", "3.5 white space", "3.5 duplicates", "3.5 UTF-8", "3.5 one object", "3.5 depth",
		"3.6 iss", "3.6 aud", "3.6 several clients", "3.6 azp", "3.6 exp", "3.6 leeway", "3.6 iat", "3.6 nbf", "3.6 auth_time", "3.6 sub",
		"3.6 logout token", "3.6 access token",
		"3.7 null", "3.7 identity claims", "3.7 two spellings", "3.7 descriptive claims",
		"3.8 checks", "3 order of steps", "3.6 order of claims",
		"8.1 missing or invalid", "8.1 range of a time", "8.1 null is absent", "8.2 no token", "8.3 HS256 kid", "8.4 after everything else",
		"8.8 token without kid that no key fits", "8.8 an empty aud", "8.8 a time is an integer",
	}
}

func TestVectorsCoverEveryRuleAndCode(t *testing.T) {
	t.Parallel()
	type vector struct{ rule, want, mutation string }
	type verdictOf struct{ name, algorithm string }
	var (
		distinct   = make(map[vector]bool)
		names      = make(map[string]bool)
		rules      = make(map[string]struct{ accepted, refused int })
		algorithms = make(map[verdictOf]bool)
		total      int
	)
	for name, file := range vectorFiles(t) {
		for _, v := range file.Vectors {
			assert.False(t, names[v.Name], "%s: %s twice", name, v.Name)
			names[v.Name] = true
			distinct[vector{v.Rule, v.Want, v.Mutation}] = true
			algorithms[verdictOf{v.Want, v.Algorithm}] = true
			rule := rules[v.Rule]
			if v.Want == vectors.Accept {
				rule.accepted++
			} else {
				rule.refused++
			}
			rules[v.Rule] = rule
			total++
		}
	}
	t.Logf("%d vectors, %d of them distinct by rule, code and mutation, for %d rules", total, len(distinct), len(rules))
	assert.GreaterOrEqual(t, len(distinct), 250)
	for _, rule := range vectorRules() {
		assert.Positive(t, rules[rule].refused, "no vector is refused by the rule %s", rule)
		assert.Positive(t, rules[rule].accepted, "no vector is accepted that is next to the rule %s", rule)
		delete(rules, rule)
	}
	assert.Empty(t, rules, "rules that the list lacks")
	for _, code := range []reachfive.Code{
		vectors.Accept, reachfive.CodeMissingToken, reachfive.CodeMalformedToken, reachfive.CodeUnsupportedAlgorithm, reachfive.CodeInvalidSignature,
		reachfive.CodeMissingClaim, reachfive.CodeInvalidClaim, reachfive.CodeWrongIssuer, reachfive.CodeWrongAudience,
		reachfive.CodeExpired, reachfive.CodeNotYetValid, reachfive.CodeWrongNonce, reachfive.CodeWrongAccessToken,
		reachfive.CodeReauthenticationRequired, reachfive.CodeInsufficientAuthentication, reachfive.CodeForbidden,
	} {
		for _, algorithm := range []string{"HS256", "RS256"} {
			assert.True(t, algorithms[verdictOf{string(code), algorithm}], "%s has no vector for %s", code, algorithm)
		}
	}
	assert.True(t, algorithms[verdictOf{string(reachfive.CodeUnknownKey), "RS256"}], "unknown_key, which HS256 cannot have")
}

// Whoever changes the generator or the files runs go generate.
func TestVectorsAreWhatTheGeneratorWrites(t *testing.T) {
	t.Parallel()
	files, err := vectors.Files()
	require.NoError(t, err)
	for name, want := range files {
		have, err := os.ReadFile(filepath.Join("testdata/vectors", name))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, have), "%s is stale: go generate ./internal/vectors", name)
	}
	entries, err := os.ReadDir("testdata/vectors")
	require.NoError(t, err)
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return !strings.HasSuffix(e.Name(), ".json") })
	assert.Len(t, entries, len(files), "a file that the generator does not write")
}
