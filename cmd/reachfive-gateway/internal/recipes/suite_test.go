package recipes_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/gatewaytest"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// pathOf is where the recipes serve an operation.
func pathOf(operation reachfivetest.Operation) string {
	return map[reachfivetest.Operation]string{
		reachfivetest.OperationToken:    "/api/x",
		reachfivetest.OperationOptional: "/x",
		reachfivetest.OperationPublic:   "/public/x",
		reachfivetest.OperationStepUp:   "/payout/x",
	}[operation]
}

// testSuite runs the transport suite through the proxy: what it asks of the
// gateway, what a client gets, and what the backend sees.
func (r recipe) testSuite(t *testing.T) {
	t.Helper()
	reachfivetest.RunTransportSuite(t, func(tb testing.TB, v reachfive.TokenVerifier) reachfivetest.TransportCall {
		tb.Helper()
		gateway, behind := gatewaytest.Start(tb, v), startBackend(tb)
		p := r.run(tb, strings.TrimPrefix(gateway.URL, "http://"), behind.address)
		return func(ctx context.Context, token string, operation reachfivetest.Operation) reachfivetest.Outcome {
			gateway.TakeReasons()
			behind.take()
			response, _, err := gatewaytest.Get(ctx, p.client, p.url(pathOf(operation)), token)
			if err != nil {
				return reachfivetest.Outcome{Status: gatewaytest.Gone}
			}
			got := reachfivetest.Outcome{Status: strconv.Itoa(response.StatusCode), Reason: gateway.Refusal()}
			for _, request := range behind.take() {
				got.Subject = request.Header.Get("X-Reachfive-Subject")
				if got.Status != "200" {
					tb.Errorf("a refused request reached the backend: %s", request.Target)
				}
			}
			if got.Status == "503" && got.Reason != "" && response.Header.Get("Retry-After") == "" {
				tb.Errorf("%s: 503 without Retry-After", got.Reason)
			}
			if got.Status == "401" && !strings.HasPrefix(response.Header.Get("WWW-Authenticate"), "Bearer realm=") {
				tb.Errorf("%s: 401 without its challenge", got.Reason)
			}
			return got
		}
	}, gatewaytest.Status)
}
