package reachfiveotel_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveotel"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func newService(domain, clientID, keyFile string, api http.Handler, opts ...reachfive.Option) (http.Handler, error) {
	telemetry, err := reachfiveotel.New() // with the global providers of OpenTelemetry
	if err != nil {
		return nil, err
	}
	v, err := reachfive.New(domain, clientID, append(opts,
		reachfive.WithKeyStore(reachfive.FileKeyStore(keyFile)),
		reachfive.WithObserver(telemetry.Observer()))...)
	if err != nil {
		return nil, err
	}
	if _, err := telemetry.WatchKeys(v); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", reachfive.Middleware(v, reachfive.OnRefusal(telemetry.HTTPRefusal))(api))
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if err := v.HealthCheck(ctx); err != nil {
			http.Error(w, "no usable keys", http.StatusServiceUnavailable)
		}
	})
	return mux, nil
}

func TestOperationsGuideShowsTheTestedService(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	_, code, found := strings.Cut(string(source), "\nfunc newService(")
	require.True(t, found)
	code, _, _ = strings.Cut(code, "\n}\n")
	guide, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	assert.Contains(t, string(guide), "```go\nfunc newService("+code+"\n}\n```")
}

func TestServiceOfTheOperationsGuideIsReadyWhileItHasUsableKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
		api := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
		service, err := newService(tenant.Domain, tenant.ClientID, filepath.Join(t.TempDir(), "keys.json"), api,
			reachfive.WithHTTPClient(tenant.Client()))
		require.NoError(t, err)
		status := func(path, token string) int {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			service.ServeHTTP(w, r)
			return w.Code
		}
		assert.Equal(t, http.StatusOK, status("/ready", "any"))
		assert.Equal(t, http.StatusNoContent, status("/", tenant.Token()))
		assert.Equal(t, http.StatusUnauthorized, status("/", tenant.Token(reachfivetest.Expired())))
		tenant.SetDown(true)
		time.Sleep(25 * time.Hour)
		assert.Equal(t, http.StatusServiceUnavailable, status("/ready", "any"))
		assert.Equal(t, http.StatusServiceUnavailable, status("/", tenant.Token()))
	})
}
