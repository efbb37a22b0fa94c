package main

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive/internal/explain"
)

// verifyCommand is `reachfive verify`.
type verifyCommand struct {
	clientFlags

	Token     string   `arg:"" optional:"" help:"The ID token, or - for standard input, which is the default. Other users of the machine can see an argument: prefer standard input or --token-file."`
	TokenFile string   `help:"Read the token from this file." placeholder:"FILE" type:"path"`
	JWKSFile  string   `name:"jwks-file" help:"Take the keys from this file instead of the tenant." placeholder:"FILE" type:"path"`
	At        timeFlag `help:"Verify as of this time: RFC 3339, or seconds since 1970." placeholder:"TIME"`
	JSON      bool     `name:"json" help:"Print JSON."`
}

// Help implements kong's detailed help.
func (verifyCommand) Help() string {
	return `Verifies a token, and prints each step with the expected and the actual value,
then the token's header and claims. These are the token's own values: use it with
tokens of your own. "Bearer " before the token, or the whole Authorization header,
is understood.

Exit codes:
  0  the token is accepted
  1  the token is refused
  2  not decided: the keys cannot be fetched, a file cannot be read, or the
     command was called wrongly

Examples:
  reachfive verify --domain acme.reach5.net --client-id AtnY5xDg4f < token.txt
  reachfive verify --domain acme.reach5.net --client-id AtnY5xDg4f --client-secret-file secret.txt --token-file token.txt
  reachfive verify --domain acme.reach5.net --client-id AtnY5xDg4f --jwks-file jwks.json --at 2026-01-31T12:00:00Z < token.txt
  reachfive verify --domain login.example.com --issuer https://acme.reach5.net --client-id web --client-id ios < token.txt`
}

// Run implements the command.
func (c *verifyCommand) Run(ctx context.Context, env environment) error {
	if c.Token != "" && c.TokenFile != "" {
		return usageError("both a token and --token-file are given: give one of them")
	}
	v, want, err := c.verifier(env)
	if err != nil {
		return err
	}
	defer func() { _ = v.Close() }()
	token := bareToken(c.Token)
	if token == "" || token == "-" {
		if token, err = readToken(env, cmp.Or(c.TokenFile, "-")); err != nil {
			return err
		}
	}
	if token == "" {
		return usageError("there is no token on standard input, nor in --token-file or an argument")
	}
	report := explain.Token(ctx, v, want, token)
	if c.JSON {
		err = env.printJSON("", report)
	} else {
		err = printReport(env, report)
	}
	switch {
	case err != nil:
		return err
	case report.Accepted:
		return nil
	case report.Decided:
		return answeredNo{}
	}
	return undecided{}
}

func (c *verifyCommand) verifier(env environment) (*reachfive.Verifier, explain.Expectation, error) {
	want := explain.Expectation{Now: time.Now()}
	if err := c.complete(env.lookup); err != nil {
		return nil, want, err
	}
	if !c.At.IsZero() {
		want.Now = c.At.Time
	}
	secret, err := c.secret(env.lookup)
	if err != nil {
		return nil, want, err
	}
	if c.JWKSFile != "" && secret != "" {
		return nil, want, usageError("--jwks-file is for RS256, a client secret is for HS256: give one of them")
	}
	opts := append(c.options(secret), reachfive.WithClock(func() time.Time { return want.Now }))
	if c.JWKSFile != "" {
		document, err := os.ReadFile(c.JWKSFile)
		if err != nil {
			return nil, want, err
		}
		opts = append(opts, reachfive.WithJWKS(document))
	}
	v, err := reachfive.New(c.Domain, c.ClientID[0], opts...)
	if err != nil {
		return nil, want, configurationError(err)
	}
	want.Issuer, want.Algorithm, want.Audiences = v.Status().Issuer, v.Status().Algorithm, c.ClientID
	return v, want, nil
}

func printReport(env environment, r explain.Report) error {
	for _, s := range r.Steps {
		line := padded(string(s.Outcome), 12) + s.Name
		switch s.Outcome {
		case explain.OK:
			if s.Actual == "" {
				env.printf("%s\n", env.good(line))
			} else {
				env.printf("%s %s\n", env.good(padded(line, 22)), s.Actual)
			}
		case explain.NotReached:
			env.printf("%s\n", env.faint(line))
		default:
			env.printf("%s\n", env.bad(line))
			env.printf("            expected  %s\n", s.Expected)
			if s.Actual != "" {
				env.printf("            actual    %s\n", s.Actual)
			}
		}
	}
	switch {
	case r.Accepted:
		env.printf("\n%s, expires in %s\n", env.good("accepted"), r.ExpiresIn)
	case r.Decided:
		env.printf("\n%s: %s\n", env.bad("refused"), r.Reason)
	default:
		env.printf("\n%s: %s\n", env.bad("not decided"), r.Reason)
	}
	for _, part := range []struct {
		name string
		text json.RawMessage
	}{{"header", r.Header}, {"claims", r.Claims}} {
		if part.text == nil {
			continue
		}
		env.printf("\nThe token's %s:\n", part.name)
		if err := env.printJSON("  ", part.text); err != nil {
			return err
		}
	}
	return nil
}

// padded fills text up with spaces.
func padded(text string, width int) string {
	for len(text) < width {
		text += " "
	}
	return text
}
