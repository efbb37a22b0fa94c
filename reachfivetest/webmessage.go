package reachfivetest

import (
	"crypto/rand"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
)

// writeWebMessage answers /oauth/authorize in a hidden frame: a page that
// posts the answer to the page around it, and to the origin of its redirect
// URI alone. No other page may frame it, and no script but this one runs.
func writeWebMessage(w http.ResponseWriter, redirectURI string, answer url.Values) {
	response := map[string]string{}
	for name := range answer {
		response[name] = answer.Get(name)
	}
	// Marshal writes <, > and & as escapes, so no text of a request ends the
	// script.
	message, err := json.Marshal(map[string]any{"type": "authorization_response", "response": response})
	origin := originOf(redirectURI)
	target, originErr := json.Marshal(origin)
	if err != nil || originErr != nil {
		oauthError{http.StatusInternalServerError, "server_error", "The answer has no JSON form"}.write(w)
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
