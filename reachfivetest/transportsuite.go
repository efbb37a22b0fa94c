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

// Operation is one of the four things that a server under RunTransportSuite
// serves. Each answers an accepted call with the subject of the user whom it
// finds in the context, and with "" where there is none.
type Operation string

const (
	// OperationToken needs a token.
	OperationToken Operation = "token"
	// OperationOptional takes a call without a token too.
	OperationOptional Operation = "optional"
	// OperationPublic asks for no token and reads none.
	OperationPublic Operation = "public"
	// OperationStepUp needs a token that passes reachfive.MaxAge(StepUpMaxAge).
	OperationStepUp Operation = "step-up"
)

// StepUpMaxAge is how recent a sign-in OperationStepUp asks for.
const StepUpMaxAge = 5 * time.Minute

// Outcome is what came of one call.
type Outcome struct {
	// Status is what a real client of the transport saw, in the transport's
	// own words: "200", "Unauthenticated".
	Status string
	// Reason is what the server decided, as its error hook heard it; "" for an
	// accepted call and for an error without a Code.
	Reason reachfive.Code
	// Subject is what the operation answered.
	Subject string
}

// TransportCall makes one call to the server under test, over the wire, with
// the Bearer token, and without credentials where token is "". It gives up when
// ctx ends. Calls come one at a time.
type TransportCall func(ctx context.Context, token string, operation Operation) Outcome

// RunTransportSuite holds a transport to the decisions of package reachfive:
// every Code that a token can be refused with, tokens of a real tenant, a
// provider that is down, a caller who goes away, and tokens that are optional,
// not wanted or too old for a step-up. It is what the adapters of this project
// pass, and meant for those that others write.
//
// serve starts a server of all four operations behind v, to be ended with tb,
// and returns what calls it. It is called for several verifiers.
//
// status says which Status belongs to a decision: nil for an accepted call, an
// error whose reachfive.CodeOf is the Code of a refusal, context.Canceled for a
// caller who went away, context.DeadlineExceeded for one who ran out of time,
// and an error without a Code for a verifier that failed.
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

// transportCase is one call and what must come of it.
type transportCase struct {
	name      string
	call      TransportCall
	token     string
	operation Operation
	decision  error
	subject   string

	script   *scriptedVerifier // nil behind a real Verifier
	asked    bool              // whether the script must have been asked
	goesAway bool              // whether the caller goes once it has been asked
}

// problems makes the call and lists what is wrong with its outcome.
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

	// A server decides after such a caller has its status, if ever: no Reason.
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

// Tokens that the script knows. Every other is the Code that it is refused with.
const (
	scriptFresh    = "fresh"
	scriptStale    = "stale"
	scriptNobody   = "nobody"
	scriptFailure  = "failure"
	scriptDeadline = "deadline"
	scriptWait     = "wait"

	scriptSubject = "AVqvOB58Fg6nZfQ0ZqXt"
)

// errScript is what a verifier returns that failed in a way of its own.
var errScript = errors.New("reachfivetest: the verifier failed")

// scriptedVerifier decides by the token's text, so that every Code can be had.
type scriptedVerifier struct{ hooks atomic.Pointer[scriptHooks] }

// scriptHooks are those of the case that runs: closed when the verifier is
// asked, and when a verification that waits for its context has ended.
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
		return nil, nil //nolint:nilnil // the mistake that a transport must not take for a user
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
