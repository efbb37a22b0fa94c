package recipes_test

import (
	"encoding/json"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// decodeStrictly decodes YAML into Envoy's type, nested messages included. An
// unknown field, a value of the wrong type and a broken rule are errors.
func decodeStrictly(t *testing.T, text string, into interface {
	proto.Message
	ValidateAll() error
},
) {
	t.Helper()
	var tree any
	require.NoError(t, yaml.Unmarshal([]byte(text), &tree))
	encoded, err := json.Marshal(tree)
	require.NoError(t, err)
	require.NoError(t, protojson.Unmarshal(encoded, into))
	require.NoError(t, into.ValidateAll())
}

// unpack decodes a message in an Any, and checks its rules.
func unpack[M interface {
	proto.Message
	ValidateAll() error
}](t *testing.T, packed *anypb.Any, into M,
) M {
	t.Helper()
	require.NoError(t, packed.UnmarshalTo(into))
	require.NoError(t, into.ValidateAll())
	return into
}

// checkExtAuthz holds the filter to what makes it safe.
func checkExtAuthz(t *testing.T, filter *extauthzv3.ExtAuthz) {
	t.Helper()
	assert.False(t, filter.GetFailureModeAllow())
	assert.EqualValues(t, 503, filter.GetStatusOnError().GetCode())
	assert.NotNil(t, filter.GetGrpcService(), "Envoy's HTTP service turns every 5xx into 403")
	assert.Positive(t, filter.GetGrpcService().GetTimeout().AsDuration())
}

// checkStripping: no client can make up an identity header.
func checkStripping(t *testing.T, manager *hcmv3.HttpConnectionManager) {
	t.Helper()
	assert.Equal(t, "REJECT_REQUEST", manager.GetCommonHttpProtocolOptions().GetHeadersWithUnderscoresAction().String())
	require.Len(t, manager.GetEarlyHeaderMutationExtensions(), 1)
	mutation := unpack(t, manager.GetEarlyHeaderMutationExtensions()[0].GetTypedConfig(), &mutationv3.HeaderMutation{})
	require.Len(t, mutation.GetMutations(), 2)
	for i, prefix := range []string{"x-reachfive", "x.reachfive"} {
		matcher := mutation.GetMutations()[i].GetRemoveOnMatch().GetKeyMatcher()
		assert.Equal(t, prefix, matcher.GetPrefix())
		assert.True(t, matcher.GetIgnoreCase())
	}
}

func TestTheEnvoyRecipeIsOneOfEnvoysTypes(t *testing.T) {
	t.Parallel()
	bootstrap := &bootstrapv3.Bootstrap{}
	decodeStrictly(t, recipeFile(t, "envoy/envoy.yaml"), bootstrap)
	chain := bootstrap.GetStaticResources().GetListeners()[0].GetFilterChains()[0]
	unpack(t, chain.GetTransportSocket().GetTypedConfig(), &tlsv3.DownstreamTlsContext{})
	manager := unpack(t, chain.GetFilters()[0].GetTypedConfig(), &hcmv3.HttpConnectionManager{})
	checkStripping(t, manager)
	assert.True(t, manager.GetNormalizePath().GetValue())
	assert.True(t, manager.GetMergeSlashes())

	// The preflight is answered before the question, and the question asked
	// before the request is sent on.
	filters := manager.GetHttpFilters()
	require.Len(t, filters, 3)
	unpack(t, filters[0].GetTypedConfig(), &corsv3.Cors{})
	checkExtAuthz(t, unpack(t, filters[1].GetTypedConfig(), &extauthzv3.ExtAuthz{}))
	unpack(t, filters[2].GetTypedConfig(), &routerv3.Router{})

	virtualHost := manager.GetRouteConfig().GetVirtualHosts()[0]
	unpack(t, virtualHost.GetTypedPerFilterConfig()["envoy.filters.http.cors"], &corsv3.CorsPolicy{})
	policies := map[string]string{}
	for _, route := range virtualHost.GetRoutes() {
		policies[route.GetMatch().GetPrefix()] = policyOfRoute(t, route)
	}
	assert.Equal(t, map[string]string{"/api/": "api", "/payout/": "payout", "/": "site", "/public/": ""}, policies)

	for _, cluster := range bootstrap.GetStaticResources().GetClusters() {
		for _, options := range cluster.GetTypedExtensionProtocolOptions() {
			unpack(t, options, &upstreamv3.HttpProtocolOptions{})
		}
	}
}

// policyOfRoute is the policy of a route, "" if the filter is disabled on it.
func policyOfRoute(t *testing.T, route *routev3.Route) string {
	t.Helper()
	settings := unpack(t, route.GetTypedPerFilterConfig()["envoy.filters.http.ext_authz"], &extauthzv3.ExtAuthzPerRoute{})
	if settings.GetDisabled() {
		return ""
	}
	policy := settings.GetCheckSettings().GetContextExtensions()["policy"]
	assert.NotEmpty(t, policy)
	return policy
}

func TestTheIstioRecipePatchesInEnvoysTypes(t *testing.T) {
	t.Parallel()
	var filter struct {
		Kind string
		Spec struct {
			ConfigPatches []struct {
				ApplyTo string `yaml:"applyTo"`
				Patch   struct {
					Operation string
					Value     map[string]any
				}
			} `yaml:"configPatches"`
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(recipeFile(t, "istio/envoyfilter.yaml")), &filter))
	assert.Equal(t, "EnvoyFilter", filter.Kind)
	require.Len(t, filter.Spec.ConfigPatches, 2)
	typed := func(i int) *anypb.Any {
		encoded, err := json.Marshal(filter.Spec.ConfigPatches[i].Patch.Value["typed_config"])
		require.NoError(t, err)
		packed := &anypb.Any{}
		require.NoError(t, protojson.Unmarshal(encoded, packed))
		return packed
	}
	assert.Equal(t, "NETWORK_FILTER", filter.Spec.ConfigPatches[0].ApplyTo)
	manager := &hcmv3.HttpConnectionManager{} // a patch is not complete, so its rules do not hold
	require.NoError(t, typed(0).UnmarshalTo(manager))
	checkStripping(t, manager)
	assert.Equal(t, "HTTP_FILTER", filter.Spec.ConfigPatches[1].ApplyTo)
	checkExtAuthz(t, unpack(t, typed(1), &extauthzv3.ExtAuthz{}))
}
