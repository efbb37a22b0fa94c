package reachfive_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// verifyEvents is an Observer that keeps the events of Verify.
type verifyEvents []reachfive.VerifyEvent

func (e *verifyEvents) option() reachfive.Option {
	return reachfive.WithObserver(reachfive.Observer{
		VerifyDone: func(_ context.Context, event reachfive.VerifyEvent) { *e = append(*e, event) },
	})
}

func TestVerifyEventTellsWhetherKeysWereAvailable(t *testing.T) {
	t.Parallel()
	const maxStale = 2 * time.Hour
	tests := []struct {
		name      string
		prepare   func(*testing.T, *reachfivetest.Tenant, *reachfive.Verifier)
		mods      []reachfivetest.Mod
		want      reachfive.Code
		available bool
	}{
		{"a good token", nil, nil, "", true},
		{"a token from the cache", warm, nil, "", true},
		{"an expired token", warm, []reachfivetest.Mod{reachfivetest.Expired()}, reachfive.CodeExpired, true},
		{"a malformed header", warm, []reachfivetest.Mod{reachfivetest.RawHeader("{}")}, reachfive.CodeUnsupportedAlgorithm, false},
		{"an unknown kid", warm, []reachfivetest.Mod{reachfivetest.KID("nobody")}, reachfive.CodeUnknownKey, true},
		{"an unknown kid while the provider is down", warmThenDown(0), []reachfivetest.Mod{reachfivetest.KID("nobody")}, reachfive.CodeKeysUnavailable, true},
		{"no keys yet", down, nil, reachfive.CodeKeysUnavailable, false},
		{"no keys any more", warmThenDown(maxStale + time.Second), nil, reachfive.CodeKeysUnavailable, false},
		{"stale keys", warmThenDown(maxStale - time.Minute), nil, "", true},
		{"HS256", nil, []reachfivetest.Mod{reachfivetest.HS256()}, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				tenant := memoryTenant(t)
				opts := []reachfive.Option{reachfive.WithTokenCache(10), reachfive.WithMaxStale(maxStale)}
				if tt.name == "HS256" {
					opts = append(opts, reachfive.WithClientSecret(tenant.ClientSecret))
				}
				var events verifyEvents
				v := tenant.Verifier(append(opts, events.option())...)
				if tt.prepare != nil {
					tt.prepare(t, tenant, v)
				}
				events = nil
				_, err := v.Verify(t.Context(), tenant.Token(tt.mods...))
				require.Equal(t, tt.want, reachfive.CodeOf(err), "%v", err)
				require.Len(t, events, 1)
				assert.Equal(t, tt.available, events[0].KeysAvailable)
				assert.Equal(t, "https://"+tenant.Domain, events[0].Issuer)
				assert.Equal(t, tt.name == "a token from the cache", events[0].CacheHit)
			})
		})
	}
}

func TestVerifyEventTellsThatTheKeyIsKnownWhateverStepRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		mods   []reachfivetest.Mod
		checks []reachfive.Check
		want   reachfive.Code
	}{
		{"the signature", []reachfivetest.Mod{reachfivetest.WrongKey()}, nil, reachfive.CodeInvalidSignature},
		{"the payload's form", []reachfivetest.Mod{reachfivetest.RawPayload("[]")}, nil, reachfive.CodeMalformedToken},
		{"a claim's type", []reachfivetest.Mod{reachfivetest.Claim("sub", 1)}, nil, reachfive.CodeInvalidClaim},
		{"the issuer", []reachfivetest.Mod{reachfivetest.Claim("iss", "another")}, nil, reachfive.CodeWrongIssuer},
		{"a time", []reachfivetest.Mod{reachfivetest.Expired()}, nil, reachfive.CodeExpired},
		{"a check", nil, []reachfive.Check{reachfive.Nonce("n")}, reachfive.CodeWrongNonce},
	}
	for _, algorithm := range []string{"RS256", "HS256"} {
		for _, tt := range tests {
			t.Run(algorithm+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				tenant := memoryTenant(t)
				var events verifyEvents
				opts, mods := []reachfive.Option{events.option()}, tt.mods
				if algorithm == "HS256" {
					opts = append(opts, reachfive.WithClientSecret(tenant.ClientSecret))
					mods = append([]reachfivetest.Mod{reachfivetest.HS256()}, mods...)
				}
				_, err := tenant.Verifier(opts...).Verify(t.Context(), tenant.Token(mods...), tt.checks...)
				require.Equal(t, tt.want, reachfive.CodeOf(err), "%v", err)
				require.Len(t, events, 1)
				events[0].Duration = 0
				assert.Equal(t, reachfive.VerifyEvent{
					Code: tt.want, Issuer: "https://" + tenant.Domain, Algorithm: algorithm, KeysAvailable: true, KeyKnown: true,
				}, events[0])
			})
		}
	}
}

// warm makes the Verifier fetch the keys, and the cache know the tenant's token.
func warm(t *testing.T, tenant *reachfivetest.Tenant, v *reachfive.Verifier) {
	t.Helper()
	_, err := v.Verify(t.Context(), tenant.Token())
	require.NoError(t, err)
}

func down(_ *testing.T, tenant *reachfivetest.Tenant, _ *reachfive.Verifier) { tenant.SetDown(true) }

// warmThenDown takes the provider down, and waits.
func warmThenDown(wait time.Duration) func(*testing.T, *reachfivetest.Tenant, *reachfive.Verifier) {
	return func(t *testing.T, tenant *reachfivetest.Tenant, v *reachfive.Verifier) {
		t.Helper()
		warm(t, tenant, v)
		tenant.SetDown(true)
		time.Sleep(wait)
	}
}

func TestEventsTellHowLongItTook(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		tenant.SetDelay(2 * time.Second)
		var verified []reachfive.VerifyEvent
		var fetched []reachfive.FetchEvent
		v := tenant.Verifier(reachfive.WithObserver(reachfive.Observer{
			VerifyDone: func(_ context.Context, e reachfive.VerifyEvent) { verified = append(verified, e) },
			FetchDone:  func(_ context.Context, e reachfive.FetchEvent) { fetched = append(fetched, e) },
		}))
		slow := func(context.Context, *reachfive.User) error {
			time.Sleep(300 * time.Millisecond)
			return errors.New("too late")
		}
		_, err := v.Verify(t.Context(), tenant.Token())
		require.NoError(t, err)
		_, err = v.Verify(t.Context(), tenant.Token(), slow)
		require.ErrorIs(t, err, reachfive.CodeForbidden)
		require.NoError(t, v.Close()) // waits for what the fetch reports

		issuer := "https://" + tenant.Domain
		assert.Equal(t, []reachfive.VerifyEvent{
			{Issuer: issuer, Algorithm: "RS256", KeysAvailable: true, KeyKnown: true, Duration: 2 * time.Second},
			{Code: reachfive.CodeForbidden, Issuer: issuer, Algorithm: "RS256", KeysAvailable: true, KeyKnown: true, Duration: 300 * time.Millisecond},
		}, verified)
		assert.Equal(t, []reachfive.FetchEvent{
			{Issuer: issuer, Cause: reachfive.CauseFirst, Result: "ok", Keys: 1, Duration: 2 * time.Second},
		}, fetched)
	})
}

func TestVerifyEventOfACallerThatWentAway(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tenant := memoryTenant(t)
		tenant.SetDelay(2 * time.Second)
		var events verifyEvents
		v := tenant.Verifier(events.option())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := v.Verify(ctx, tenant.Token())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, verifyEvents{{
			Code: "deadline_exceeded", Issuer: "https://" + tenant.Domain, Algorithm: "RS256", Duration: time.Second,
		}}, events)
	})
}

// An alert relies on it: a failed fetch of this cause means that the Verifier has
// no usable keys, and no fetch of another cause does.
func TestOnlyAFetchForLackOfKeysHasTheCauseFirst(t *testing.T) {
	t.Parallel()
	const maxStale = 2 * time.Hour
	for name, ask := range map[string]func(context.Context, *reachfive.Verifier, string) error{
		"Verify": func(ctx context.Context, v *reachfive.Verifier, token string) error {
			_, err := v.Verify(ctx, token)
			return err
		},
		"HealthCheck": func(ctx context.Context, v *reachfive.Verifier, _ string) error { return v.HealthCheck(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				tenant := memoryTenant(t)
				var failed []reachfive.FetchCause
				v := tenant.Verifier(reachfive.WithMaxStale(maxStale), reachfive.WithObserver(reachfive.Observer{
					FetchDone: func(_ context.Context, e reachfive.FetchEvent) {
						if e.Result != "ok" {
							failed = append(failed, e.Cause)
						}
					},
				}))
				// causes asks after a while, and returns why fetches have failed since.
				causes := func(wait time.Duration, usable bool) []reachfive.FetchCause {
					failed = nil
					time.Sleep(wait)
					err := ask(t.Context(), v, tenant.Token())
					assert.Equal(t, usable, err == nil, "%v", err)
					synctest.Wait()
					return failed
				}
				tenant.SetDown(true)
				assert.Equal(t, []reachfive.FetchCause{reachfive.CauseFirst}, causes(0, false), "no keys yet")
				tenant.SetDown(false)
				assert.Empty(t, causes(time.Hour, true))
				tenant.SetDown(true)
				assert.NotContains(t, causes(time.Hour, true), reachfive.CauseFirst, "the last good keys are usable")
				assert.Equal(t, []reachfive.FetchCause{reachfive.CauseFirst}, causes(maxStale, false), "no keys any more")
			})
		})
	}
}
