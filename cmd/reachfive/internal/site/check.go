package site

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive/internal/explain"
)

// check verifies a token like POST /session, but requires no nonce and starts no
// session. For use with curl it accepts a Bearer token too. It answers with what
// was checked.
func check(v *reachfive.Verifier) http.Handler {
	show := func(w http.ResponseWriter, r *http.Request) {
		user, _ := reachfive.UserFromContext(r.Context())
		status := v.Status()
		kid := ""
		if stored, ok := r.Context().Value(kidKey{}).(*string); ok {
			kid = *stored
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

// noting stores the kid of the token in the context, because a User does not hold
// it.
type noting struct{ reachfive.TokenVerifier }

// Verify implements reachfive.TokenVerifier.
func (n noting) Verify(ctx context.Context, token string, checks ...reachfive.Check) (*reachfive.User, error) {
	if kid, ok := ctx.Value(kidKey{}).(*string); ok {
		*kid = explain.KID(token)
	}
	return n.TokenVerifier.Verify(ctx, token, checks...)
}

type kidKey struct{}

func writeJSON(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "the answer cannot be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body)
}
