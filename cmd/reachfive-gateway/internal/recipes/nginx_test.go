package recipes_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

func nginxRecipe() recipe {
	return recipe{name: "nginx", start: startNginx, limits: limits{
		ownBody: true, noGateway: http.StatusServiceUnavailable, lateGateway: http.StatusServiceUnavailable,
		twoTokens: http.StatusBadRequest,
	}}
}

func startNginx(tb testing.TB, dir string, a addresses) {
	tb.Helper()
	startNginxBefore(tb, dir, a, a.gateway)
}

// startNginxBefore starts it before two gateways.
func startNginxBefore(tb testing.TB, dir string, a addresses, second string) {
	tb.Helper()
	nginx := program(tb, "NGINX", "nginx")
	text := recipeFile(tb, "nginx/nginx.conf",
		"worker_processes auto", "worker_processes 1",
		"127.0.0.1:9400", a.gateway, "127.0.0.1:9403", second, "127.0.0.1:8080", a.backend,
		"127.0.0.1:9409", freeAddress(tb), "listen 80;", "listen "+a.plain+";", "listen 443 ", "listen "+a.secure+" ")
	directives := "daemon off;"
	if os.Geteuid() == 0 {
		directives += " user root;" // its workers write into the test's folder
	}
	args := []string{"-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", writeFile(tb, dir, "nginx.conf", text), "-g", directives}
	checked(tb, nil, nginx, append(args, "-t")...)
	launch(tb, a.plain, nil, nginx, args...)
}

func TestNginx(t *testing.T) {
	t.Parallel()
	nginxRecipe().test(t)
}
