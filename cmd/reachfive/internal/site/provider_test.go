package site_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

type state struct {
	Up                bool
	Published, Known  []string
	Failing           bool
	Fetches, Failures int
}

func TestTheProvidersSwitchesDoWhatTheySay(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, "")
	flip := func(name string) state {
		return decode[state](t, v.app("POST", "/demo/provider/"+name, ""))
	}
	mine := v.tenant.Token()
	begin := decode[state](t, v.app("GET", "/demo/provider", ""))
	assert.True(t, begin.Up)
	require.Len(t, begin.Published, 1)
	assert.Equal(t, begin.Published, begin.Known)

	down := flip("down")
	assert.False(t, down.Up)
	assert.True(t, down.Failing)
	status, _, _ := v.check(mine)
	assert.Equal(t, http.StatusOK, status, "a valid token still passes")
	res := v.app("POST", "/check", url.Values{"idtoken": {v.forge("new-key")}}.Encode())
	assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	assert.NotEmpty(t, res.Header.Get("Retry-After"))
	assert.Empty(t, res.Header.Get("WWW-Authenticate"))

	assert.True(t, flip("up").Up)
	before := flip("rotate")
	assert.NotEqual(t, before.Published, before.Known, "the verifier discovers a rotation by itself")
	status, _, _ = v.check(v.forge("new-key"))
	assert.Equal(t, http.StatusOK, status, "at once")
	assert.Len(t, flip("remove").Published, 1)
	status, code, _ := v.check(mine)
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.Equal(t, string(reachfive.CodeUnknownKey), code)
	assert.Equal(t, http.StatusNotFound, v.app("POST", "/demo/provider/another", "").StatusCode)
}
