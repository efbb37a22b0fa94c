package recipes_test

import (
	"net/http"
	"strings"
	"testing"
)

func caddyRecipe() recipe {
	return recipe{name: "Caddy", start: startCaddy, limits: limits{
		noGateway: http.StatusBadGateway, lateGateway: http.StatusGatewayTimeout,
		twoTokens: http.StatusBadRequest, connectionCut: true,
	}}
}

func startCaddy(tb testing.TB, dir string, a addresses) {
	tb.Helper()
	caddy := program(tb, "CADDY", "caddy")
	text := recipeFile(tb, "caddy/Caddyfile",
		"admin off", "admin off\n\tauto_https off",
		"app.example.com {", "(site) {", "127.0.0.1:9400", a.gateway, "127.0.0.1:8080", a.backend)
	port := func(address string) string { return address[strings.IndexByte(address, ':'):] }
	text += "http://" + port(a.plain) + " {\n\timport site\n}\n"
	text += "https://" + port(a.secure) + " {\n\ttls " + dir + "/tls.crt " + dir + "/tls.key\n\timport site\n}\n"
	launch(tb, a.plain, caddyHome(dir), caddy, "run", "--config", writeFile(tb, dir, "Caddyfile", text), "--adapter", "caddyfile")
}

// caddyHome is where Caddy keeps what it has learnt.
func caddyHome(dir string) []string {
	return []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "HOME=" + dir}
}

func TestCaddyFindsNoFaultWithTheRecipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := writeFile(t, dir, "Caddyfile", recipeFile(t, "caddy/Caddyfile"))
	checked(t, caddyHome(dir), program(t, "CADDY", "caddy"), "validate", "--config", path, "--adapter", "caddyfile")
}

func TestCaddy(t *testing.T) {
	t.Parallel()
	caddyRecipe().test(t)
}
