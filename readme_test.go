package reachfive_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func newAPI(domain, clientID string, opts ...reachfive.Option) (http.Handler, error) {
	v, err := reachfive.New(domain, clientID, opts...)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /profile", func(w http.ResponseWriter, r *http.Request) {
		user, _ := reachfive.UserFromContext(r.Context())
		fmt.Fprintln(w, "Signed in as:", user.Subject)
	})
	payout := reachfive.Require(reachfive.MaxAge(5 * time.Minute)) // signed in just now
	mux.Handle("POST /payout", payout(http.HandlerFunc(payOut)))
	return reachfive.Middleware(v)(mux), nil
}

func payOut(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

func TestREADMEShowsTestedCode(t *testing.T) {
	for _, function := range []string{"newAPI", "TestProfileShowsTheSubject"} {
		_, code, found := strings.Cut(read(t, "readme_test.go"), "\nfunc "+function+"(")
		require.True(t, found)
		code, _, _ = strings.Cut(code, "\n}\n")
		assert.Contains(t, read(t, "README.md"), "```go\nfunc "+function+"("+code+"\n}\n```")
	}
}

func TestProfileShowsTheSubject(t *testing.T) {
	tenant := reachfivetest.NewTenant(t)
	api, err := newAPI(tenant.Domain, tenant.ClientID, reachfive.WithHTTPClient(tenant.Client()))
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, "/profile", nil)
	r.Header.Set("Authorization", "Bearer "+tenant.Token(reachfivetest.Claim("sub", "AVqvOB58")))
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	assert.Equal(t, "Signed in as: AVqvOB58\n", w.Body.String())
}

func TestREADMEHandlerTellsWhoIsSignedIn(t *testing.T) {
	tenant := reachfivetest.NewTenant(t)
	api, err := newAPI(tenant.Domain, tenant.ClientID, reachfive.WithHTTPClient(tenant.Client()))
	require.NoError(t, err)
	before := time.Now().Add(-time.Hour).Unix()
	for _, tt := range []struct {
		name, method, path, token string
		status                    int
		body                      string
	}{
		{"a good token", "GET", "/profile", tenant.Token(reachfivetest.Claim("sub", "AVqvOB58Fg6nZfQ0ZqXt")), 200, "Signed in as: AVqvOB58Fg6nZfQ0ZqXt\n"},
		{"no token", "GET", "/profile", "", 401, "missing_token"},
		{"an expired token", "GET", "/profile", tenant.Token(reachfivetest.Expired()), 401, "expired"},
		{"a fresh sign-in", "POST", "/payout", tenant.Token(), 204, ""},
		{"an old sign-in", "POST", "/payout", tenant.Token(reachfivetest.Claim("auth_time", before)), 401, "reauthentication_required"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.path, nil)
			if tt.token != "" {
				r.Header.Set("Authorization", "Bearer "+tt.token)
			}
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r)
			assert.Equal(t, tt.status, w.Code)
			assert.Contains(t, w.Body.String(), tt.body)
		})
	}
}

func TestErrorsGuideListsEveryCodeWithItsStatus(t *testing.T) {
	listed := map[reachfive.Code]int{}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([0-9]{3}) \\|")
	for _, match := range row.FindAllStringSubmatch(read(t, "docs/errors.md"), -1) {
		status, err := strconv.Atoi(match[2])
		require.NoError(t, err)
		listed[reachfive.Code(match[1])] = status
	}
	declared := map[reachfive.Code]int{}
	for _, code := range allCodes(t) {
		declared[code] = code.HTTPStatus()
	}
	require.NotEmpty(t, declared)
	assert.Equal(t, declared, listed)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}
