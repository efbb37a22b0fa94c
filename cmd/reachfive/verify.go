package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive/internal/explain"
)

// The exit codes of verify. 1 is a verdict: whatever keeps verify from one, a
// file that cannot be read as much as a provider that is down, is 2.
const (
	exitAccepted  = 0
	exitRefused   = 1
	exitUndecided = 2
)

// verifyCommand is `reachfive verify`.
type verifyCommand struct {
	tenantFlags

	Token    string   `arg:"" optional:"" default:"-" help:"The ID token, or - to read it from standard input."`
	JWKSFile string   `name:"jwks-file" help:"Take the keys from this file instead of the tenant." placeholder:"FILE" type:"path"`
	At       timeFlag `help:"Verify as of this time: RFC 3339, or seconds since 1970." placeholder:"TIME"`
	JSON     bool     `name:"json" help:"Print JSON."`
}

// Help implements kong's detailed help.
func (verifyCommand) Help() string {
	return `Prints each step of the road that the token takes, what was expected there and
what came, and its claims: the values are the token's own, so use it on tokens of
your own. The verdict is the library's.

Exit codes: 0 accepted, 1 refused, 2 not decided: the keys cannot be had, a file
cannot be read, the command is called wrongly.

  reachfive verify --domain acme.reach5.net --client-id AtnY5xDg4f - < token.txt
  reachfive verify --domain acme.reach5.net --client-id AtnY5xDg4f --client-secret-file secret.txt "$TOKEN"
  reachfive verify --domain acme.reach5.net --client-id AtnY5xDg4f --jwks-file jwks.json --at 2026-01-31T12:00:00Z "$TOKEN"`
}

// Run implements the command.
func (c *verifyCommand) Run(ctx context.Context, env environment) error {
	v, want, err := c.verifier(env)
	if err != nil {
		return undecided{err}
	}
	defer func() { _ = v.Close() }()
	token, err := tokenFrom(c.Token, env.in)
	if err != nil {
		return undecided{err}
	}
	report := explain.Token(ctx, v, want, token)
	if c.JSON {
		if err := printJSON(env.out, report); err != nil {
			return err
		}
	} else {
		printReport(env, report)
	}
	switch {
	case report.Accepted:
		return nil
	case report.Decided:
		return exitCode(exitRefused)
	}
	return exitCode(exitUndecided)
}

// undecided is an error that has kept verify from a verdict.
type undecided struct{ error }

func (e undecided) Unwrap() error { return e.error }

func (c *verifyCommand) verifier(env environment) (*reachfive.Verifier, explain.Expectation, error) {
	if err := c.complete(env.lookup); err != nil {
		return nil, explain.Expectation{}, err
	}
	want := explain.Expectation{Audience: c.ClientID, Algorithm: "RS256", Now: time.Now()}
	opts := c.options()
	if !c.At.IsZero() {
		want.Now = c.At.Time
	}
	opts = append(opts, reachfive.WithClock(func() time.Time { return want.Now }))
	secret, err := c.secret(env.lookup)
	if err != nil {
		return nil, want, err
	}
	switch {
	case c.JWKSFile != "" && secret != "":
		return nil, want, usageError("keys from a file are for RS256, a client secret is for HS256: give one of them")
	case c.JWKSFile != "":
		client, err := fileClient(c.JWKSFile)
		if err != nil {
			return nil, want, err
		}
		opts = append(opts, reachfive.WithHTTPClient(client))
	case secret != "":
		want.Algorithm = "HS256"
		opts = append(opts, reachfive.WithClientSecret(secret))
	}
	v, err := reachfive.New(c.Domain, c.ClientID, opts...)
	if err != nil {
		return nil, want, configurationError(err)
	}
	want.Issuer = v.Status().Issuer
	return v, want, nil
}

func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

func printReport(env environment, r explain.Report) {
	for _, s := range r.Steps {
		line := fmt.Sprintf("%-12s %-10s", s.Outcome, s.Name)
		switch s.Outcome {
		case explain.OK:
			_, _ = fmt.Fprintln(env.out, env.good(line), s.Got)
		case explain.NotReached:
			_, _ = fmt.Fprintln(env.out, env.faint(line))
		default:
			_, _ = fmt.Fprintln(env.out, env.bad(line))
			_, _ = fmt.Fprintln(env.out, "             wanted", s.Want)
			if s.Got != "" {
				_, _ = fmt.Fprintln(env.out, "             got   ", s.Got)
			}
		}
	}
	_, _ = fmt.Fprintln(env.out)
	switch {
	case r.Accepted:
		_, _ = fmt.Fprintln(env.out, env.good("accepted")+", good for another "+r.ExpiresIn)
	case r.Decided:
		_, _ = fmt.Fprintln(env.out, env.bad("refused")+": "+r.Reason)
	default:
		_, _ = fmt.Fprintln(env.out, env.bad("could not be decided")+": "+r.Reason)
	}
	for _, part := range []struct {
		name string
		text json.RawMessage
	}{{"header", r.Header}, {"claims", r.Claims}} {
		if part.text == nil {
			continue
		}
		var indented strings.Builder
		encoder := json.NewEncoder(&indented)
		encoder.SetIndent("  ", "  ")
		encoder.SetEscapeHTML(false)
		if encoder.Encode(part.text) == nil {
			_, _ = fmt.Fprintf(env.out, "\n%s, as the token says them:\n  %s", part.name, indented.String())
		}
	}
}
