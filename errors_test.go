package reachfive_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// logged is what slog writes of a value.
func logged(value any) string {
	var text bytes.Buffer
	slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key != "v" {
				return slog.Attr{}
			}
			return a
		},
	})).Info("", "v", value)
	return text.String()
}

func TestErrorShowsItsCodeItsClaimAndWhatWasExpected(t *testing.T) {
	t.Parallel()
	v := hs256Verifier(t, spaTime)
	for _, tt := range []struct {
		err          error
		text, logged string
	}{
		{
			&reachfive.Error{Code: reachfive.CodeForbidden},
			"reachfive: forbidden: the user may not do this", "v.code=forbidden\n",
		},
		{
			&reachfive.Error{Code: reachfive.CodeExpired, Claim: "exp"},
			"reachfive: expired: the token has expired (exp)", "v.code=expired v.claim=exp\n",
		},
		{
			func() error {
				_, err := v.Verify(t.Context(), hs256Raw(`{"alg":"HS256"}`, `{"iss":"https://other.example","aud":"a","exp":1,"iat":1,"sub":"s"}`))
				return err
			}(),
			"reachfive: wrong_issuer: the token is from another issuer (iss): want https://" + testDomain,
			"v.code=wrong_issuer v.claim=iss v.detail=\"want https://" + testDomain + "\"\n",
		},
		{
			&reachfive.Error{Code: "one of the caller's"},
			"reachfive: one of the caller's", "v.code=\"one of the caller's\"\n",
		},
		{&reachfive.Error{}, "reachfive: no refusal", "v.code=\"\"\n"},
	} {
		require.EqualError(t, tt.err, tt.text)
		assert.Equal(t, tt.text, fmt.Sprintf("%v", tt.err))
		assert.Equal(t, tt.text, fmt.Sprintf("%+v", tt.err))
		assert.Equal(t, fmt.Sprintf("%q", tt.text), fmt.Sprintf("%q", tt.err))
		assert.Equal(t, tt.logged, logged(tt.err))
	}
}

func TestUserIsShownRedacted(t *testing.T) {
	t.Parallel()
	u := &reachfive.User{Subject: "s"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.Equal(t, "reachfive.User(redacted)", fmt.Sprintf(verb, u))
	}
	assert.Equal(t, `"reachfive.User(redacted)"`, fmt.Sprintf("%q", u))
	assert.Equal(t, "v=reachfive.User(redacted)\n", logged(u))
}

func TestCodeOfIsTheCodeOfTheFirstRefusal(t *testing.T) {
	t.Parallel()
	for want, err := range map[reachfive.Code]error{
		reachfive.CodeExpired:    fmt.Errorf("in words: %w", reachfive.CodeExpired),
		reachfive.CodeForbidden:  errors.Join(errors.New("first"), &reachfive.Error{Code: reachfive.CodeForbidden}, reachfive.CodeExpired),
		reachfive.CodeWrongNonce: errors.Join((*reachfive.Error)(nil), reachfive.CodeWrongNonce),
		"":                       errors.New("no refusal"),
	} {
		assert.Equal(t, want, reachfive.CodeOf(err))
	}
	assert.Empty(t, reachfive.CodeOf(nil))
	assert.Equal(t, http.StatusInternalServerError, reachfive.Code("one of the caller's").HTTPStatus())
}
