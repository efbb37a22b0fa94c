package reachfivetest

import (
	"context"
	"testing"
	"time"

	"github.com/reachfive-community/reachfive"
)

// transportCases starts the servers and lists the suite's calls to them.
func transportCases(tb testing.TB, serve func(testing.TB, reachfive.TokenVerifier) TransportCall) []transportCase {
	tb.Helper()
	return append(scriptedCases(tb, serve), tenantCases(tb, serve)...)
}

// scriptedCases cover every decision that a verifier can return.
func scriptedCases(tb testing.TB, serve func(testing.TB, reachfive.TokenVerifier) TransportCall) []transportCase {
	tb.Helper()
	script := &scriptedVerifier{}
	call := serve(tb, script)
	expired := string(reachfive.CodeExpired)
	cases := []transportCase{
		{name: "accepted", token: scriptFresh, operation: OperationToken, subject: scriptSubject, asked: true},
		{name: "no token", operation: OperationToken, decision: reachfive.CodeMissingToken},
		{name: "credentials that are two words", token: "two words", operation: OperationToken, decision: reachfive.CodeInvalidRequest},

		{name: "optional: a good token", token: scriptFresh, operation: OperationOptional, subject: scriptSubject, asked: true},
		{name: "optional: no token", operation: OperationOptional},
		{name: "optional: a bad token", token: expired, operation: OperationOptional, decision: reachfive.CodeExpired, asked: true},

		{name: "public: a good token", token: scriptFresh, operation: OperationPublic},
		{name: "public: no token", operation: OperationPublic},
		{name: "public: a bad token", token: expired, operation: OperationPublic},

		{name: "step-up: a recent sign-in", token: scriptFresh, operation: OperationStepUp, subject: scriptSubject, asked: true},
		{name: "step-up: an old sign-in", token: scriptStale, operation: OperationStepUp, decision: reachfive.CodeReauthenticationRequired, asked: true},
		{name: "step-up: no token", operation: OperationStepUp, decision: reachfive.CodeMissingToken},
		{name: "step-up: a bad token", token: expired, operation: OperationStepUp, decision: reachfive.CodeExpired, asked: true},

		{name: "the verifier returns nobody", token: scriptNobody, operation: OperationToken, decision: errScript, asked: true},
		{name: "the verifier fails", token: scriptFailure, operation: OperationToken, decision: errScript, asked: true},
		{name: "the time ran out", token: scriptDeadline, operation: OperationToken, decision: context.DeadlineExceeded, asked: true},
	}
	// No verifier returns the Codes of the form source.
	for _, code := range []reachfive.Code{
		reachfive.CodeMissingToken, reachfive.CodeInvalidRequest, reachfive.CodeUntrustedOrigin,
		reachfive.CodeMalformedToken, reachfive.CodeUnsupportedAlgorithm, reachfive.CodeUnknownKey,
		reachfive.CodeKeysUnavailable, reachfive.CodeInvalidSignature, reachfive.CodeMissingClaim,
		reachfive.CodeInvalidClaim, reachfive.CodeWrongIssuer, reachfive.CodeWrongAudience,
		reachfive.CodeExpired, reachfive.CodeNotYetValid, reachfive.CodeWrongNonce,
		reachfive.CodeWrongAccessToken, reachfive.CodeReauthenticationRequired,
		reachfive.CodeInsufficientAuthentication, reachfive.CodeRevoked,
		reachfive.CodeRevocationsUnavailable, reachfive.CodeForbidden,
	} {
		cases = append(cases, transportCase{
			name: "refused: " + string(code), token: string(code), operation: OperationToken,
			decision: code, asked: true,
		})
	}
	// Last, because the server may report its decision after the call has returned,
	// and the report must not be taken for that of another call.
	cases = append(cases, transportCase{
		name: "the caller goes away", token: scriptWait, operation: OperationToken,
		decision: context.Canceled, asked: true, goesAway: true,
	})
	for i := range cases {
		cases[i].call, cases[i].script = call, script
	}
	return cases
}

// tenantCases use tokens of a tenant and a real Verifier.
func tenantCases(tb testing.TB, serve func(testing.TB, reachfive.TokenVerifier) TransportCall) []transportCase {
	tb.Helper()
	tenant := NewTenant(tb)
	subject := tenant.AddUser("transport suite", map[string]any{"email": "transport@example.com"})
	call := serve(tb, tenant.Verifier())
	cases := []transportCase{
		{name: "accepted", token: tenant.Token(), subject: subject},
		{name: "expired", token: tenant.Token(Expired()), decision: reachfive.CodeExpired},
		{name: "another audience", token: tenant.Token(OtherAudience()), decision: reachfive.CodeWrongAudience},
		{name: "another issuer", token: tenant.Token(OtherIssuer()), decision: reachfive.CodeWrongIssuer},
		{name: "tampered", token: tenant.Token(Tampered()), decision: reachfive.CodeInvalidSignature},
		{name: "another key", token: tenant.Token(WrongKey()), decision: reachfive.CodeInvalidSignature},
		{name: "an unknown kid", token: tenant.Token(KID("unheard-of")), decision: reachfive.CodeUnknownKey},
		{name: "HS256", token: tenant.Token(HS256()), decision: reachfive.CodeUnsupportedAlgorithm},
		{name: "unsigned", token: tenant.Token(Unsigned()), decision: reachfive.CodeMalformedToken},
		{name: "no subject", token: tenant.Token(WithoutClaim("sub")), decision: reachfive.CodeMissingClaim},
		{name: "from the future", token: tenant.Token(IssuedAt(time.Now().Add(time.Hour))), decision: reachfive.CodeNotYetValid},
		{name: "an old sign-in", token: tenant.Token(IssuedAt(time.Now().Add(-time.Hour))), operation: OperationStepUp, decision: reachfive.CodeReauthenticationRequired},
		{name: "a recent sign-in", token: tenant.Token(), operation: OperationStepUp, subject: subject},
	}
	for i := range cases {
		cases[i].call = call
	}

	down := NewTenant(tb)
	down.SetDown(true)
	cases = append(cases, transportCase{
		name: "provider down", call: serve(tb, down.Verifier()), token: down.Token(),
		decision: reachfive.CodeKeysUnavailable,
	})
	for i := range cases {
		cases[i].name = "tenant: " + cases[i].name
		if cases[i].operation == "" {
			cases[i].operation = OperationToken
		}
	}
	return cases
}
