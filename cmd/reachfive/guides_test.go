package main

import (
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

func guide(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + name)
	require.NoError(t, err)
	return string(text)
}

// The guide shows the output up to the verdict, except for the token's size.
func TestErrorsGuideShowsWhatVerifyPrints(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	_, out := verifyAgainst(t, tenant, tenant.Token(reachfivetest.HS256()))
	shown, _, found := strings.Cut(out, "\n\nThe token's header")
	require.True(t, found, out)
	shown = regexp.MustCompile(`\d+ bytes`).ReplaceAllString(shown, "723 bytes")
	assert.Contains(t, guide(t, "errors.md"),
		"```\n$ reachfive verify --domain acme.reach5.net --client-id AtnY5xDg4fbanentihip < token.txt\n"+shown+"\n```\n")
}

// The guide shows what curl prints, except for Date and Content-Length.
func TestSPAGuideShowsWhatTheAPIAnswers(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t)
	api := httptest.NewServer(apiHandler(tenant.Verifier(), nil))
	defer api.Close()
	var shown strings.Builder
	for _, tt := range []struct{ command, token string }{
		{`curl -i --data-urlencode "idtoken=$GOOD" $API/session`, tenant.Token(reachfivetest.Claim("name", "John Doe"))},
		{`curl -i --data-urlencode "idtoken=$EXPIRED" $API/session`, tenant.Token(reachfivetest.Expired())},
		{`curl -i -d "" $API/session`, ""},
	} {
		form := url.Values{"idtoken": {tt.token}}
		if tt.token == "" {
			form = nil
		}
		res, err := noRedirects(api.Client()).Post(api.URL+"/session", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		fmt.Fprintf(&shown, "$ %s\n%s %s\n", tt.command, res.Proto, res.Status)
		for _, name := range slices.Sorted(maps.Keys(res.Header)) {
			if name != "Date" && name != "Content-Length" {
				fmt.Fprintf(&shown, "%s: %s\n", name, res.Header.Get(name))
			}
		}
		fmt.Fprintf(&shown, "\n%s\n", strings.TrimSpace(string(body)))
	}
	assert.Contains(t, guide(t, "spa.md"), "```\n"+shown.String()+"```\n")
}
