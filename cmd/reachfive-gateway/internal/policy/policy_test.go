package policy_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/gatewaytest"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/policy"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestTheGatewayPassesTheTransportSuite(t *testing.T) {
	t.Parallel()
	reachfivetest.RunTransportSuite(t, func(tb testing.TB, v reachfive.TokenVerifier) reachfivetest.TransportCall {
		tb.Helper()
		gateway := gatewaytest.Start(tb, v)
		return func(ctx context.Context, token string, operation reachfivetest.Operation) reachfivetest.Outcome {
			if operation == reachfivetest.OperationPublic {
				return reachfivetest.Outcome{Status: "200"} // the proxy does not ask
			}
			gateway.TakeReasons()
			response, _, err := gatewaytest.Get(ctx, http.DefaultClient, gateway.URL+"/auth/"+gatewaytest.PolicyOf(operation), token)
			if err != nil {
				return reachfivetest.Outcome{Status: gatewaytest.Gone}
			}
			return reachfivetest.Outcome{
				Status: strconv.Itoa(response.StatusCode), Reason: gateway.Refusal(),
				Subject: response.Header.Get("X-Reachfive-Subject"),
			}
		}
	}, gatewaytest.Status)
}

// answer is what a policy answers to these Authorization values.
func answer(t *testing.T, p *policy.Policy, authorization ...string) (*http.Response, policy.Outcome) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	r.Header["Authorization"] = authorization
	w := httptest.NewRecorder()
	outcome := p.Answer(w, r)
	return w.Result(), outcome
}

func TestSeveralCredentialsAreRefusedEvenWhereATokenIsOptional(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	optional := gatewaytest.For(t, tenant.Verifier())["site"]
	token := "Bearer " + tenant.Token()
	for name, values := range map[string][]string{
		"two headers":                          {token, token},
		"two, one of another scheme":           {"Basic dTpw", token},
		"joined by a comma":                    {token + ", " + token},
		"joined without a space":               {token + "," + token},
		"a token behind another scheme":        {"Basic dTpw, " + token},
		"a token behind another, no space":     {"Basic dTpw," + token},
		"a token behind a tab":                 {"Basic dTpw,\t" + token},
		"a lower-case token behind another":    {"Basic dTpw, bearer x"},
		"a bare scheme behind another":         {"Basic dTpw, Bearer"},
		"a token behind a scheme of its own":   {"Digest a=b, c=d, " + token},
		"an empty first credential":            {", " + token},
		"a token that is two words":            {token + " x"},
		"a Bearer scheme without a token":      {"Bearer"},
		"an empty value and a token in two":    {"", token},
		"a token after white space and commas": {"Basic dTpw,, " + token},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response, outcome := answer(t, optional, values...)
			assert.Equal(t, http.StatusBadRequest, response.StatusCode)
			assert.Equal(t, reachfive.CodeInvalidRequest, outcome.Reason)
			assert.Empty(t, response.Header.Get("X-Reachfive-Decision"))
		})
	}
	for name, values := range map[string][]string{
		"none": nil, "empty": {""}, "another scheme": {"Basic dTpw"},
		"another scheme with parameters": {`Digest username="Bearer", realm="x"`},
	} {
		t.Run("anonymous: "+name, func(t *testing.T) {
			t.Parallel()
			response, outcome := answer(t, optional, values...)
			assert.Equal(t, http.StatusOK, response.StatusCode)
			assert.Equal(t, policy.Anonymous, outcome.Reason)
			assert.Equal(t, []string{"anonymous"}, response.Header["X-Reachfive-Decision"])
			assert.Equal(t, []string{""}, response.Header["X-Reachfive-Subject"])
		})
	}
}

func TestAnAcceptedAnswerCarriesEveryNameAndMayNotBeStored(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	p := gatewaytest.For(t, tenant.Verifier())["api"]
	response, outcome := answer(t, p, "Bearer "+tenant.Token(
		reachfivetest.Claim("sub", "AVqvOB58"), reachfivetest.Claim("exp", 4102444800),
		reachfivetest.Claim("email", "john@example.com"), reachfivetest.Claim("email_verified", true)))
	assert.Equal(t, policy.Accepted, outcome.Reason)
	assert.Positive(t, outcome.Took)
	assert.Equal(t, http.Header{
		"Cache-Control":        {"no-store"},
		"X-Reachfive-Decision": {"allow"}, "X-Reachfive-Subject": {"AVqvOB58"},
		"X-Reachfive-Issuer": {tenant.Issuer()}, "X-Reachfive-Audience": {tenant.ClientID},
		"X-Reachfive-Expires": {"4102444800"}, "X-Reachfive-Email": {"john@example.com"},
		"X-Reachfive-Name": {"John Doe"},
	}, response.Header)
}

func TestARefusalCarriesNoIdentity(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	p := gatewaytest.For(t, tenant.Verifier())["api"]
	response, outcome := answer(t, p, "Bearer "+tenant.Token(reachfivetest.Expired()))
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	assert.Equal(t, reachfive.CodeExpired, outcome.Reason)
	for name := range response.Header {
		assert.NotContains(t, name, "Reachfive")
	}
	assert.Contains(t, response.Header.Get("WWW-Authenticate"), `error="invalid_token"`)
	assert.Equal(t, "no-store", response.Header.Get("Cache-Control"))
}
