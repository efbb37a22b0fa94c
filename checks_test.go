package reachfive_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// The access token and its hash of OpenID Connect Core's appendix A.4, and what
// a token of ours carries beside them.
const (
	sampleAccessToken = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
	sampleHash        = "77QmUPtjPfzWtF2AnpK9RQ"
)

func TestChecks(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	claims := map[string]any{
		"iat": now.Add(-time.Hour).Unix(), "auth_time": now.Add(-2 * time.Hour).Unix(),
		"nonce": "n-0S6_WzA2Mj", "acr": "urn:mace:incommon:iap:silver", "amr": []string{"pwd", "otp"},
		"auth_type": "password", "email": "john@example.com", "email_verified": true, "at_hash": sampleHash,
	}
	boom := errors.New("boom: john@example.com")
	for _, tt := range []struct {
		name  string
		check reachfive.Check
		want  reachfive.Code
		omit  string // a claim that the token lacks
	}{
		{name: "nonce", check: reachfive.Nonce("n-0S6_WzA2Mj")},
		{name: "another nonce", check: reachfive.Nonce("n-0S6_WzA2Mk"), want: reachfive.CodeWrongNonce},
		{name: "no nonce wanted", check: reachfive.Nonce(""), want: reachfive.CodeWrongNonce},
		{name: "no nonce wanted, none there", check: reachfive.Nonce(""), omit: "nonce", want: reachfive.CodeWrongNonce},
		{name: "nonce absent", check: reachfive.Nonce("n-0S6_WzA2Mj"), omit: "nonce", want: reachfive.CodeWrongNonce},
		{name: "max age", check: reachfive.MaxAge(2 * time.Hour)},
		{name: "max age over", check: reachfive.MaxAge(2*time.Hour - 1), want: reachfive.CodeReauthenticationRequired},
		{name: "max age negative", check: reachfive.MaxAge(-time.Second), want: reachfive.CodeReauthenticationRequired},
		{name: "auth_time absent", check: reachfive.MaxAge(time.Hour), omit: "auth_time", want: reachfive.CodeReauthenticationRequired},
		{name: "max token age", check: reachfive.MaxTokenAge(time.Hour)},
		{name: "max token age over", check: reachfive.MaxTokenAge(time.Hour - 1), want: reachfive.CodeExpired},
		{name: "amr", check: reachfive.AMR("otp", "pwd")},
		{name: "amr one missing", check: reachfive.AMR("otp", "hwk"), want: reachfive.CodeInsufficientAuthentication},
		{name: "amr nothing wanted", check: reachfive.AMR(), want: reachfive.CodeInsufficientAuthentication},
		{name: "amr empty wanted", check: reachfive.AMR("pwd", ""), want: reachfive.CodeInsufficientAuthentication},
		{name: "amr absent", check: reachfive.AMR("pwd"), omit: "amr", want: reachfive.CodeInsufficientAuthentication},
		{name: "acr", check: reachfive.ACR("gold", "urn:mace:incommon:iap:silver")},
		{name: "acr another", check: reachfive.ACR("gold"), want: reachfive.CodeInsufficientAuthentication},
		{name: "acr nothing wanted", check: reachfive.ACR(), want: reachfive.CodeInsufficientAuthentication},
		{name: "acr absent, empty wanted", check: reachfive.ACR(""), omit: "acr", want: reachfive.CodeInsufficientAuthentication},
		{name: "auth type", check: reachfive.AuthType("facebook", "password")},
		{name: "auth type another", check: reachfive.AuthType("facebook"), want: reachfive.CodeInsufficientAuthentication},
		{name: "auth type nothing wanted", check: reachfive.AuthType(), want: reachfive.CodeInsufficientAuthentication},
		{name: "auth type absent, empty wanted", check: reachfive.AuthType(""), omit: "auth_type", want: reachfive.CodeInsufficientAuthentication},
		{name: "email verified", check: reachfive.EmailVerified()},
		{name: "email not verified", check: reachfive.EmailVerified(), omit: "email_verified", want: reachfive.CodeForbidden},
		{name: "email verified, but absent", check: reachfive.EmailVerified(), omit: "email", want: reachfive.CodeForbidden},
		{name: "access token hash", check: reachfive.AccessTokenHash(sampleAccessToken)},
		{name: "access token hash of another", check: reachfive.AccessTokenHash("x"), want: reachfive.CodeWrongAccessToken},
		{name: "access token hash of none", check: reachfive.AccessTokenHash(""), want: reachfive.CodeWrongAccessToken},
		{name: "at_hash absent", check: reachfive.AccessTokenHash(sampleAccessToken), omit: "at_hash", want: reachfive.CodeWrongAccessToken},
		{name: "nil check", check: nil, want: reachfive.CodeForbidden},
		{name: "own check", check: func(context.Context, *reachfive.User) error { return boom }, want: reachfive.CodeForbidden},
		{name: "own check with a Code", check: func(context.Context, *reachfive.User) error { return reachfive.CodeWrongNonce }, want: reachfive.CodeWrongNonce},
		{name: "own check with words around an Error", check: func(ctx context.Context, u *reachfive.User) error {
			return errors.Join(boom, reachfive.MaxAge(0)(ctx, u))
		}, want: reachfive.CodeReauthenticationRequired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			present := maps.Clone(claims)
			delete(present, tt.omit)
			token := hs256(t, payload(now, present))
			for _, viaOption := range []bool{false, true} {
				if viaOption && tt.check == nil {
					continue // New refuses it
				}
				v, checks := hs256Verifier(t, now), []reachfive.Check{tt.check}
				if viaOption {
					v, checks = hs256Verifier(t, now, reachfive.WithChecks(tt.check)), nil
				}
				u, err := v.Verify(t.Context(), token, checks...)
				assert.Equal(t, tt.want, reachfive.CodeOf(err))
				assert.Equal(t, tt.want == "", u != nil)
				if err != nil {
					assert.NotContains(t, err.Error(), "john@example.com")
				}
			}
		})
	}
}

func TestCheckTellsTheClientWhatWouldDo(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	v, token := hs256Verifier(t, now), hs256(t, payload(now, nil))

	_, err := v.Verify(t.Context(), token, reachfive.MaxAge(5*time.Minute))
	refusal, ok := errors.AsType[*reachfive.Error](err)
	require.True(t, ok)
	assert.Equal(t, 5*time.Minute, refusal.MaxAge)
	assert.Equal(t, "auth_time", refusal.Claim)

	_, err = v.Verify(t.Context(), token, reachfive.ACR("gold", "silver"))
	refusal, ok = errors.AsType[*reachfive.Error](err)
	require.True(t, ok)
	assert.Equal(t, []string{"gold", "silver"}, refusal.ACRValues)
}

func TestCheckErrorIsKeptForErrorsIs(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	banned := errors.New("banned")
	_, err := hs256Verifier(t, now).Verify(t.Context(), hs256(t, payload(now, nil)),
		func(context.Context, *reachfive.User) error { return banned })
	require.ErrorIs(t, err, banned)
	require.ErrorIs(t, err, reachfive.CodeForbidden)
	assert.NotContains(t, err.Error(), "banned")
}

func TestCheckThatReturnsAnErrorOfItsOwnIsAnsweredWithThatError(t *testing.T) {
	t.Parallel()
	now := time.Unix(1512138917, 0)
	refusal := &reachfive.Error{Code: reachfive.CodeInsufficientAuthentication, ACRValues: []string{"gold"}}
	_, err := hs256Verifier(t, now).Verify(t.Context(), hs256(t, payload(now, nil)),
		func(context.Context, *reachfive.User) error { return refusal })
	assert.Same(t, refusal, err)
}

func TestCheckThatReturnsAnErrorWithoutACodeForbids(t *testing.T) {
	t.Parallel()
	now := time.Unix(1512138917, 0)
	for name, refusal := range map[string]error{
		"an empty Error": &reachfive.Error{}, "a nil *Error": (*reachfive.Error)(nil), "an empty Code": reachfive.Code(""),
		"an empty Error within another": fmt.Errorf("no: %w", &reachfive.Error{}),
	} {
		t.Run(name, func(t *testing.T) {
			var seen reachfive.Code
			v := hs256Verifier(t, now, reachfive.WithObserver(reachfive.Observer{
				VerifyDone: func(_ context.Context, e reachfive.VerifyEvent) { seen = e.Code },
			}))
			_, err := v.Verify(t.Context(), hs256(t, payload(now, nil)), func(context.Context, *reachfive.User) error { return refusal })
			assert.Equal(t, reachfive.CodeForbidden, reachfive.CodeOf(err))
			assert.Equal(t, reachfive.CodeForbidden, seen)
			assert.NotErrorIs(t, err, reachfive.CodeExpired)
		})
	}
}

func TestCheckThatGivesUpWithTheCallerIsNoRefusal(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := hs256Verifier(t, now).Verify(ctx, hs256(t, payload(now, nil)),
		func(ctx context.Context, _ *reachfive.User) error {
			cancel()
			return errors.Join(errors.New("asking the database"), ctx.Err())
		})
	assert.Equal(t, context.Canceled, err)
}

func TestObserverIsToldHowTheCallersContextEnded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	for want, ended := range map[reachfive.Code]func(context.Context) (context.Context, context.CancelFunc){
		"canceled": context.WithCancel,
		"deadline_exceeded": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithDeadline(ctx, time.Unix(0, 0))
		},
	} {
		var seen reachfive.Code
		v := hs256Verifier(t, now, reachfive.WithObserver(reachfive.Observer{
			VerifyDone: func(_ context.Context, e reachfive.VerifyEvent) { seen = e.Code },
		}))
		ctx, cancel := ended(t.Context())
		cancel()
		_, err := v.Verify(ctx, hs256(t, payload(now, nil)), func(ctx context.Context, _ *reachfive.User) error { return ctx.Err() })
		require.ErrorIs(t, err, ctx.Err())
		assert.Equal(t, want, seen)
	}
}

func TestChecksOfAUserMadeByHandGoByTimeNow(t *testing.T) {
	t.Parallel()
	u := &reachfive.User{AuthTime: time.Now().Add(-time.Minute)}
	require.NoError(t, reachfive.MaxAge(2*time.Minute)(t.Context(), u))
	require.ErrorIs(t, reachfive.MaxAge(30*time.Second)(t.Context(), u), reachfive.CodeReauthenticationRequired)
}

func TestANilErrorInAnErrorIsNoPanic(t *testing.T) {
	t.Parallel()
	var err error = (*reachfive.Error)(nil)
	assert.NotErrorIs(t, err, reachfive.CodeExpired)
	assert.Empty(t, reachfive.CodeOf(err))
	assert.Equal(t, "reachfive: a nil *Error", err.Error())
}

// What nobody asked for is not given by a token that happens to have it empty.
func TestACheckForNothingFailsOnATokenThatHasNothing(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	nothing := sha256.Sum256(nil)
	token := hs256(t, payload(now, map[string]any{
		"nonce": "", "amr": []string{""}, "acr": "", "auth_type": "", "email": "", "email_verified": true,
		"at_hash": base64.RawURLEncoding.EncodeToString(nothing[:16]),
	}))
	for _, tt := range []struct {
		name  string
		check reachfive.Check
		want  reachfive.Code
	}{
		{"nonce", reachfive.Nonce(""), reachfive.CodeWrongNonce},
		{"amr", reachfive.AMR(""), reachfive.CodeInsufficientAuthentication},
		{"acr", reachfive.ACR(""), reachfive.CodeInsufficientAuthentication},
		{"auth type", reachfive.AuthType(""), reachfive.CodeInsufficientAuthentication},
		{"email", reachfive.EmailVerified(), reachfive.CodeForbidden},
		{"access token hash", reachfive.AccessTokenHash(""), reachfive.CodeWrongAccessToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := hs256Verifier(t, now).Verify(t.Context(), token, tt.check)
			assert.Equal(t, tt.want, reachfive.CodeOf(err))
		})
	}
}

// The longest time that there is goes by no token of an unknown age.
func TestNoAgeIsLongEnoughForATimeThatIsMissing(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	_, err := hs256Verifier(t, now).Verify(t.Context(), hs256(t, payload(now, nil)), reachfive.MaxAge(math.MaxInt64))
	require.ErrorIs(t, err, reachfive.CodeReauthenticationRequired)

	made := &reachfive.User{Subject: "s"}
	require.ErrorIs(t, reachfive.MaxAge(math.MaxInt64)(t.Context(), made), reachfive.CodeReauthenticationRequired)
	require.ErrorIs(t, reachfive.MaxTokenAge(math.MaxInt64)(t.Context(), made), reachfive.CodeExpired)
}

func TestANegativeMaxAgeAsksForASignInNow(t *testing.T) {
	t.Parallel()
	err := reachfive.MaxAge(-1)(t.Context(), &reachfive.User{AuthTime: time.Now()})
	refusal, ok := errors.AsType[*reachfive.Error](err)
	require.True(t, ok)
	assert.Equal(t, reachfive.CodeReauthenticationRequired, refusal.Code)
	assert.Zero(t, refusal.MaxAge)
}

func TestACheckKeepsTheValuesThatItWasMadeWith(t *testing.T) {
	t.Parallel()
	for name, makeCheck := range map[string]func(...string) reachfive.Check{
		"AMR": reachfive.AMR, "ACR": reachfive.ACR, "AuthType": reachfive.AuthType,
	} {
		t.Run(name, func(t *testing.T) {
			values := []string{"wanted"}
			check := makeCheck(values...)
			values[0] = "changed"
			for value, want := range map[string]reachfive.Code{"wanted": "", "changed": reachfive.CodeInsufficientAuthentication} {
				err := check(t.Context(), &reachfive.User{AMR: []string{value}, ACR: value, AuthType: value})
				assert.Equal(t, want, reachfive.CodeOf(err), value)
			}
		})
	}
	check := reachfive.ACR("gold", "silver")
	for range 2 {
		refusal, ok := errors.AsType[*reachfive.Error](check(t.Context(), &reachfive.User{}))
		require.True(t, ok)
		assert.Equal(t, []string{"gold", "silver"}, refusal.ACRValues)
		refusal.ACRValues[0] = "changed"
	}
}

// A caller who has gone does not turn a verdict into none.
func TestCheckThatRefusesAfterTheCallersContextEndedStillForbids(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, refusal := range map[string]error{
		"an error of its own": errors.New("banned"), "the end of another context": context.DeadlineExceeded,
	} {
		_, err := hs256Verifier(t, now).Verify(ctx, hs256(t, payload(now, nil)), func(context.Context, *reachfive.User) error { return refusal })
		assert.Equal(t, reachfive.CodeForbidden, reachfive.CodeOf(err), name)
		require.ErrorIs(t, err, refusal, name)
	}
}

func TestARefusalIsItsOwnCodeAndNoOther(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	_, err := hs256Verifier(t, now).Verify(t.Context(), hs256(t, payload(now, map[string]any{"sub": nil})))
	for _, code := range append(allCodes(t), "", "of nobody") {
		assert.Equal(t, code == reachfive.CodeMissingClaim, errors.Is(err, code), string(code))
	}
	// Errors of one Code may be about different claims.
	other := &reachfive.Error{Code: reachfive.CodeMissingClaim, Claim: "aud"}
	assert.NotErrorIs(t, err, other)
	assert.NotErrorIs(t, other, err)
	assert.Equal(t, "reachfive: no refusal", reachfive.Code("").Error())
}
