package main_test

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	golangjwt "github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/lestrrat-go/jwx/v2/jwt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

var update = flag.Bool("update", false, "write the table into docs/security.md")

// vector is what of testdata/vectors this test needs; testdata/README.md has
// the format.
type vector struct {
	Name, Rule, Mutation, Domain string
	ClientID                     string `json:"client_id"`
	Audiences                    []string
	Algorithm, JWKS, Secret      string
	Clock, Leeway                int64
	AllowAccessTokenClaims       bool `json:"allow_access_token_claims"`
	Checks                       json.RawMessage
	Token, Want                  string

	keys json.RawMessage
}

func (v vector) now() time.Time { return time.Unix(v.Clock, 0) }

func readVectors(t *testing.T) []vector {
	t.Helper()
	paths, err := filepath.Glob("../testdata/vectors/*.json")
	require.NoError(t, err)
	var all []vector
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var file struct {
			JWKS    map[string]json.RawMessage
			Vectors []vector
		}
		require.NoError(t, json.Unmarshal(text, &file))
		for _, v := range file.Vectors {
			// Checks are ours, and no peer would know of them.
			if v.Checks == nil {
				v.keys = file.JWKS[v.JWKS]
				all = append(all, v)
			}
		}
	}
	require.Greater(t, len(all), 250)
	return all
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func acceptedByOurs(t *testing.T, v vector) bool {
	t.Helper()
	opts := []reachfive.Option{reachfive.WithClock(v.now), reachfive.WithLeeway(time.Duration(v.Leeway) * time.Second)}
	if v.Algorithm == "HS256" {
		opts = append(opts, reachfive.WithClientSecret(v.Secret))
	} else {
		opts = append(opts, reachfive.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: r, Body: io.NopCloser(bytes.NewReader(v.keys))}, nil
		})}))
	}
	if v.Audiences != nil {
		opts = append(opts, reachfive.WithAudiences(v.Audiences...))
	}
	if v.AllowAccessTokenClaims {
		opts = append(opts, reachfive.InsecureAllowAccessTokenClaims())
	}
	verifier, err := reachfive.New(v.Domain, v.ClientID, opts...)
	require.NoError(t, err)
	_, err = verifier.Verify(t.Context(), v.Token)
	return err == nil
}

// acceptedByJWX asks jwt.Parse of jwx/v2, with a key set or the secret, the
// issuer, the audience and the time.
func acceptedByJWX(v vector) bool {
	opts := []jwt.ParseOption{
		jwt.WithValidate(true), jwt.WithIssuer("https://" + v.Domain), jwt.WithClock(jwt.ClockFunc(v.now)),
		jwt.WithAcceptableSkew(time.Duration(v.Leeway) * time.Second),
	}
	if v.Algorithm == "HS256" {
		opts = append(opts, jwt.WithKey(jwa.HS256, []byte(v.Secret)))
	} else {
		set, err := jwk.Parse(v.keys) //nolint:forbidigo // this is what is compared
		if err != nil {
			return false
		}
		// ReachFive does not say that its keys have alg.
		opts = append(opts, jwt.WithKeySet(set, jws.WithInferAlgorithmFromKey(true)))
	}
	return slices.ContainsFunc(append([]string{v.ClientID}, v.Audiences...), func(client string) bool {
		_, err := jwt.Parse([]byte(v.Token), append(opts, jwt.WithAudience(client))...)
		return err == nil
	})
}

// acceptedByGolangJWT asks golang-jwt/v5 with every check that it has: the
// algorithm, the issuer, the audience, exp there, iat not ahead.
func acceptedByGolangJWT(v vector) bool {
	parser := golangjwt.NewParser(
		golangjwt.WithValidMethods([]string{v.Algorithm}), golangjwt.WithIssuer("https://"+v.Domain),
		golangjwt.WithAudience(append([]string{v.ClientID}, v.Audiences...)...), golangjwt.WithExpirationRequired(), golangjwt.WithIssuedAt(),
		golangjwt.WithTimeFunc(v.now), golangjwt.WithLeeway(time.Duration(v.Leeway)*time.Second),
	)
	token, err := parser.Parse(v.Token, func(token *golangjwt.Token) (any, error) {
		if v.Algorithm == "HS256" {
			return []byte(v.Secret), nil
		}
		return keysFor(v.keys, token.Header["kid"])
	})
	return err == nil && token.Valid
}

// keysFor is what the documentation of golang-jwt leaves to its user: the RSA
// keys that bear the kid, all of them for a token without one.
func keysFor(document []byte, kid any) (golangjwt.VerificationKeySet, error) {
	var set struct {
		Keys []struct {
			Kty, Kid, Use, Alg, N, E string
		}
	}
	var keys golangjwt.VerificationKeySet
	if err := json.Unmarshal(document, &set); err != nil {
		return keys, err
	}
	for _, key := range set.Keys {
		n, errN := base64.RawURLEncoding.DecodeString(key.N)
		e, errE := base64.RawURLEncoding.DecodeString(key.E)
		if key.Kty != "RSA" || key.Use == "enc" || key.Alg != "" && key.Alg != "RS256" || errN != nil || errE != nil || kid != nil && kid != key.Kid {
			continue
		}
		keys.Keys = append(keys.Keys, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())})
	}
	return keys, nil
}

// safely counts a panic as a refusal of its own kind.
func safely(accepted func(vector) bool, v vector) (ok, panicked bool) {
	defer func() {
		if recover() != nil {
			ok, panicked = false, true
		}
	}()
	return accepted(v), false
}

type row struct {
	refused, jwx, golang int
	examples             []string
}

// What a service accepts that hands untrusted tokens to a library, with all
// the checks that the library offers, and that this module refuses. The table
// in docs/security.md is what this test finds, and is written by
// go test -run Differential -update.
func TestDifferential(t *testing.T) {
	rows, total, good, panics := make(map[string]*row), row{}, row{}, 0
	for _, v := range readVectors(t) {
		require.Equal(t, v.Want == "accept", acceptedByOurs(t, v), v.Name)
		byJWX, panicked := safely(acceptedByJWX, v)
		byGolang, panicked2 := safely(acceptedByGolangJWT, v)
		if panicked || panicked2 {
			panics++
		}
		if v.Want == "accept" {
			good.refused++
			if byJWX {
				good.jwx++
			}
			if byGolang {
				good.golang++
			}
			continue
		}
		r := rows[v.Rule]
		if r == nil {
			r = new(row)
			rows[v.Rule] = r
		}
		r.refused++
		total.refused++
		if byJWX {
			r.jwx++
			total.jwx++
		}
		if byGolang {
			r.golang++
			total.golang++
		}
		if (byJWX || byGolang) && !slices.Contains(r.examples, v.Mutation) {
			r.examples = append(r.examples, v.Mutation)
		}
	}
	t.Logf("%d accepted here, %d of them by jwx/v2's jwt.Parse, %d by golang-jwt", good.refused, good.jwx, good.golang)
	t.Logf("%d refused here, %d of them accepted by jwx/v2's jwt.Parse, %d by golang-jwt, %d panics", total.refused, total.jwx, total.golang, panics)
	require.Positive(t, total.jwx)
	require.Positive(t, total.golang)

	const begin, end = "<!-- differential: begin -->\n", "<!-- differential: end -->\n"
	table := begin + tableOf(rows, total, good) + end
	text, err := os.ReadFile("../docs/security.md")
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok, "docs/security.md has no place for the table")
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	if *update {
		require.NoError(t, os.WriteFile("../docs/security.md", []byte(before+table+after), 0o644))
		return
	}
	assert.Equal(t, table, begin+strings.TrimSuffix(rest, end+after)+end, "stale: go test -run Differential -update")
}

func tableOf(rows map[string]*row, total, good row) string {
	var text strings.Builder
	text.WriteString("| rule | refused here | jwx/v2 `jwt.Parse` accepts | golang-jwt/v5 accepts | for example |\n|---|---:|---:|---:|---|\n")
	strictly := 0
	for _, rule := range slices.Sorted(maps.Keys(rows)) {
		r := rows[rule]
		if r.jwx+r.golang == 0 {
			strictly++
			continue
		}
		examples := r.examples[:min(4, len(r.examples))]
		more := ""
		if left := len(r.examples) - len(examples); left > 0 {
			more = fmt.Sprintf("; %d more", left)
		}
		fmt.Fprintf(&text, "| %s | %d | %d | %d | %s%s |\n", rule, r.refused, r.jwx, r.golang, strings.Join(examples, "; "), more)
	}
	fmt.Fprintf(&text, "| all %d rules | %d | %d | %d | %d rules on which all three agree are left out |\n", len(rows), total.refused, total.jwx, total.golang, strictly)
	fmt.Fprintf(&text, "\nOf the %d good tokens beside them jwx/v2 accepts %d and golang-jwt/v5 %d.\n", good.refused, good.jwx, good.golang)
	return text.String()
}
