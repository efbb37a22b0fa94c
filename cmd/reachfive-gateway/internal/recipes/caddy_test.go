package recipes_test

import (
	"net/http"
	"strings"
	"testing"
)

// caddyRecipe runs the program at a path, of whatever version.
func caddyRecipe(program string) recipe {
	start := func(tb testing.TB, dir string, a addresses) {
		tb.Helper()
		startCaddy(tb, program, dir, a)
	}
	return recipe{name: "Caddy", start: start, limits: limits{
		noGateway: http.StatusBadGateway, lateGateway: http.StatusGatewayTimeout,
		twoTokens: http.StatusBadRequest, connectionCut: true,
	}}
}

func startCaddy(tb testing.TB, caddy, dir string, a addresses) {
	tb.Helper()
	text := recipeFile(tb, "caddy/Caddyfile",
		"admin off", "admin off\n\tauto_https off",
		"api.example.com {", "(site) {", "127.0.0.1:9400", a.gateway, "127.0.0.1:8080", a.backend)
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
	validateCaddy(t, program(t, "CADDY", "caddy"))
}

func validateCaddy(t *testing.T, caddy string) {
	t.Helper()
	dir := t.TempDir()
	path := writeFile(t, dir, "Caddyfile", recipeFile(t, "caddy/Caddyfile"))
	checked(t, caddyHome(dir), caddy, "validate", "--config", path, "--adapter", "caddyfile")
}

func TestCaddy(t *testing.T) {
	t.Parallel()
	caddyRecipe(program(t, "CADDY", "caddy")).test(t)
}
