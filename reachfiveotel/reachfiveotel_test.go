package reachfiveotel_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveotel"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestVerificationsAreCountedByCode(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	done := c.telemetry.Observer().VerifyDone
	for _, code := range []reachfive.Code{
		"", "", reachfive.CodeExpired, reachfive.CodeKeysUnavailable, "canceled", "deadline_exceeded", "of_a_check", "of_another",
	} {
		done(t.Context(), reachfive.VerifyEvent{Code: code, CacheHit: code == ""})
	}
	assert.Equal(t, map[string]float64{
		"accepted": 2, "expired": 1, "keys_unavailable": 1, "canceled": 1, "deadline_exceeded": 1, "other": 2,
	}, c.series(t, "reachfive.verifications", "reachfive.code"))
	assert.Equal(t, map[string]float64{"accepted": 2, "refused": 3, "undecided": 3},
		c.series(t, "reachfive.verification.duration", "reachfive.outcome"))
	assert.Equal(t, map[string]float64{"": 2}, c.series(t, "reachfive.token_cache.hits"))
}

func TestVerificationsHaveTheirIssuer(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	done := c.telemetry.Observer().VerifyDone
	for _, e := range []reachfive.VerifyEvent{
		{Issuer: "https://a.example"},
		{Issuer: "https://b.example"},
		{Issuer: "https://b.example", Code: reachfive.CodeExpired},
		{Code: reachfive.CodeWrongIssuer}, // of ByIssuer
	} {
		done(t.Context(), e)
	}
	assert.Equal(t, map[string]float64{
		"https://a.example accepted": 1, "https://b.example accepted": 1, "https://b.example expired": 1, " wrong_issuer": 1,
	}, c.series(t, "reachfive.verifications", "reachfive.issuer", "reachfive.code"))
}

func TestOnlyUndecidedVerificationsTellWhetherThereWereKeys(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	done := c.telemetry.Observer().VerifyDone
	for _, code := range []reachfive.Code{
		"", reachfive.CodeExpired, reachfive.CodeKeysUnavailable, reachfive.CodeRevocationsUnavailable, "canceled", "deadline_exceeded",
	} {
		done(t.Context(), reachfive.VerifyEvent{Code: code, KeysAvailable: true})
		done(t.Context(), reachfive.VerifyEvent{Code: code})
	}
	assert.Equal(t, map[string]float64{
		"accepted ": 2, "expired ": 2,
		"keys_unavailable true": 1, "keys_unavailable false": 1,
		"revocations_unavailable true": 1, "revocations_unavailable false": 1,
		"canceled true": 1, "canceled false": 1, "deadline_exceeded true": 1, "deadline_exceeded false": 1,
	}, c.series(t, "reachfive.verifications", "reachfive.code", "reachfive.keys_available"))
}

func TestDurationsAreInSeconds(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	done := c.telemetry.Observer().VerifyDone
	for _, e := range []reachfive.VerifyEvent{
		{Duration: 30 * time.Microsecond},
		{Duration: 20 * time.Microsecond},
		{Duration: 7 * time.Microsecond, Code: reachfive.CodeExpired},
		{Duration: 3 * time.Second, Code: reachfive.CodeKeysUnavailable},
	} {
		done(t.Context(), e)
	}
	sums := c.sums(t, "reachfive.verification.duration", "reachfive.outcome")
	assert.InDelta(t, 0.00005, sums["accepted"], 1e-12)
	assert.InDelta(t, 0.000007, sums["refused"], 1e-12)
	assert.InDelta(t, 3, sums["undecided"], 1e-12)
	assert.Len(t, sums, 3)
}

func TestTheAgeOfKeysIsExactAndEndsWithItsRegistration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t)
		tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
		tenant.SetDelay(2 * time.Second)
		v := tenant.Verifier()
		registration, err := c.telemetry.WatchKeys(v)
		require.NoError(t, err)
		ages := func() map[string]float64 { return c.series(t, "reachfive.keys.age", "reachfive.issuer") }
		assert.Empty(t, ages(), "no keys yet")

		require.NoError(t, v.Refresh(t.Context())) // the keys count from the start of their fetch
		assert.Equal(t, map[string]float64{tenant.Issuer(): 2}, ages())
		time.Sleep(90 * time.Second)
		assert.Equal(t, map[string]float64{tenant.Issuer(): 92}, ages())
		require.NoError(t, v.Refresh(t.Context()))
		assert.Equal(t, map[string]float64{tenant.Issuer(): 2}, ages())

		require.NoError(t, registration.Unregister())
		assert.Empty(t, ages(), "unregistered")
		require.NoError(t, v.Close())
	})
}

func TestAFetchIsASpanThatStartsAndEndsWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t)
		ctx, request := c.tracers.Tracer("test").Start(t.Context(), "GET /me")
		tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
		tenant.SetDelay(2 * time.Second)
		v := tenant.Verifier(reachfive.WithObserver(c.telemetry.Observer()))
		start := time.Now()
		_, err := v.Verify(ctx, tenant.Token())
		require.NoError(t, err)
		request.End()
		require.NoError(t, v.Close()) // waits for what the fetch reports

		fetch := c.fetchSpan(t)
		assert.False(t, fetch.Parent.IsValid())
		require.Len(t, fetch.Links, 1)
		assert.Equal(t, request.SpanContext().SpanID(), fetch.Links[0].SpanContext.SpanID())
		assert.Equal(t, codes.Unset, fetch.Status.Code)
		assert.WithinDuration(t, start, fetch.StartTime, 0)
		assert.WithinDuration(t, start.Add(2*time.Second), fetch.EndTime, 0)
		attrs := map[string]any{}
		for _, kv := range fetch.Attributes {
			attrs[string(kv.Key)] = kv.Value.AsInterface()
		}
		assert.Equal(t, map[string]any{
			"reachfive.cause": "first", "reachfive.result": "ok", "reachfive.issuer": tenant.Issuer(),
			"reachfive.keys.usable": int64(1), "reachfive.keys.skipped": int64(0),
		}, attrs)
		assert.Equal(t, map[string]float64{"first ok " + tenant.Issuer(): 1},
			c.series(t, "reachfive.keys.refreshes", "reachfive.cause", "reachfive.result", "reachfive.issuer"))
		assert.InDelta(t, 2, c.sums(t, "reachfive.verification.duration", "reachfive.outcome")["accepted"], 0)
	})
}

func TestAFailedFetchIsAFailedSpan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t)
		tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
		tenant.SetDown(true)
		v := tenant.Verifier(reachfive.WithObserver(c.telemetry.Observer()))
		_, err := v.Verify(t.Context(), tenant.Token())
		require.ErrorIs(t, err, reachfive.CodeKeysUnavailable)
		require.NoError(t, v.Close())

		fetch := c.fetchSpan(t)
		assert.Equal(t, codes.Error, fetch.Status.Code)
		assert.Equal(t, "status 503", fetch.Status.Description)
		assert.Equal(t, map[string]float64{"first status 5xx": 1},
			c.series(t, "reachfive.keys.refreshes", "reachfive.cause", "reachfive.result"))
		assert.Equal(t, map[string]float64{"keys_unavailable false": 1},
			c.series(t, "reachfive.verifications", "reachfive.code", "reachfive.keys_available"))
	})
}

// fetchSpan returns the only span of a fetch.
func (c *collector) fetchSpan(t *testing.T) tracetest.SpanStub {
	t.Helper()
	var found []tracetest.SpanStub
	for _, span := range c.spans.GetSpans() {
		if span.Name == "reachfive.keys.fetch" {
			found = append(found, span)
		}
	}
	require.Len(t, found, 1)
	return found[0]
}

// refuseWith is a TokenVerifier that accepts the token "good" and refuses
// others with an error.
type refuseWith struct{ err error }

func (r refuseWith) Verify(_ context.Context, token string, _ ...reachfive.Check) (*reachfive.User, error) {
	if token == "good" {
		return &reachfive.User{Subject: "ann"}, nil
	}
	return nil, r.err
}

func TestRefusedRequestsAreCountedOnceByCodeAndTransport(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	serve := func(err error, authorization string, opts ...reachfive.MiddlewareOption) {
		h := reachfive.Middleware(refuseWith{err}, append(opts, reachfive.OnRefusal(c.telemetry.HTTPRefusal))...)(
			reachfive.Require(reachfive.EmailVerified())(http.NotFoundHandler()))
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", authorization)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	serve(nil, "")                                    // no token
	serve(nil, "Bearer")                              // a malformed header
	serve(nil, "Bearer good")                         // Require
	serve(reachfive.CodeExpired, "Bearer bad")        // the verifier
	serve(reachfive.Code("of_a_check"), "Bearer bad") // a Code of the program's own
	serve(errors.New("no Code at all"), "Bearer bad") // a fault
	serve(context.DeadlineExceeded, "Bearer bad")     // a deadline of the verifier's own
	c.telemetry.GRPCRefusal(t.Context(), "/a/B", reachfive.CodeExpired)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	c.telemetry.GRPCRefusal(canceled, "/a/B", canceled.Err())
	c.telemetry.GRPCRefusal(t.Context(), "/a/B", context.Canceled) // not the call's own

	assert.Equal(t, map[string]float64{
		"http missing_token": 1, "http invalid_request": 1, "http forbidden": 1, "http expired": 1,
		"http other": 1, "http server_error": 1, "http deadline_exceeded": 1,
		"grpc expired": 1, "grpc canceled": 1, "grpc server_error": 1,
	}, c.series(t, "reachfive.requests.refused", "reachfive.transport", "reachfive.code"))
	assert.Empty(t, c.series(t, "reachfive.verifications"), "a refused request is no verification")
}

func TestWiringMistakesAreErrors(t *testing.T) {
	t.Parallel()
	for _, opts := range [][]reachfiveotel.Option{
		{reachfiveotel.WithMeterProvider(nil)}, {reachfiveotel.WithTracerProvider(nil)}, {nil},
	} {
		telemetry, err := reachfiveotel.New(opts...)
		require.Error(t, err)
		assert.Nil(t, telemetry)
	}
	_, err := newCollector(t).telemetry.WatchKeys(nil)
	require.Error(t, err)
}
