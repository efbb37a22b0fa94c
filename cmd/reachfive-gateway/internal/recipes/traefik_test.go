//go:build proxies

package recipes_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/gatewaytest"
)

func traefikRecipe() recipe {
	return recipe{name: "Traefik", start: startTraefik, limits: limits{
		noGateway: http.StatusInternalServerError, lateGateway: http.StatusInternalServerError,
		twoTokens: http.StatusBadRequest, preflight: http.StatusOK,
	}}
}

func startTraefik(tb testing.TB, dir string, a addresses) {
	tb.Helper()
	traefik := program(tb, "TRAEFIK", "traefik")
	dynamic := recipeFile(tb, "traefik/dynamic.yaml",
		"127.0.0.1:9400", a.gateway, "127.0.0.1:8080", a.backend,
		"certFile: tls.crt", "certFile: "+filepath.Join(dir, "tls.crt"), "keyFile: tls.key", "keyFile: "+filepath.Join(dir, "tls.key"))
	static := recipeFile(tb, "traefik/traefik.yaml",
		`":80"`, a.plain, `":443"`, a.secure, "filename: dynamic.yaml", "filename: "+writeFile(tb, dir, "dynamic.yaml", dynamic))
	launch(tb, a.plain, nil, traefik, "--configFile="+writeFile(tb, dir, "traefik.yaml", static))
	// It listens before it has read its routes.
	require.Eventually(tb, func() bool {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodOptions, "http://"+a.plain+"/", http.NoBody)
		require.NoError(tb, err)
		r.Host, r.Close = host, true
		r.Header.Set("Origin", "https://app.example.com")
		r.Header.Set("Access-Control-Request-Method", http.MethodGet)
		response, _, err := gatewaytest.Do(http.DefaultClient, r)
		return err == nil && response.StatusCode == http.StatusOK
	}, 30*time.Second, 20*time.Millisecond)
}

func TestTraefik(t *testing.T) {
	t.Parallel()
	traefikRecipe().test(t)
}
