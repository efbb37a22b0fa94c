package site

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive"
)

// check verifies a token as POST /session does, but for the nonce, and starts no
// session; for curl's sake it takes a Bearer token too. It tells what was checked.
func check(v *reachfive.Verifier) http.Handler {
	show := func(w http.ResponseWriter, r *http.Request) {
		user, _ := reachfive.UserFromContext(r.Context())
		status := v.Status()
		kid := ""
		if noted, ok := r.Context().Value(kidKey{}).(*string); ok {
			kid = *noted
		}
		key := map[string]any{"id": kid}
		if at := slices.IndexFunc(status.Keys, func(k reachfive.KeyStatus) bool { return k.ID == kid }); at >= 0 {
			key["bits"], key["thumbprint"] = status.Keys[at].Bits, status.Keys[at].Thumbprint
		}
		writeJSON(w, map[string]any{
			"user": user,
			"checked": map[string]any{
				"algorithm": status.Algorithm, "key": key, "issuer": user.Issuer, "audience": user.Audience,
				"expires": user.ExpiresAt.Unix(), "now": time.Now().UnixMilli(),
			},
		})
	}
	guarded := reachfive.Middleware(noting{v}, reachfive.TokenFrom(reachfive.FromForm("idtoken"), reachfive.FromBearer()))(http.HandlerFunc(show))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		guarded.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), kidKey{}, new(string))))
	})
}

// noting notes the kid of the token that it verifies, which a User has not.
type noting struct{ reachfive.TokenVerifier }

// Verify implements reachfive.TokenVerifier.
func (n noting) Verify(ctx context.Context, token string, checks ...reachfive.Check) (*reachfive.User, error) {
	if kid, ok := ctx.Value(kidKey{}).(*string); ok {
		*kid = kidOf(token)
	}
	return n.TokenVerifier.Verify(ctx, token, checks...)
}

type kidKey struct{}

// kidOf reads the kid out of a token that nobody has verified yet. It is shown
// only once the token is.
func kidOf(token string) string {
	text, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return ""
	}
	var header struct {
		KID string `json:"kid"`
	}
	if json.Unmarshal(raw, &header) != nil {
		return ""
	}
	return header.KID
}

func writeJSON(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "no JSON form", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body)
}
