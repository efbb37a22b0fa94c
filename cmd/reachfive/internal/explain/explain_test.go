package explain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive/internal/explain"
	"github.com/reachfive-community/reachfive/internal/vectors"
)

type answering []byte

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(a))}, nil
}

func verifier(t *testing.T, file vectors.File, v vectors.Vector) *reachfive.Verifier {
	t.Helper()
	opts := []reachfive.Option{
		reachfive.WithClock(func() time.Time { return time.Unix(v.Clock, 0) }),
		reachfive.WithLeeway(time.Duration(v.Leeway) * time.Second),
	}
	if v.Algorithm == "HS256" {
		opts = append(opts, reachfive.WithClientSecret(v.Secret))
	} else {
		opts = append(opts, reachfive.WithHTTPClient(&http.Client{Transport: answering(file.JWKS[v.JWKS])}))
	}
	if v.Audiences != nil {
		opts = append(opts, reachfive.WithAudiences(v.Audiences...))
	}
	if v.AllowAccessTokenClaims {
		opts = append(opts, reachfive.InsecureAllowAccessTokenClaims())
	}
	verifier, err := reachfive.New(v.Domain, v.ClientID, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = verifier.Close() })
	return verifier
}

func TestEveryVectorHasTheSameVerdictExplainedOrNot(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../../../../testdata/vectors/*.json")
	require.NoError(t, err)
	explained := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var file vectors.File
		require.NoError(t, json.Unmarshal(text, &file))
		for _, v := range file.Vectors {
			if v.Checks != nil {
				continue // the command asks for none
			}
			explained++
			_, err := verifier(t, file, v).Verify(t.Context(), v.Token)
			report := explain.Token(t.Context(), verifier(t, file, v), explain.Expectation{
				Issuer: "https://" + v.Domain, Audiences: []string{v.ClientID}, Algorithm: v.Algorithm, Now: time.Unix(v.Clock, 0),
			}, v.Token)
			require.Equal(t, err == nil, report.Accepted, v.Name)
			require.Equal(t, reachfive.CodeOf(err), report.Code, v.Name)
			bad := 0
			for i, s := range report.Steps {
				switch s.Outcome {
				case explain.Refused, explain.Undecided:
					bad++
					for _, after := range report.Steps[i+1:] {
						require.Equal(t, explain.NotReached, after.Outcome, v.Name)
					}
				}
			}
			if err == nil {
				require.Zero(t, bad, v.Name)
			} else {
				require.Equal(t, 1, bad, v.Name)
			}
		}
	}
	t.Logf("%d vectors explained", explained)
	assert.Greater(t, explained, 200)
}

func TestARefusalNamesItsStep(t *testing.T) {
	t.Parallel()
	want := explain.Expectation{Issuer: "https://acme.reach5.net", Audiences: []string{"client"}, Algorithm: "HS256", Now: time.Unix(1_800_000_000, 0)}
	v, err := reachfive.New("acme.reach5.net", "client", reachfive.WithClientSecret("a secret of a test, and of nothing else"))
	require.NoError(t, err)
	for token, step := range map[string]string{
		"":                            "text",
		"a.b":                         "text",
		"e30.e30.A":                   "text",
		"e30=.e30.AA":                 "text",
		"e30.e3.AA":                   "text",
		"W10.e30.AA":                  "header", // []
		"eyJhbGciOiJub25lIn0.e30.AA":  "algorithm",
		"eyJhbGciOiJIUzI1NiJ9.e30.AA": "signature",
	} {
		report := explain.Token(t.Context(), v, want, token)
		for _, s := range report.Steps {
			if s.Outcome == explain.Refused {
				assert.Equal(t, step, s.Name, token)
			}
		}
		assert.False(t, report.Accepted)
		assert.True(t, report.Decided)
	}
}

// down is a verifier without keys.
type down struct{}

func (down) Verify(context.Context, string, ...reachfive.Check) (*reachfive.User, error) {
	return nil, &reachfive.Error{Code: reachfive.CodeKeysUnavailable}
}

// gone is a verifier whose caller's deadline has passed.
type gone struct{}

func (gone) Verify(context.Context, string, ...reachfive.Check) (*reachfive.User, error) {
	return nil, context.DeadlineExceeded
}

func TestWhatCouldNotBeDecidedIsNotARefusal(t *testing.T) {
	t.Parallel()
	for _, v := range []reachfive.TokenVerifier{down{}, gone{}} {
		report := explain.Token(t.Context(), v, explain.Expectation{Algorithm: "RS256"}, "e30.e30.AA")
		assert.False(t, report.Decided)
		assert.False(t, report.Accepted)
		assert.Equal(t, explain.Undecided, report.Steps[3].Outcome)
		_, err := v.Verify(t.Context(), "")
		assert.Equal(t, errors.Is(err, reachfive.CodeKeysUnavailable), report.Code != "")
	}
}

func TestKIDReadsTheHeader(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]string{
		"eyJraWQiOiJrZXktMSJ9.e30.AA": "key-1", // {"kid":"key-1"}
		"eyJraWQiOjF9.e30.AA":         "",      // {"kid":1}
		"e30.e30.AA":                  "",
		"":                            "",
		"no token":                    "",
	} {
		assert.Equal(t, want, explain.KID(token), token)
	}
}
