package reachfivetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reachfive-community/reachfive"
)

// Operation is one of the four operations of a server that RunTransportSuite
// tests. Each answers an accepted call with the subject of the user in the
// context, or with "" if there is none.
type Operation string

const (
	// OperationToken requires a token.
	OperationToken Operation = "token"
	// OperationOptional also accepts a call without a token.
	OperationOptional Operation = "optional"
	// OperationPublic requires no token and reads none.
	OperationPublic Operation = "public"
	// OperationStepUp requires a token that passes reachfive.MaxAge(StepUpMaxAge).
	OperationStepUp Operation = "step-up"
)

// StepUpMaxAge is the oldest sign-in that OperationStepUp accepts.
const StepUpMaxAge = 5 * time.Minute

// Outcome is the result of one call.
type Outcome struct {
	// Status is what a real client of the transport saw, as the transport
	// writes it: "200", "Unauthenticated".
	Status string
	// Reason is the server's decision, as reported to its error hook; "" for an
	// accepted call and for an error without a Code.
	Reason reachfive.Code
	// Subject is the answer of the operation.
	Subject string
}

// TransportCall makes one call to the server under test, over the network, with
// the Bearer token, or without credentials if token is "". It returns when ctx
// ends. The suite makes one call at a time.
type TransportCall func(ctx context.Context, token string, operation Operation) Outcome

// RunTransportSuite tests that an adapter for a transport answers as package
// reachfive decides: with every Code for which a token can be refused, tokens of
// a tenant, a provider that is down, a caller that goes away, and tokens that
// are optional, not needed or too old for a step-up. The adapters of this
// project pass it; it is meant for those that others write.
//
// serve starts a server of all four operations with v, ends it with tb, and
// returns a function that calls it. The suite calls serve for several verifiers.
//
// status returns the Status for a decision: nil for an accepted call, an error
// whose reachfive.CodeOf is the Code of a refusal, context.Canceled for a caller
// that went away, context.DeadlineExceeded for one that ran out of time, and an
// error without a Code for a verifier that failed.
func RunTransportSuite(t *testing.T, serve func(tb testing.TB, v reachfive.TokenVerifier) TransportCall, status func(decision error) string) {
	t.Helper()
	for _, c := range transportCases(t, serve) {
		t.Run(c.name, func(t *testing.T) {
			for _, problem := range c.problems(t.Context(), status) {
				t.Error(problem)
			}
		})
	}
}

// transportCallLimit ends a call of a server that never answers.
const transportCallLimit = 20 * time.Second

// transportCase is one call and its expected outcome.
type transportCase struct {
	name      string
	call      TransportCall
	token     string
	operation Operation
	decision  error
	subject   string

	script   *scriptedVerifier // nil behind a real Verifier
	asked    bool              // whether the script must have been called
	goesAway bool              // whether the caller goes away after that
}

// problems makes the call and returns everything that is wrong with its outcome.
func (c transportCase) problems(ctx context.Context, status func(error) string) (problems []string) {
	ctx, cancel := context.WithTimeout(ctx, transportCallLimit)
	defer cancel()
	asked := make(chan struct{})
	left := make(chan struct{})
	if c.script != nil {
		c.script.hooks.Store(&scriptHooks{asked: asked, left: left})
	}
	if c.goesAway {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		go func(ctx context.Context) {
			select {
			case <-asked:
				stop()
			case <-ctx.Done():
			}
		}(ctx)
	}

	got := c.call(ctx, c.token, c.operation)

	// If the caller goes away, the server may decide later or never: its Reason is
	// not compared.
	want := Outcome{Status: status(c.decision), Reason: reachfive.CodeOf(c.decision), Subject: c.subject}
	if got.Status != want.Status {
		problems = append(problems, fmt.Sprintf("the client saw status %q, want %q", got.Status, want.Status))
	}
	if got.Reason != want.Reason && !c.goesAway {
		problems = append(problems, fmt.Sprintf("the server decided %q, want %q", got.Reason, want.Reason))
	}
	if got.Subject != want.Subject {
		problems = append(problems, fmt.Sprintf("the handler saw subject %q, want %q", got.Subject, want.Subject))
	}
	if c.script == nil {
		return problems
	}
	switch wasAsked := isClosed(asked); {
	case wasAsked != c.asked:
		problems = append(problems, fmt.Sprintf("the verifier was asked: %t, want %t", wasAsked, c.asked))
	case c.goesAway:
		select {
		case <-left:
		case <-time.After(transportCallLimit):
			problems = append(problems, "the verifier's context did not end with the caller's")
		}
	}
	return problems
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// The tokens of the script. Every other token is the Code of its own refusal.
const (
	scriptFresh    = "fresh"
	scriptStale    = "stale"
	scriptNobody   = "nobody"
	scriptFailure  = "failure"
	scriptDeadline = "deadline"
	scriptWait     = "wait"

	scriptSubject = "AVqvOB58Fg6nZfQ0ZqXt"
)

// errScript is the error of a verifier that fails without a Code.
var errScript = errors.New("reachfivetest: the verifier failed")

// scriptedVerifier decides by the token's text, so that it can return every Code.
type scriptedVerifier struct{ hooks atomic.Pointer[scriptHooks] }

// scriptHooks belong to the running case: asked is closed when the verifier is
// called, left when a verification that waits for its context has ended.
type scriptHooks struct{ asked, left chan struct{} }

func (v *scriptedVerifier) Verify(ctx context.Context, token string, checks ...reachfive.Check) (*reachfive.User, error) {
	hooks := v.hooks.Load()
	if !isClosed(hooks.asked) {
		close(hooks.asked)
	}
	now := time.Now()
	user := &reachfive.User{Subject: scriptSubject, AuthTime: now, IssuedAt: now, ExpiresAt: now.Add(time.Hour)}
	switch token {
	case scriptNobody:
		return nil, nil //nolint:nilnil // a transport must not accept this mistake
	case scriptFailure:
		return nil, errScript
	case scriptDeadline:
		return nil, context.DeadlineExceeded
	case scriptWait:
		<-ctx.Done()
		close(hooks.left)
		return nil, ctx.Err()
	case scriptStale:
		user.AuthTime = now.Add(-time.Hour)
	case scriptFresh:
	default:
		return nil, &reachfive.Error{Code: reachfive.Code(token)}
	}
	for _, check := range checks {
		if err := check(ctx, user); err != nil {
			return nil, err
		}
	}
	return user, nil
}
