package embedreach_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/embedreach"
)

// noNetwork fails the test when a verifier asks for keys.
type noNetwork struct{ t *testing.T }

func (n noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("a request went to %s", r.URL.Host)
	return nil, errors.New("no network here")
}

func newVerifier(t *testing.T, clientID string, opts ...reachfive.Option) *reachfive.Verifier {
	t.Helper()
	v, err := reachfive.New("acme.reach5.net", clientID, append([]reachfive.Option{
		reachfive.WithClock(func() time.Time { return time.Unix(issuedAt+1, 0) }),
		reachfive.WithHTTPClient(&http.Client{Transport: noNetwork{t}}),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func TestVerifierRefusesEveryEmbedreachToken(t *testing.T) {
	// An identity whose values look like an ID token's claims changes nothing:
	// the names of the claims are ours.
	likeIDToken := embedreach.Identity{
		Email: "jane@acme.example", Name: `x","iss":"https://acme.reach5.net","aud":["AtnY5xDg4fbanentihip"],"sub":"1`,
		ExternalID: "https://acme.reach5.net", TenantExternalID: "AtnY5xDg4fbanentihip",
	}
	const clientID = "AtnY5xDg4fbanentihip"
	otherSecret := "reachfive-client-secret-of-forty-bytes-1"
	for _, tc := range []struct {
		name     string
		clientID string
		opts     []reachfive.Option
		want     reachfive.Code
	}{
		{"RS256", clientID, nil, reachfive.CodeUnsupportedAlgorithm},
		{"RS256, the partner ID as client ID", partnerID, nil, reachfive.CodeUnsupportedAlgorithm},
		{"HS256, its own secret", clientID, []reachfive.Option{reachfive.WithClientSecret(otherSecret)}, reachfive.CodeInvalidSignature},
		{"HS256, the same secret", clientID, []reachfive.Option{reachfive.WithClientSecret(secret)}, reachfive.CodeMissingClaim},
		{"HS256, the same secret, the partner ID as client ID", partnerID, []reachfive.Option{reachfive.WithClientSecret(secret)}, reachfive.CodeMissingClaim},
		{
			"HS256, the same secret, everything lenient", clientID,
			[]reachfive.Option{
				reachfive.WithClientSecret(secret), reachfive.WithLeeway(5 * time.Minute), reachfive.WithTokenCache(16),
				reachfive.InsecureAllowAccessTokenClaims(), reachfive.InsecureAllowShortSecret(),
			},
			reachfive.CodeMissingClaim,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := newVerifier(t, tc.clientID, tc.opts...)
			signer, err := embedreach.NewSigner(secret, partnerID, embedreach.WithClock(clock))
			require.NoError(t, err)
			tenant, err := signer.TenantToken(identity())
			require.NoError(t, err)
			lookalike, err := signer.TenantToken(likeIDToken)
			require.NoError(t, err)
			partner, err := signer.PartnerToken()
			require.NoError(t, err)
			for _, token := range []string{tenant, lookalike, partner, tenant} {
				user, err := v.Verify(t.Context(), token)
				assert.Nil(t, user)
				assert.Equal(t, tc.want, reachfive.CodeOf(err))
			}
		})
	}
}

func FuzzTenantTokenCarriesTheIdentityOrNothing(f *testing.F) {
	f.Add("jane@acme.example", "Jane", "u-1", "t-1")
	f.Add("jane@acme.example", `","partnerId":"other`, "\u2028", "</script>")
	f.Add("", "\x00", "\xff", " ")
	f.Fuzz(func(t *testing.T, email, name, externalID, tenantExternalID string) {
		token, err := newSigner(t).TenantToken(embedreach.Identity{
			Email: email, Name: name, ExternalID: externalID, TenantExternalID: tenantExternalID,
		})
		if err != nil {
			field, ok := errors.AsType[*embedreach.FieldError](err)
			require.True(t, ok)
			assert.Contains(t, []string{"email", "name", "externalId", "tenantExternalId"}, field.Field)
			assert.Empty(t, token)
			return
		}
		var claims map[string]any
		require.NoError(t, json.Unmarshal([]byte(open(t, token, secret)), &claims))
		assert.Equal(t, map[string]any{
			"email": email, "name": name, "externalId": externalID, "tenantExternalId": tenantExternalID,
			"partnerId": partnerID, "iat": float64(issuedAt), "exp": float64(issuedAt + 3600),
		}, claims)
	})
}
