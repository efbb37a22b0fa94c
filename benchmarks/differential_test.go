package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	golangjwt "github.com/golang-jwt/jwt/v5"
	jwa2 "github.com/lestrrat-go/jwx/v2/jwa"
	jwk2 "github.com/lestrrat-go/jwx/v2/jwk"
	jws2 "github.com/lestrrat-go/jwx/v2/jws"
	jwt2 "github.com/lestrrat-go/jwx/v2/jwt"
	openid2 "github.com/lestrrat-go/jwx/v2/jwt/openid"
	jwa3 "github.com/lestrrat-go/jwx/v3/jwa"
	jwk3 "github.com/lestrrat-go/jwx/v3/jwk"
	jws3 "github.com/lestrrat-go/jwx/v3/jws"
	jwt3 "github.com/lestrrat-go/jwx/v3/jwt"
	openid3 "github.com/lestrrat-go/jwx/v3/jwt/openid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

var update = flag.Bool("update", false, "write the table into docs/security.md")

// vector is the part of a vector that this test needs; testdata/README.md
// describes the format.
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
			// No other library has our checks.
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

// client answers every request with the vector's key set.
func (v vector) client() *http.Client {
	return &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: r, Body: io.NopCloser(bytes.NewReader(v.keys))}, nil
	})}
}

func acceptedByOurs(t *testing.T, v vector) bool {
	t.Helper()
	opts := []reachfive.Option{reachfive.WithClock(v.now), reachfive.WithLogger(slog.New(slog.DiscardHandler)), reachfive.WithLeeway(time.Duration(v.Leeway) * time.Second)}
	if v.Algorithm == "HS256" {
		opts = append(opts, reachfive.WithClientSecret(v.Secret))
	} else {
		opts = append(opts, reachfive.WithHTTPClient(v.client()))
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

// differs is a library that the table compares, with all of its checks that a
// ReachFive token can pass.
type differs struct {
	name   string
	config string // in Markdown
	// accepts asks for one of the client IDs that the token may be for.
	accepts func(v vector, t terms) bool
	hs256   bool
}

func compared() []differs {
	const claims = "`WithRequiredClaim` of sub, exp and iat, `openid.New()` as the token"
	const noPedanticDates = "not `WithNumericDateParsePedantic`, which refuses `updated_at` as ReachFive writes it"
	return []differs{
		{
			"jwx/v2 `jwt.Parse`",
			"`WithKeySet` or `WithKey`, `WithPedantic`, `WithValidate`, `WithIssuer`, `WithAudience`, " + claims +
				", and `Settings(WithCompactOnly(true))`; " + noPedanticDates,
			acceptedByJWX2, true,
		},
		{
			"jwx/v3 `jwt.Parse`",
			"the same, which accepts the compact form only, and `WithStrictStringClaims`",
			acceptedByJWX3, true,
		},
		{
			"golang-jwt/v5",
			"keyfunc/v3 for the keys, `WithValidMethods`, `WithStrictDecoding`, `WithIssuer`, `WithAudience`, `WithExpirationRequired`, " +
				"`WithIssuedAt`, and a struct with a typed field for each claim",
			acceptedByGolangJWT, true,
		},
		{
			"go-oidc/v3",
			"`NewRemoteKeySet`, and a `Config` of `ClientID` and `SupportedSigningAlgs`, which skips nothing; `Claims` decodes into a struct " +
				"with a typed field for each claim; it verifies no HS256",
			acceptedByGoOIDC, false,
		},
	}
}

func acceptedByJWX2(v vector, t terms) bool {
	opts := append(jwx2Options(t), jwt2.WithToken(openid2.New()))
	if v.Algorithm == "HS256" {
		opts = append(opts, jwt2.WithKey(jwa2.HS256, []byte(v.Secret)))
	} else {
		set, err := jwk2.Parse(v.keys)
		if err != nil {
			return false
		}
		// ReachFive does not document that its keys have alg.
		opts = append(opts, jwt2.WithKeySet(set, jws2.WithInferAlgorithmFromKey(true)))
	}
	_, err := jwt2.Parse([]byte(v.Token), opts...)
	return err == nil
}

func acceptedByJWX3(v vector, t terms) bool {
	opts := append(jwx3Options(t), jwt3.WithToken(openid3.New()))
	if v.Algorithm == "HS256" {
		opts = append(opts, jwt3.WithKey(jwa3.HS256(), []byte(v.Secret)))
	} else {
		set, err := jwk3.Parse(v.keys)
		if err != nil {
			return false
		}
		opts = append(opts, jwt3.WithKeySet(set, jws3.WithInferAlgorithmFromKey(true)))
	}
	_, err := jwt3.Parse([]byte(v.Token), opts...)
	return err == nil
}

func acceptedByGolangJWT(v vector, t terms) bool {
	key := func(*golangjwt.Token) (any, error) { return []byte(v.Secret), nil }
	if v.Algorithm != "HS256" {
		keys, err := keyfunc.NewJWKSetJSON(v.keys)
		if err != nil {
			return false
		}
		key = keys.Keyfunc
	}
	token, err := golangjwt.NewParser(golangJWTOptions(v.Algorithm, t)...).ParseWithClaims(v.Token, &golangJWTClaims{}, key)
	return err == nil && token.Valid
}

func acceptedByGoOIDC(v vector, t terms) bool {
	ctx := oidc.ClientContext(context.Background(), v.client())
	token, err := oidc.NewVerifier(t.issuer, oidc.NewRemoteKeySet(ctx, "https://"+v.Domain+"/jwks.json"), goOIDCConfig(t)).Verify(ctx, v.Token)
	return err == nil && token.Claims(&profile{}) == nil
}

// acceptsAny reports whether the library accepts the token for any of the client
// IDs that it may be for. It counts a panic as a refusal.
func (d differs) acceptsAny(v vector) (ok, panicked bool) {
	defer func() {
		if recover() != nil {
			ok, panicked = false, true
		}
	}()
	return slices.ContainsFunc(append([]string{v.ClientID}, v.Audiences...), func(client string) bool {
		return d.accepts(v, terms{issuer: "https://" + v.Domain, clientID: client, now: v.now, leeway: time.Duration(v.Leeway) * time.Second})
	}), false
}

// row counts tokens, and how many of them each library accepts.
type row struct {
	tokens   int
	accepted []int
	examples []string
}

func (r *row) add(v vector, accepted []bool) {
	r.tokens++
	for i, ok := range accepted {
		if ok {
			r.accepted[i]++
		}
	}
	if slices.Contains(accepted, true) && !slices.Contains(r.examples, v.Mutation) {
		r.examples = append(r.examples, v.Mutation)
	}
}

// TestDifferential finds what a service accepts that gives untrusted tokens to
// a library alone, and that this module refuses. The table in docs/security.md
// is what this test finds; `go test -run Differential -update` writes it.
func TestDifferential(t *testing.T) {
	t.Parallel()
	libraries := compared()
	newRow := func() *row { return &row{accepted: make([]int, len(libraries))} }
	rows, total, good, rs256, panics := make(map[string]*row), newRow(), newRow(), map[bool]int{}, 0
	for _, v := range readVectors(t) {
		ours := v.Want == "accept"
		require.Equal(t, ours, acceptedByOurs(t, v), v.Name)
		accepted := make([]bool, len(libraries))
		for i, d := range libraries {
			if d.hs256 || v.Algorithm != "HS256" {
				var panicked bool
				if accepted[i], panicked = d.acceptsAny(v); panicked {
					t.Logf("%s panics: %s", d.name, v.Name)
					panics++
				}
			}
		}
		if v.Algorithm != "HS256" {
			rs256[ours]++
		}
		if ours {
			good.add(v, accepted)
			continue
		}
		if rows[v.Rule] == nil {
			rows[v.Rule] = newRow()
		}
		rows[v.Rule].add(v, accepted)
		total.add(v, accepted)
	}
	t.Logf("%d panics", panics)
	for i, d := range libraries {
		t.Logf("%s accepts %d of %d refused here and %d of %d accepted here", d.name, total.accepted[i], total.tokens, good.accepted[i], good.tokens)
		require.Positive(t, total.accepted[i])
		require.Greater(t, 2*good.accepted[i], rs256[true], "%s refuses most good tokens: its configuration is wrong", d.name)
	}

	const begin, end = "<!-- differential: begin -->\n", "<!-- differential: end -->\n"
	table := begin + tableOf(libraries, rows, total, good, rs256) + end
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

// tableOf lists each library's configuration and then the rules on which one of
// them differs.
func tableOf(libraries []differs, rows map[string]*row, total, good *row, rs256 map[bool]int) string {
	var text strings.Builder
	head := []string{"rule", "refused here"}
	for _, d := range libraries {
		fmt.Fprintf(&text, "- %s: %s.\n", d.name, d.config)
		head = append(head, d.name+" accepts")
	}
	line := func(name string, r *row, last string) {
		cells := []string{name, fmt.Sprint(r.tokens)}
		for _, n := range r.accepted {
			cells = append(cells, fmt.Sprint(n))
		}
		text.WriteString("| " + strings.Join(append(cells, last), " | ") + " |\n")
	}
	text.WriteString("\n| " + strings.Join(append(head, "for example"), " | ") + " |\n|---" + strings.Repeat("|---:", len(head)-1) + "|---|\n")
	agreed := 0
	for _, rule := range slices.Sorted(maps.Keys(rows)) {
		r := rows[rule]
		if len(r.examples) == 0 {
			agreed++
			continue
		}
		examples := r.examples[:min(4, len(r.examples))]
		last := strings.Join(examples, "; ")
		if left := len(r.examples) - len(examples); left > 0 {
			last += fmt.Sprintf("; %d more", left)
		}
		line(rule, r, last)
	}
	line(fmt.Sprintf("all %d rules", len(rows)), total, fmt.Sprintf("%d rules on which all agree are left out", agreed))
	line("accepted here", good, "")
	fmt.Fprintf(&text, "\n%d of the refused and %d of the accepted tokens are RS256, the only ones that go-oidc is asked about.\n", rs256[false], rs256[true])
	return text.String()
}
