package recipes_test

import (
	"net/http"
	"path/filepath"
	"testing"
)

func haproxyRecipe() recipe {
	return recipe{name: "HAProxy", start: startHAProxy, limits: limits{
		noGateway: http.StatusServiceUnavailable, lateGateway: http.StatusServiceUnavailable, twoTokens: http.StatusBadRequest,
	}}
}

func startHAProxy(tb testing.TB, dir string, a addresses) {
	tb.Helper()
	haproxy := program(tb, "HAPROXY", "haproxy")
	text := recipeFile(tb, "haproxy/haproxy.cfg",
		"lua-load reachfive.lua", "nbthread 1\n    lua-load "+filepath.Join(dir, "reachfive.lua"),
		"bind :80", "bind "+a.plain, "bind :443 ssl crt tls.pem", "bind "+a.secure+" ssl crt "+filepath.Join(dir, "tls.pem"),
		"127.0.0.1:8080", a.backend)
	writeFile(tb, dir, "reachfive.lua", recipeFile(tb, "haproxy/reachfive.lua"))
	environment := []string{"REACHFIVE_GATEWAY=" + a.gateway}
	args := []string{"-f", writeFile(tb, dir, "haproxy.cfg", text)}
	checked(tb, environment, haproxy, append(args, "-c")...)
	launch(tb, a.plain, environment, haproxy, append(args, "-db")...)
}

func TestHAProxy(t *testing.T) {
	t.Parallel()
	haproxyRecipe().test(t)
}
