package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestDemoPrintsEveryAnswer(t *testing.T) {
	t.Parallel()
	code, out, errs := command(t, nil, "demo")
	require.Equal(t, exitYes, code, out+errs)
	assert.Empty(t, errs)
	for _, line := range []string{
		`ok  POST tenant/identity/v1/password/login +200  password accepted`,
		`ok  GET  tenant/oauth/authorize +302  `,
		`ok  POST tenant/oauth/token +200  ID token issued`,
		`ok  POST api/session  idtoken form +200  signed in as John Doe`,
		`ok  GET  api/me  Bearer token +200  called as John Doe`,
		`ok  GET  api/me  no token +401  missing_token: `,
		`ok  GET  api/me  expired token +401  expired: `,
		`ok  GET  api/me  another client's token +401  wrong_audience: `,
		`ok  GET  api/me  another tenant's token +401  invalid_signature: `,
		`ok  GET  api/me  tampered token +401  invalid_signature: `,
		`ok  GET  api/me  unsigned token +401  malformed_token: `,
		`ok  POST api/session  idtoken form from another site +403  untrusted_origin: `,
		`ok  GET  tenant/jwks.json +200  key-1\n`,
		`ok  GET  tenant/jwks.json  after the rotation +200  key-1, key-2\n`,
		`ok  GET  api/me  token of key-2, at once +200  called as John Doe`,
		`ok  GET  tenant/jwks.json  tenant down +503  The tenant is down`,
		`ok  GET  api/me  token of key-1, tenant down +200  called as John Doe`,
		`All 17 answers were as expected\.`,
	} {
		assert.Regexp(t, line, out)
	}
	assert.NotContains(t, out, "!!")
	assert.NotContains(t, out, "eyJ", "no token is printed")
}

// idle is a provider that ignores calls.
type idle struct {
	*reachfivetest.Tenant

	noRotation, noOutage bool
}

func (i idle) Rotate() string {
	if i.noRotation {
		return i.KID()
	}
	return i.Tenant.Rotate()
}

func (i idle) SetDown(down bool) {
	if !i.noOutage {
		i.Tenant.SetDown(down)
	}
}

func TestDemoNoticesARotationOrAnOutageThatDidNotHappen(t *testing.T) {
	t.Parallel()
	for says, unmoved := range map[string]idle{
		`!!  GET  tenant/jwks.json  after the rotation +200  key-1\n`:             {noRotation: true},
		`!!  GET  tenant/jwks.json  tenant down +200  key-1, key-2\n`:             {noOutage: true},
		`EXPECTED: +503  \.\.\.\n  ok  GET  api/me  token of key-1, tenant down `: {noOutage: true},
	} {
		tenant := reachfivetest.NewTenant(t)
		unmoved.Tenant = tenant
		var out bytes.Buffer
		err := (&demoCommand{}).playWith(t.Context(), environment{terminal: terminal{w: &out}},
			stage{tenant: tenant, verifier: tenant.Verifier(), provider: unmoved})
		require.ErrorContains(t, err, "1 of 17 answers were not as expected")
		assert.Regexp(t, says, out.String())
	}
}

func TestDemoMarksAnswersOfAnAPIWithOtherKeys(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	other := reachfivetest.NewTenant(t)
	// The API expects the right issuer and client, and has another tenant's keys.
	v := tenant.Verifier(reachfive.WithJWKSURL(other.Issuer()+"/jwks.json"), reachfive.WithHTTPClient(other.Client()))
	var out, errs bytes.Buffer
	env := environment{terminal: terminal{w: &out}, errs: terminal{w: &errs}}
	err := (&demoCommand{}).playWith(t.Context(), env, stage{tenant: tenant, verifier: v, provider: tenant})
	assert.Equal(t, exitNo, env.report(err))
	assert.Contains(t, errs.String(), "were not as expected")
	assert.Regexp(t, `!!  POST api/session  idtoken form +401  invalid_signature: `, out.String())
	assert.Regexp(t, `EXPECTED: +200  signed in as John Doe`, out.String())
	assert.NotContains(t, out.String(), "All 17")
}

func TestAnUnexpectedAnswerIsCounted(t *testing.T) {
	t.Parallel()
	for name, got := range map[string]reply{
		"another status":                         {status: 500, reason: "expired: the token has expired"},
		"another reason":                         {status: 401, reason: "missing_token: an ID token is required"},
		"another reason that only contains ours": {status: 401, reason: "not expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := &transcript{terminal: terminal{w: io.Discard}}
			out.answer("GET", got, refused(reachfive.CodeExpired))
			require.Error(t, out.verdict())
		})
	}
	out := &transcript{terminal: terminal{w: io.Discard}}
	out.answer("GET", reply{status: 401, reason: "expired: the token has expired"}, refused(reachfive.CodeExpired))
	require.NoError(t, out.verdict())
}

func TestDemoThatCannotRunIsExitCodeTwo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	assert.Equal(t, exitUnknown, run(ctx, []string{"demo"}, lookupIn(nil), strings.NewReader(""), &out, &errs))
	assert.Contains(t, errs.String(), "canceled")

	// Nothing listens on port 1 of the loopback interface.
	code, stdout, stderr := command(t, nil, "demo", "--domain", "127.0.0.1:1", "--client-id", "c")
	assert.Equal(t, exitUnknown, code)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "keys_unavailable")
}
