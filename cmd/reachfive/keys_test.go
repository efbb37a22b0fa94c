package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

// runKeys runs `reachfive keys` with a client that trusts the tenant.
func runKeys(t *testing.T, tenant *reachfivetest.Tenant, c keysCommand) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := environment{terminal: terminal{w: &out}, errs: terminal{w: &errs}, lookup: lookupIn(nil)}
	c.Domain, c.client = tenant.Domain, tenant.Client()
	code = env.report(c.Run(t.Context(), env))
	return code, out.String(), errs.String()
}

func TestKeysListsUsableKeys(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	tenant.PublishRaw(`{"kty":"oct","k":"AA"}`)
	code, out, _ := runKeys(t, tenant, keysCommand{})
	assert.Equal(t, exitYes, code)
	assert.Regexp(t, `(?m)^key-1 +2048  [\w-]{43}$`, out)
	assert.Contains(t, out, "Keys that are not usable: 1.")

	code, out, _ = runKeys(t, tenant, keysCommand{JSON: true})
	assert.Equal(t, exitYes, code)
	var list struct {
		Issuer  string `json:"issuer"`
		JWKSURL string `json:"jwks_url"`
		Keys    []struct {
			KID        string `json:"kid"`
			Bits       int    `json:"bits"`
			Thumbprint string `json:"thumbprint"`
		} `json:"keys"`
		Skipped int `json:"skipped"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	assert.Equal(t, tenant.Issuer(), list.Issuer)
	assert.Equal(t, tenant.Issuer()+"/jwks.json", list.JWKSURL)
	assert.Equal(t, 1, list.Skipped)
	require.Len(t, list.Keys, 1)
	assert.Equal(t, "key-1", list.Keys[0].KID)
	assert.Equal(t, 2048, list.Keys[0].Bits)
	assert.Len(t, list.Keys[0].Thumbprint, 43)
	assert.NotRegexp(t, `"[A-Z]\w*":`, out, "names are lower-case on the wire")
}

func TestKeysOfAnotherURL(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	flags := tenantFlags{Issuer: "https://acme.reach5.net", JWKSURL: "https://127.0.0.1:1/keys"}
	code, _, errs := runKeys(t, tenant, keysCommand{tenantFlags: flags})
	// The client reaches the tenant under every address, and it has no such path.
	assert.Equal(t, exitUnknown, code)
	assert.Contains(t, errs, "the keys cannot be fetched from https://127.0.0.1:1/keys: status 404")
}

func TestKeysThatAreNotUsableAreToldFromKeysThatCannotBeFetched(t *testing.T) {
	t.Parallel()
	weak := reachfivetest.NewTenant(t, reachfivetest.WithKeyBits(1024))
	code, out, errs := runKeys(t, weak, keysCommand{})
	assert.Equal(t, exitNo, code)
	assert.Empty(t, out)
	assert.Contains(t, errs, "the tenant publishes no usable key")

	weak.SetDown(true)
	code, out, errs = runKeys(t, weak, keysCommand{})
	assert.Equal(t, exitUnknown, code)
	assert.Empty(t, out)
	assert.Contains(t, errs, "status 503")
}
