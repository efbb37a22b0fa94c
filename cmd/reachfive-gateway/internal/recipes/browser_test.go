package recipes_test

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

// called is what a page could read of an answer, and Error if the browser let
// it read nothing.
type called struct {
	Status    int
	Challenge string
	Body      string
	Error     string
}

// visit is what happened on a page.
type visit struct {
	Answers    map[string]called
	Preflights []int // statuses
}

// browse calls the recipe's site in Chromium from pages of other origins.
func (s *scene) browse(t *testing.T, pages map[string]string, calls map[string][2]any) map[string]visit {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<!doctype html><title>page</title>")
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // Chromium asks twice before it ignores the certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	rules := []string{"MAP " + host + " " + s.secure, "MAP *.example.com " + strings.TrimPrefix(server.URL, "https://")}
	text := func(v any) string {
		encoded, err := json.Marshal(v)
		require.NoError(t, err)
		return string(encoded)
	}
	node, err := exec.LookPath("node")
	require.NoError(t, err, "the test needs Node.js 20 or newer on the PATH")
	command := exec.CommandContext(t.Context(), node, "preflight.mjs")
	command.Dir = "../../../../e2e"
	command.Env = append(command.Environ(), "RULES="+strings.Join(rules, ", "), "PAGES="+text(pages), "CALLS="+text(calls))
	command.Stderr = t.Output()
	output, err := command.Output()
	require.NoError(t, err, "run `make setup`, which brings Chromium and what npm has")
	var visits map[string]visit
	require.NoError(t, json.Unmarshal(output, &visits), "%s", output)
	return visits
}

// testBrowser: a page of the allowed origin calls with a token, and reads why a
// call was refused. A page of another origin cannot call.
func (s *scene) testBrowser(t *testing.T) {
	call := func(method, path, token string) [2]any {
		options := map[string]any{"method": method, "headers": map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"}}
		if method == http.MethodPost {
			options["body"] = `{"a":"b"}`
		}
		return [2]any{"https://" + host + path, options}
	}
	good := s.tenant.Token(reachfivetest.Claim("sub", "real"))
	visits := s.browse(t,
		map[string]string{"allowed": "https://app.example.com/", "another": "https://evil.example.com/"},
		map[string][2]any{
			"read":    call("GET", "/api/read", good),
			"write":   call("POST", "/api/write", good),
			"expired": call("GET", "/api/expired", s.tenant.Token(reachfivetest.Expired())),
			"step up": call("GET", "/payout/old", s.tenant.Token(reachfivetest.Claim("auth_time", 1_700_000_000))),
		})

	allowed := visits["allowed"]
	require.Len(t, allowed.Answers, 4)
	for _, name := range []string{"read", "write"} {
		require.Equal(t, http.StatusOK, allowed.Answers[name].Status, "%s: %+v", name, allowed)
		var got arrived
		require.NoError(t, json.Unmarshal([]byte(allowed.Answers[name].Body), &got))
		assert.Equal(t, "real", got.Header.Get("X-Reachfive-Subject"), name)
	}
	assert.Equal(t, http.StatusUnauthorized, allowed.Answers["expired"].Status)
	assert.Contains(t, allowed.Answers["expired"].Challenge, `error="invalid_token"`)
	assert.Equal(t, http.StatusUnauthorized, allowed.Answers["step up"].Status)
	assert.Contains(t, allowed.Answers["step up"].Challenge, `max_age="300"`)
	assert.Len(t, allowed.Preflights, 4)
	for _, status := range allowed.Preflights {
		assert.Equal(t, s.preflightStatus(), status)
	}

	another := visits["another"]
	require.Len(t, another.Answers, 4)
	for name, answer := range another.Answers {
		assert.Equal(t, called{Error: "TypeError"}, answer, name)
	}
	assert.NotEmpty(t, another.Preflights, "the browser did not ask")

	// The proxy answered the preflights, and the foreign page's calls stopped
	// in the browser.
	var targets []string
	for _, got := range s.backend.take() {
		targets = append(targets, got.Method+" "+got.Target)
	}
	assert.ElementsMatch(t, []string{"GET /api/read", "POST /api/write"}, targets)
}
