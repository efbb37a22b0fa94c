package main

import (
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
)

func TestSiteServesThePageUnderItsPolicy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for path, want := range map[string]string{"/": "<!doctype html>", "/page.css": ":root", "/bundle/page.js": "// the bundle", "/config.json": `{"reachFive":"https://`} {
		w := f.get(t.Context(), path, "")
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), want) {
			t.Error(path, w.Code, w.Body)
		}
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, " "+f.tenant.Issuer()+";") {
			t.Error(path, policy)
		}
	}
}

func TestPageSaysHowItsMissingScriptIsBuilt(t *testing.T) {
	t.Parallel()
	bundle := fstest.MapFS{}
	f := newFixtureWith(t, bundle)
	w := f.get(t.Context(), "/", "")
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "make demo-embedded") {
		t.Error(w.Code, w.Body)
	}
	bundle["page.js"] = &fstest.MapFile{}
	if w := f.get(t.Context(), "/", ""); w.Code != http.StatusOK {
		t.Error("the script is there now:", w.Code, w.Body)
	}
}
