package reachfive_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/internal/vectors"
	kit "github.com/reachfive-community/reachfive/reachfivetest"
)

// spill collects everything that is printed, logged, observed or answered, to
// search it for what must not be in it. Key fetches write to it from goroutines of
// their own.
type spill struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *spill) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(text)
}

func (s *spill) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// print prints a value in every way that fmt and slog have, by itself and within
// other values.
func (s *spill) print(values ...any) {
	for _, value := range values {
		for _, v := range []any{
			value, []any{value}, map[string]any{"k": value}, struct{ Exported any }{value}, &value,
		} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s", "%x", "%X", "%d", "%T"} {
				fmt.Fprintf(s, verb+"\n", v)
			}
			slog.New(slog.NewTextHandler(s, nil)).Info("printed", "value", v)
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(s, nil), slog.NewJSONHandler(s, nil)} {
			logger := slog.New(handler)
			logger.Info("printed", "value", value)
			logger.With("value", value).WithGroup("group").Info("printed", "value", value, slog.Group("inner", "value", value))
		}
	}
}

// json marshals a value, by itself and within other values.
func (s *spill) json(t *testing.T, values ...any) {
	t.Helper()
	for _, value := range values {
		for _, v := range []any{value, []any{value}, map[string]any{"k": value}, struct{ Exported any }{value}} {
			text, err := json.Marshal(v)
			require.NoError(t, err)
			_, _ = s.Write(text)
			slog.New(slog.NewJSONHandler(s, nil)).Info("printed", "value", v)
		}
	}
}

func (s *spill) error(t *testing.T, err error) {
	t.Helper()
	s.print(err, fmt.Errorf("wrapped: %w", err), errors.Join(err, errors.New("another")))
	s.json(t, err)
	refusal, ok := errors.AsType[*reachfive.Error](err)
	require.True(t, ok)
	s.print(*refusal)
	s.json(t, *refusal)
}

// assertClean searches for texts in every form that a verb can print them in.
func (s *spill) assertClean(t *testing.T, what string, secrets ...string) {
	t.Helper()
	printed := s.String()
	for _, secret := range secrets {
		if len(secret) < 6 {
			continue // too short: other text contains it by chance
		}
		for _, form := range []string{
			secret, hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
			base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
			strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]"), strings.Trim(fmt.Sprintf("%q", secret), `"`),
		} {
			if strings.Contains(printed, form) {
				at := strings.Index(printed, form)
				assert.Fail(t, "it shows", "%s: %q in %q", what, secret, printed[max(0, at-80):min(len(printed), at+120)])
				break
			}
		}
	}
}

// options returns a logger and an observer that write into the spill.
func (s *spill) options() []reachfive.Option {
	return []reachfive.Option{
		reachfive.WithLogger(slog.New(slog.NewJSONHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		reachfive.WithObserver(reachfive.Observer{
			VerifyDone:   func(_ context.Context, e reachfive.VerifyEvent) { fmt.Fprintf(s, "%+v %#v\n", e, e) },
			FetchDone:    func(_ context.Context, e reachfive.FetchEvent) { fmt.Fprintf(s, "%+v %#v\n", e, e) },
			StateChanged: func(state reachfive.State) { fmt.Fprintf(s, "%+v\n", state) },
		}),
	}
}

// This test refuses each bad token of the vectors, in Verify and in Middleware.
func TestRedactionOfEveryRefusal(t *testing.T) {
	t.Parallel()
	step := 1
	if testing.Short() {
		step = 8
	}
	var refused atomic.Int64
	t.Run("files", func(t *testing.T) {
		for name, file := range vectorFiles(t) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T) {
					for i := 0; i < len(file.Vectors); i += step {
						if vector := file.Vectors[i]; vector.Want != vectors.Accept {
							refused.Add(1)
							refuseInSecret(t, file, vector, i < 2*step)
						}
					}
				})
			})
		}
	})
	t.Logf("%d refusals", refused.Load())
	assert.Greater(t, refused.Load(), int64(1000/step))
}

// refuseInSecret looks for the token's content in all that its refusal leaves
// behind, and in what the Verifier prints if that is asked for.
func refuseInSecret(t *testing.T, file vectors.File, vector vectors.Vector, printVerifier bool) {
	t.Helper()
	var s spill
	v, checks := vectorVerifier(t, file, vector, s.options()...)
	user, err := v.Verify(t.Context(), vector.Token, checks...)
	require.Error(t, err, vector.Name)
	require.Nil(t, user)
	s.error(t, err)
	s.print(v.Status())
	if printVerifier {
		s.print(v, *v)
		s.json(t, v, v.Status())
	}

	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	w := httptest.NewRecorder()
	token := reachfive.FromFunc(func(*http.Request) (string, error) { return vector.Token, nil })
	protect := reachfive.Middleware(v, reachfive.TokenFrom(token),
		reachfive.ChecksFor(func(*http.Request) ([]reachfive.Check, error) { return checks, nil }))
	protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { assert.Fail(t, "it passed", vector.Name) })).ServeHTTP(w, r)
	_, _ = s.Write(w.Body.Bytes())
	for header, values := range w.Header() {
		_, _ = s.Write([]byte(header + strings.Join(values, "")))
	}
	secrets := append(claimValues(vector.Token), vector.Token, vector.Secret, "john.doe@example.com", "AVqvOB58Fg6nZfQ0ZqXt")
	if vector.Rule != "3.1 compact" { // its tokens are not three segments with dots between
		secrets = append(secrets, strings.Split(vector.Token, ".")...)
	}
	s.assertClean(t, vector.Name, secrets...)
}

// claimValues returns the strings in a token's payload, without the issuer and the
// client IDs: those are configured and may be printed.
func claimValues(token string) (texts []string) {
	segments := strings.Split(token, ".")
	if len(segments) != 3 {
		return nil
	}
	text, err := base64.RawURLEncoding.DecodeString(segments[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return nil
	}
	public := []string{"https://acme.reach5.net", "AtnY5xDg4fbanentihip", "Q7mAndroidClient0001"}
	for name, value := range claims {
		if text, ok := value.(string); ok && name != "auth_type" {
			allowed := false
			for _, p := range public {
				// A part of a configured value tells nothing either.
				allowed = allowed || strings.Contains(strings.ToLower(p), strings.ToLower(strings.TrimRight(text, " /")))
			}
			if !allowed {
				texts = append(texts, text)
			}
		}
	}
	return texts
}

// The error of a Check may contain anything. It is kept for errors.Is and not
// printed.
func TestRedactionOfACheck(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		var s spill
		v := tenant.Verifier(s.options()...)
		const email = "jane.roe@example.com"
		for name, refusal := range map[string]error{
			"plain": errors.New("banned: " + email), "wrapped": fmt.Errorf("%s: %w", email, reachfive.CodeForbidden),
			"an Error in words": fmt.Errorf("%s: %w", email, &reachfive.Error{Code: reachfive.CodeForbidden}),
		} {
			_, err := v.Verify(t.Context(), tenant.Token(kit.Claim("email", email)), func(context.Context, *reachfive.User) error { return refusal })
			require.ErrorIs(t, err, reachfive.CodeForbidden, name)
			require.ErrorIs(t, err, refusal, "it is kept")
			s.error(t, err)
		}
		s.assertClean(t, "a Check", email)
	})
}

// A User and its Verifier print redacted, too.
func TestRedactionOfAUserAndItsTenant(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		const email, sub, phone = "jane.roe@example.com", "subject-of-a-test", "+33612345678"
		for _, opts := range [][]kit.Option{nil, {kit.WithHS256()}} {
			tenant := memoryTenant(t, opts...)
			var s spill
			v := tenant.Verifier(s.options()...)
			token := tenant.Token(kit.Claim("email", email), kit.Claim("sub", sub), kit.Claim("phone_number", phone),
				kit.Claim("custom_fields", map[string]string{"note": "a private note"}))
			user, err := v.Verify(t.Context(), token)
			require.NoError(t, err)
			made := kit.NewUser(t, map[string]any{"email": email, "sub": sub})
			s.print(user, *user, made, v, *v, tenant)
			s.json(t, v, tenant)
			s.assertClean(t, "a User", append(strings.Split(token, "."), token, email, sub, phone, "a private note", tenant.ClientSecret)...)

			// json.Marshal is the documented way to pass a profile on.
			text, err := json.Marshal(user)
			require.NoError(t, err)
			assert.Contains(t, string(text), email)
			assert.Contains(t, fmt.Sprintf("%v", struct{ hidden reachfive.User }{*user}), email,
				"fmt does not call methods of a value in an unexported field, as the comment of User says")
		}
	})
}

// The keys' URL may contain a password, and its server may answer anything.
func TestRedactionOfTheKeysAddress(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var s spill
		const password, body = "a-password-in-a-url", "<html>an internal page</html>"
		client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("proxy said %s to %s", body, r.URL)
		})}
		for _, client := range []*http.Client{client, serving([]byte(body))} {
			v, err := reachfive.New(testDomain, testClient, append(s.options(),
				reachfive.WithHTTPClient(client), reachfive.WithJWKSURL("https://user:"+password+"@keys.example/jwks.json"))...)
			require.NoError(t, err)
			tenant := memoryTenant(t)
			_, err = v.Verify(t.Context(), tenant.Token())
			require.ErrorIs(t, err, reachfive.CodeKeysUnavailable)
			s.error(t, err)
			err = v.Refresh(t.Context())
			s.error(t, err)
			s.print(v, v.Status())
			s.json(t, v, v.Status())
			require.NoError(t, v.Close())
		}
		s.assertClean(t, "the keys", password, "internal page")
	})
}

// New puts no secret into its error.
func TestRedactionOfNew(t *testing.T) {
	t.Parallel()
	var s spill
	for _, secret := range []string{"a short secret", strings.Repeat("a long secret ", 5)} {
		_, err := reachfive.New("http://x", "a b", reachfive.WithClientSecret(secret), reachfive.WithAudiences("other"),
			reachfive.WithJWKSURL("http://user:a-password-in-a-url@keys.example/"))
		require.Error(t, err)
		s.print(err)
		s.assertClean(t, "New", secret, "a-password-in-a-url")
	}
}
