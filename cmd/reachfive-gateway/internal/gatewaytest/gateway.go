// Package gatewaytest runs the gateway's decision handler for tests of what
// stands in front of it.
package gatewaytest

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/decide"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/header"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/policy"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// Policies are what a Finder finds by name.
type Policies map[string]*policy.Policy

// Find implements decide.Finder.
func (p Policies) Find(name string) (*policy.Policy, bool) {
	found, ok := p[name]
	return found, ok
}

// Fields are the identity headers of the policies beside the fixed ones.
func Fields() []header.Field {
	return []header.Field{
		{Name: "X-Reachfive-Email", Claim: "email"},
		{Name: "X-Reachfive-Name", Claim: "name"},
	}
}

// PolicyOf is the policy of an operation of the transport suite, "" for the
// public one, for which no proxy asks.
func PolicyOf(operation reachfivetest.Operation) string {
	return map[reachfivetest.Operation]string{
		reachfivetest.OperationToken:    "api",
		reachfivetest.OperationOptional: "site",
		reachfivetest.OperationStepUp:   "payout",
	}[operation]
}

// For makes the policies of deploy/gateway.yaml: api, site and payout.
func For(tb testing.TB, v reachfive.TokenVerifier) Policies {
	tb.Helper()
	set, mistakes := header.NewSet(Fields())
	if len(mistakes) > 0 {
		tb.Fatal(mistakes)
	}
	policies := Policies{}
	for _, s := range []policy.Settings{
		{Name: "api"},
		{Name: "site", Optional: true},
		{Name: "payout", Checks: []reachfive.Check{reachfive.MaxAge(reachfivetest.StepUpMaxAge)}},
	} {
		s.Verifier, s.Headers = v, set
		policies[s.Name] = policy.New(s)
	}
	return policies
}

// Gateway is a decision handler on a loopback port, and what it decided.
type Gateway struct {
	URL     string // without a slash at the end
	Handler *decide.Handler

	mu      sync.Mutex
	reasons []reachfive.Code
}

// Start serves the policies of For until the test ends.
func Start(tb testing.TB, v reachfive.TokenVerifier) *Gateway {
	tb.Helper()
	g := &Gateway{}
	g.Handler = decide.New(For(tb, v), g.observe, slog.New(slog.DiscardHandler))
	server := httptest.NewUnstartedServer(g.Handler)
	server.Config.DisableGeneralOptionsHandler = true   // as package serve does
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // a proxy that asks twice confuses the suite's verifier
	server.Start()
	tb.Cleanup(server.Close)
	g.URL = server.URL
	return g
}

func (g *Gateway) observe(_ string, outcome policy.Outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reasons = append(g.reasons, outcome.Reason)
}

// TakeReasons returns why requests were accepted or refused since the last call.
func (g *Gateway) TakeReasons() []reachfive.Code {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := g.reasons
	g.reasons = nil
	return taken
}

// Refusal is the Code of the one request since the last call, and "" if it was
// accepted or had no Code.
func (g *Gateway) Refusal() reachfive.Code {
	reasons := g.TakeReasons()
	if len(reasons) != 1 || reasons[0].HTTPStatus() == http.StatusInternalServerError {
		return ""
	}
	return reasons[0]
}

// Gone is the status of a call whose caller went away.
const Gone = "gone"

// Get makes a request with a Bearer token, if it is not empty, and returns the
// answer with its body read. err is that of the client.
func Get(ctx context.Context, client *http.Client, url, token string) (*http.Response, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, "", err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return Do(client, r)
}

// Do makes a request and reads the answer's body.
func Do(client *http.Client, r *http.Request) (*http.Response, string, error) {
	response, err := client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// Status is the HTTP status of a decision of the transport suite.
func Status(decision error) string {
	code := reachfive.CodeOf(decision)
	switch {
	case decision == nil:
		return strconv.Itoa(http.StatusOK)
	case code != "":
		return strconv.Itoa(code.HTTPStatus())
	case errors.Is(decision, context.Canceled):
		return Gone
	case errors.Is(decision, context.DeadlineExceeded):
		return strconv.Itoa(http.StatusServiceUnavailable)
	}
	return strconv.Itoa(http.StatusInternalServerError)
}
