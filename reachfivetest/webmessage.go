package reachfivetest

import (
	"crypto/rand"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
)

// writeWebMessage answers /oauth/authorize in a hidden frame: with a page that posts
// the answer to the page around it, if that has the origin of the redirect URI. No
// other page may frame it, and no other script runs.
func writeWebMessage(w http.ResponseWriter, redirectURI string, answer url.Values) {
	response := map[string]string{}
	for name := range answer {
		response[name] = answer.Get(name)
	}
	// Marshal escapes <, > and &, so no text of a request can end the script.
	message, err := json.Marshal(map[string]any{"type": "authorization_response", "response": response})
	origin := originOf(redirectURI)
	target, originErr := json.Marshal(origin)
	if err != nil || originErr != nil {
		oauthError{http.StatusInternalServerError, "server_error", "The answer cannot be encoded"}.write(w)
		return
	}
	nonce := rand.Text()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; script-src 'nonce-"+nonce+"'; frame-ancestors "+origin)
	page := template.Must(template.New("").Parse(webMessagePage))
	_ = page.Execute(w, map[string]any{
		"Nonce":   nonce,
		"Message": template.JS(message), //nolint:gosec // written by json.Marshal
		"Target":  template.JS(target),  //nolint:gosec // written by json.Marshal
	})
}

const webMessagePage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Signing in</title>
<script nonce="{{.Nonce}}">parent.postMessage({{.Message}}, {{.Target}})</script>
</html>
`
