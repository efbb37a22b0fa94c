//go:build proxies

package recipes_test

import "testing"

// newestCaddy is the Caddy that tools/proxies/caddy pins.
func newestCaddy(tb testing.TB) string {
	tb.Helper()
	return program(tb, "CADDY_NEXT", "caddy-next")
}

func TestTheNewestCaddyFindsNoFaultWithTheRecipe(t *testing.T) {
	t.Parallel()
	validateCaddy(t, newestCaddy(t))
}

func TestTheNewestCaddy(t *testing.T) {
	t.Parallel()
	r := caddyRecipe(newestCaddy(t))
	r.limits.waitsForBody = true
	r.test(t)
}
