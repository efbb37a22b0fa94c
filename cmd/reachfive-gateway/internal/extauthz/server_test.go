package extauthz_test

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/extauthz"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/gatewaytest"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// strict is the filter as the recipe configures it; lenient lets requests pass
// when the service fails.
var (
	strict  = envoy{statusOnError: http.StatusServiceUnavailable}
	lenient = envoy{failureModeAllow: true}
)

// dial serves the Authorization service for v over a socket.
func dial(tb testing.TB, v reachfive.TokenVerifier) (*gatewaytest.Gateway, authv3.AuthorizationClient) {
	tb.Helper()
	gateway := gatewaytest.Start(tb, v)
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, extauthz.New(gateway.Handler, "api"))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	go func() { _ = server.Serve(listener) }()
	tb.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = conn.Close() })
	return gateway, authv3.NewAuthorizationClient(conn)
}

// question is Envoy's about a request: names in lower case, values of one name
// joined by a comma.
func question(policy string, h http.Header) *authv3.CheckRequest {
	headers := map[string]string{}
	for name, values := range h {
		headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	attributes := &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{Method: "GET", Path: "/x?policy=site", Headers: headers},
	}}
	if policy != "" {
		attributes.ContextExtensions = map[string]string{"policy": policy}
	}
	return &authv3.CheckRequest{Attributes: attributes}
}

func TestTheAuthorizationServicePassesTheTransportSuite(t *testing.T) {
	t.Parallel()
	reachfivetest.RunTransportSuite(t, func(tb testing.TB, v reachfive.TokenVerifier) reachfivetest.TransportCall {
		tb.Helper()
		gateway, client := dial(tb, v)
		return func(ctx context.Context, token string, operation reachfivetest.Operation) reachfivetest.Outcome {
			if operation == reachfivetest.OperationPublic {
				return reachfivetest.Outcome{Status: "200"} // the filter is disabled
			}
			gateway.TakeReasons()
			h := http.Header{}
			if token != "" {
				h.Set("Authorization", "Bearer "+token)
			}
			response, err := client.Check(ctx, question(gatewaytest.PolicyOf(operation), h))
			if ctx.Err() != nil {
				return reachfivetest.Outcome{Status: gatewaytest.Gone}
			}
			got := strict.apply(h, response, err)
			if got.failed {
				tb.Errorf("a verdict was an error: %v", err)
			}
			if got.status != http.StatusOK && lenient.apply(h, response, err).status == http.StatusOK {
				tb.Errorf("failure_mode_allow lets a refused request pass: %v", response)
			}
			return reachfivetest.Outcome{
				Status: strconv.Itoa(got.status), Reason: gateway.Refusal(), Subject: got.upstream.Get("X-Reachfive-Subject"),
			}
		}
	}, gatewaytest.Status)
}

// check asks about a request and applies Envoy's rules.
func check(t *testing.T, client authv3.AuthorizationClient, policy string, h http.Header) verdict {
	t.Helper()
	response, err := client.Check(t.Context(), question(policy, h))
	require.NoError(t, err)
	return strict.apply(h, response, err)
}

func TestSpoofedHeadersAreOverwrittenOrRemoved(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	_, client := dial(t, tenant.Verifier())
	token := "Bearer " + tenant.Token(reachfivetest.Claim("sub", "real"), reachfivetest.WithoutClaim("email"), reachfivetest.WithoutClaim("name"))
	spoofed := func() http.Header {
		h := http.Header{"Accept": {"*/*"}, "X-Reachfivex": {"admin"}}
		for _, name := range []string{
			"x-reachfive-subject", "X-REACHFIVE-EMAIL", "X-Reachfive-Name", "x_reachfive_subject", "X-Reachfive_Subject",
			"x.reachfive.subject", "X-Reachfive-Admin", "x-reachfive-decision",
		} {
			h[name] = []string{"admin"}
		}
		return h
	}
	for policy, authorization := range map[string]string{"api": token, "site": ""} {
		h := spoofed()
		if authorization != "" {
			h.Set("Authorization", authorization)
		}
		got := check(t, client, policy, h)
		require.Equal(t, http.StatusOK, got.status)
		assert.Equal(t, "*/*", got.upstream.Get("Accept"))
		for name, values := range got.upstream {
			assert.NotContains(t, values, "admin", name)
			assert.Len(t, values, 1, name)
		}
		want := map[string]string{"api": "real", "site": ""}[policy]
		assert.Equal(t, want, got.upstream.Get("X-Reachfive-Subject"))
		assert.Equal(t, map[string]string{"api": "allow", "site": "anonymous"}[policy], got.upstream.Get("X-Reachfive-Decision"))
		assert.NotContains(t, got.upstream, "X-Reachfive-Email", "an empty header is removed")
	}
}

func TestRefusalsReachTheClientWithTheirHeadersAndBody(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	_, client := dial(t, tenant.Verifier())
	got := check(t, client, "api", http.Header{"Authorization": {"Bearer " + tenant.Token(reachfivetest.Expired())}})
	assert.Equal(t, http.StatusUnauthorized, got.status)
	assert.Contains(t, got.client.Get("Www-Authenticate"), `error_description="expired: the token has expired"`)
	assert.Equal(t, "no-store", got.client.Get("Cache-Control"))
	assert.Equal(t, "application/json", got.client.Get("Content-Type"))
	assert.Contains(t, got.body, `"error":"invalid_token"`)

	down := reachfivetest.NewTenant(t)
	down.SetDown(true)
	_, client = dial(t, down.Verifier())
	got = check(t, client, "api", http.Header{"Authorization": {"Bearer " + down.Token()}})
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.NotEmpty(t, got.client.Get("Retry-After"))
}

func TestThePolicyIsTheRoutesAndNothingElseOfTheRequestChoosesIt(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	_, client := dial(t, tenant.Verifier())
	none := http.Header{"Policy": {"site"}, "X-Forwarded-Uri": {"/auth/site"}}
	assert.Equal(t, http.StatusOK, check(t, client, "site", none).status)
	assert.Equal(t, http.StatusUnauthorized, check(t, client, "api", none).status)
	assert.Equal(t, http.StatusUnauthorized, check(t, client, "", none).status, "the default policy")
	got := check(t, client, "nope", none)
	assert.Equal(t, http.StatusForbidden, got.status)
	assert.Contains(t, got.body, "unknown_policy")

	// A route that names the empty policy is a mistake, not the default.
	request := question("", none)
	request.Attributes.ContextExtensions = map[string]string{"policy": ""}
	response, err := client.Check(t.Context(), request)
	require.NoError(t, err)
	assert.Equal(t, http.StatusForbidden, strict.apply(none, response, nil).status)
}

func TestAuthorizationIsReadFromBothFormsOfHeaders(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	_, client := dial(t, tenant.Verifier())
	token := "Bearer " + tenant.Token()
	list := func(values ...*corev3.HeaderValue) *authv3.AttributeContext_HttpRequest {
		return &authv3.AttributeContext_HttpRequest{HeaderMap: &corev3.HeaderMap{Headers: values}}
	}
	for name, tt := range map[string]struct {
		http   *authv3.AttributeContext_HttpRequest
		status int
	}{
		"a map":          {&authv3.AttributeContext_HttpRequest{Headers: map[string]string{"authorization": token}}, 200},
		"a list":         {list(&corev3.HeaderValue{Key: "authorization", Value: token}), 200},
		"raw bytes":      {list(&corev3.HeaderValue{Key: "Authorization", RawValue: []byte(token)}), 200},
		"two in a list":  {list(&corev3.HeaderValue{Key: "authorization", Value: token}, &corev3.HeaderValue{Key: "authorization", Value: token}), 400},
		"two joined":     {&authv3.AttributeContext_HttpRequest{Headers: map[string]string{"authorization": token + "," + token}}, 400},
		"behind another": {&authv3.AttributeContext_HttpRequest{Headers: map[string]string{"authorization": "Basic dTpw," + token}}, 400},
		"two spellings":  {&authv3.AttributeContext_HttpRequest{Headers: map[string]string{"authorization": token, "Authorization": token}}, 400},
		"none":           {&authv3.AttributeContext_HttpRequest{}, 401},
	} {
		response, err := client.Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Request: &authv3.AttributeContext_Request{Http: tt.http},
		}})
		require.NoError(t, err)
		assert.Equal(t, tt.status, strict.apply(http.Header{}, response, nil).status, name)
	}
}

func TestARequestWithoutHTTPAttributesIsDenied(t *testing.T) {
	t.Parallel()
	_, client := dial(t, reachfivetest.NewTenant(t).Verifier())
	for _, request := range []*authv3.CheckRequest{
		{}, {Attributes: &authv3.AttributeContext{}}, {Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{}}},
	} {
		response, err := client.Check(t.Context(), request)
		require.NoError(t, err)
		assert.Equal(t, http.StatusBadRequest, strict.apply(nil, response, nil).status)
		assert.Equal(t, http.StatusBadRequest, lenient.apply(nil, response, nil).status)
	}
}

// panics is a decider with a fault.
type panics struct{}

func (panics) Decide(http.ResponseWriter, *http.Request, string) { panic("fault") }

func TestAFaultOfTheGatewayDenies(t *testing.T) {
	t.Parallel()
	response, err := extauthz.New(panics{}, "").Check(t.Context(), question("api", nil))
	require.NoError(t, err)
	assert.Equal(t, http.StatusInternalServerError, lenient.apply(nil, response, err).status)
}

// gone answers as the middleware does when the client has gone.
type gone struct{}

func (gone) Decide(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(499) }

func TestAStatusThatEnvoyDoesNotKnowIsNotAnError(t *testing.T) {
	t.Parallel()
	response, err := extauthz.New(gone{}, "").Check(t.Context(), question("api", nil))
	require.NoError(t, err)
	require.NoError(t, response.ValidateAll())
	assert.Equal(t, http.StatusServiceUnavailable, lenient.apply(nil, response, err).status)
}

// FuzzCheck holds every answer to Envoy's rules of form, and lets no request
// without a good token pass as signed in.
func FuzzCheck(f *testing.F) {
	tenant := reachfivetest.NewTenant(f)
	gateway := gatewaytest.Start(f, tenant.Verifier())
	server := extauthz.New(gateway.Handler, "api")
	f.Add("GET", "authorization", "Bearer x", "api", true)
	f.Add("", "Authorization", "Basic dTpw,Bearer x", "site", false)
	f.Add("\x00", "x-reachfive-subject", "admin", "", true)
	f.Add("GET", "x_reachfive\nsubject", "\xff", "payout", false)
	f.Fuzz(func(t *testing.T, method, name, value, policy string, asMap bool) {
		http := &authv3.AttributeContext_HttpRequest{Method: method}
		if asMap {
			http.Headers = map[string]string{name: value}
		} else {
			http.HeaderMap = &corev3.HeaderMap{Headers: []*corev3.HeaderValue{{Key: name, RawValue: []byte(value)}}}
		}
		response, err := server.Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Request: &authv3.AttributeContext_Request{Http: http}, ContextExtensions: map[string]string{"policy": policy},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := response.ValidateAll(); err != nil {
			t.Error(err)
		}
		for _, option := range response.GetOkResponse().GetHeaders() {
			if option.GetHeader().GetKey() == "x-reachfive-subject" {
				t.Errorf("signed in as %q", option.GetHeader().GetValue())
			}
		}
	})
}
