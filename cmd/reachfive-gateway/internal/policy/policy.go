// Package policy decides requests by named policies.
package policy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/header"
	"github.com/reachfive-community/reachfive/internal/bearer"
)

// Settings make a Policy.
type Settings struct {
	Name     string
	Verifier reachfive.TokenVerifier
	Checks   []reachfive.Check
	Optional bool
	Headers  *header.Set
}

// Policy answers a proxy's question about a request: 200 with the identity
// headers, or the refusal that reachfive.Middleware makes. It is safe for
// concurrent use.
type Policy struct {
	name    string
	handler http.Handler
}

// The reasons of decisions that have no Code.
const (
	Accepted         reachfive.Code = "accepted"
	Anonymous        reachfive.Code = "anonymous"
	Canceled         reachfive.Code = "canceled"
	DeadlineExceeded reachfive.Code = "deadline_exceeded"
	Failed           reachfive.Code = "error"
)

// Outcome is what a decision came to.
type Outcome struct {
	Reason  reachfive.Code
	Omitted int // identity headers that were left empty for lack of room
	Took    time.Duration
}

// New makes a policy.
func New(s Settings) *Policy {
	options := []reachfive.MiddlewareOption{
		reachfive.TokenFrom(reachfive.FromFunc(func(r *http.Request) (string, error) {
			token, err := credentials(r.Header["Authorization"])
			switch {
			case err != nil:
				err = reachfive.CodeInvalidRequest
			case token == "" && !s.Optional:
				err = reachfive.CodeMissingToken
			}
			outcomeOf(r.Context()).Reason = reachfive.CodeOf(err)
			return token, err
		})),
		reachfive.ChecksFor(func(*http.Request) ([]reachfive.Check, error) { return s.Checks, nil }),
	}
	if s.Optional {
		options = append(options, reachfive.Optional())
	}
	allow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		outcome := outcomeOf(r.Context())
		user, _ := reachfive.UserFromContext(r.Context())
		outcome.Reason = Accepted
		if user == nil {
			outcome.Reason = Anonymous
		}
		h := w.Header()
		outcome.Omitted = s.Headers.Write(h, user)
		h["Cache-Control"] = []string{"no-store"}
		w.WriteHeader(http.StatusOK)
	})
	return &Policy{name: s.Name, handler: reachfive.Middleware(recording{s.Verifier}, options...)(allow)}
}

// Name is the name under which proxies ask for the policy.
func (p *Policy) Name() string { return p.name }

// Answer writes the answer to w. Of r it reads the method, the Authorization
// header and the context alone.
func (p *Policy) Answer(w http.ResponseWriter, r *http.Request) Outcome {
	start := time.Now()
	outcome := new(Outcome)
	p.handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), outcomeKey{}, outcome)))
	outcome.Took = time.Since(start)
	return *outcome
}

type outcomeKey struct{}

func outcomeOf(ctx context.Context) *Outcome {
	outcome, _ := ctx.Value(outcomeKey{}).(*Outcome) // Answer has put it there
	return outcome
}

// credentials reads the Bearer token. It also refuses a field in which a proxy
// has joined several: behind another scheme's credentials, a Bearer token would
// make the request anonymous to the gateway and signed in to a backend.
func credentials(values []string) (string, error) {
	token, err := bearer.Token(values)
	if err != nil || token != "" || len(values) == 0 {
		return token, err
	}
	for part := range strings.SplitSeq(values[0], ",") {
		scheme, _, _ := strings.Cut(strings.TrimLeft(part, " \t"), " ")
		if strings.EqualFold(scheme, "Bearer") {
			return "", errors.New("several credentials in one Authorization header")
		}
	}
	return "", nil
}

// recording notes why the verifier refused.
type recording struct{ verifier reachfive.TokenVerifier }

// Verify implements reachfive.TokenVerifier.
func (v recording) Verify(ctx context.Context, idToken string, checks ...reachfive.Check) (*reachfive.User, error) {
	user, err := v.verifier.Verify(ctx, idToken, checks...)
	outcome := outcomeOf(ctx)
	outcome.Reason = reachfive.CodeOf(err)
	switch {
	case err == nil && user != nil, outcome.Reason != "":
	case errors.Is(err, context.Canceled):
		outcome.Reason = Canceled
	case errors.Is(err, context.DeadlineExceeded):
		outcome.Reason = DeadlineExceeded
	default:
		outcome.Reason = Failed
	}
	return user, err
}
