package site_test

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

func TestEveryForgeryOfThePageIsRefusedForItsOwnReason(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, "")
	want := map[string]reachfive.Code{
		"expired": reachfive.CodeExpired, "audience": reachfive.CodeWrongAudience, "issuer": reachfive.CodeWrongIssuer,
		"none": reachfive.CodeMalformedToken, "hmac": reachfive.CodeUnsupportedAlgorithm, "payload": reachfive.CodeInvalidSignature,
		"newline": reachfive.CodeMalformedToken, "json": reachfive.CodeMalformedToken, "removed": reachfive.CodeUnknownKey,
	}
	page := text(t, v.app("GET", "/", ""))
	offered := regexp.MustCompile(`&#34;kind&#34;:&#34;(\w+)&#34;`).FindAllStringSubmatch(page, -1)
	require.Len(t, offered, len(want))
	for _, kind := range offered {
		status, code, challenge := v.checkAt("/check/forged", v.forge(kind[1]))
		assert.Equal(t, http.StatusUnauthorized, status, kind[1])
		assert.Equal(t, string(want[kind[1]]), code, kind[1])
		assert.Contains(t, challenge, `error="invalid_token"`, kind[1])
	}
	assert.Equal(t, http.StatusNotFound, v.app("POST", "/demo/token/another", "").StatusCode)
}

// kinds lists the forgeries. A removed key's token costs a fetch of the keys.
func kinds() []string {
	return []string{"expired", "audience", "issuer", "none", "hmac", "payload", "newline", "json", "removed"}
}

func TestForgeriesCostThePagesVerifierNoFetch(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, "")
	before := decode[state](t, v.app("GET", "/demo/provider", ""))
	for range 3 {
		for _, kind := range kinds() {
			status, _, _ := v.checkAt("/check/forged", v.forge(kind))
			assert.Equal(t, http.StatusUnauthorized, status, kind)
		}
	}
	assert.Equal(t, before, decode[state](t, v.app("GET", "/demo/provider", "")))

	// So the first token of a rotated key is accepted at once.
	v.app("POST", "/demo/provider/rotate", "")
	status, code, _ := v.check(v.tenant.Token())
	assert.Equal(t, http.StatusOK, status, code)
}

func TestForgeriesAreRefusedForTheirOwnReasonAfterARotationDuringAnOutage(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, "")
	for _, name := range []string{"down", "rotate"} {
		v.app("POST", "/demo/provider/"+name, "")
	}
	for kind, want := range map[string]reachfive.Code{
		"expired": reachfive.CodeExpired, "audience": reachfive.CodeWrongAudience, "issuer": reachfive.CodeWrongIssuer,
		"payload": reachfive.CodeInvalidSignature,
	} {
		_, code, _ := v.checkAt("/check/forged", v.forge(kind))
		assert.Equal(t, string(want), code, kind)
	}
}
