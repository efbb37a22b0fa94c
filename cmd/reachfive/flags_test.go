package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMissingFlagsAreNamedWithTheirVariables(t *testing.T) {
	t.Parallel()
	const both = "--domain (or REACHFIVE_DOMAIN) and --client-id (or REACHFIVE_CLIENT_ID) are missing"
	for _, tt := range []struct {
		args []string
		env  map[string]string
		says string
	}{
		{[]string{"verify"}, nil, both},
		{[]string{"verify", "--domain", "acme.reach5.net"}, nil, "reachfive: --client-id (or REACHFIVE_CLIENT_ID) is missing"},
		{[]string{"verify"}, map[string]string{domainVariable: "acme.reach5.net"}, "reachfive: --client-id (or REACHFIVE_CLIENT_ID) is missing"},
		{[]string{"verify", "--client-id", "c"}, nil, "reachfive: --domain (or REACHFIVE_DOMAIN) is missing"},
		{[]string{"verify"}, map[string]string{clientIDVariable: "c"}, "reachfive: --domain (or REACHFIVE_DOMAIN) is missing"},
		{[]string{"demo", "--domain", "acme.reach5.net"}, nil, "reachfive: --client-id (or REACHFIVE_CLIENT_ID) is missing"},
		{[]string{"demo", "--client-id", "c"}, nil, "reachfive: --domain (or REACHFIVE_DOMAIN) is missing"},
		{[]string{"demo", "--issuer", "https://acme.reach5.net"}, nil, both},
		{[]string{"doctor"}, nil, "reachfive: --domain (or REACHFIVE_DOMAIN) is missing"},
		{[]string{"keys"}, nil, "reachfive: --domain (or REACHFIVE_DOMAIN) is missing"},
	} {
		code, out, errs := command(t, tt.env, tt.args...)
		assert.Equal(t, exitUnknown, code, tt.args)
		assert.Empty(t, out)
		assert.Contains(t, errs, tt.says, tt.args)
	}
}

func TestMistakesAreToldInTermsOfTheFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"verify", "--domain", "http://x", "--client-id", "c d", "token"}, "reachfive: --domain: want a host name"},
		{[]string{"verify", "--domain", "http://x", "--client-id", "c d", "token"}, "; --client-id: the client ID has white space"},
		{[]string{"verify", "--domain", "acme.reach5.net", "--client-id", "c", "--client-id", "", "token"}, "--client-id: the client ID is empty"},
		{[]string{"keys", "--domain", "acme.reach5.net", "--issuer", "acme"}, "--issuer: want an https URL"},
		{[]string{"keys", "--domain", "acme.reach5.net", "--jwks-url", "http://acme.reach5.net/keys"}, "--jwks-url: http is"},
	} {
		code, _, errs := command(t, nil, tt.args...)
		assert.Equal(t, exitUnknown, code)
		assert.Contains(t, errs, tt.says)
	}
}

func TestATokenIsFoundInAHeaderLine(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"a.b.c", " a.b.c\r\n", "Bearer a.b.c", "bearer  a.b.c", "Authorization: Bearer a.b.c\r\n", "authorization:bearer a.b.c",
	} {
		assert.Equal(t, "a.b.c", bareToken(text), text)
	}
	assert.Equal(t, "bearera.b.c", bareToken("bearera.b.c"))
	for _, text := range []string{"\n", "Bearer \n", "Authorization:"} {
		assert.Empty(t, bareToken(text))
	}
}
