package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

// transcript prints a line for each answer, and counts those that were not the
// expected ones.
type transcript struct {
	out        io.Writer
	answers    int
	unexpected int
}

func (t *transcript) title(heading string, facts ...string) {
	fmt.Fprintf(t.out, "%s\n%s\n", heading, strings.Repeat("=", len(heading)))
	for _, fact := range facts {
		fmt.Fprintf(t.out, "  %s\n", fact)
	}
}

func (t *transcript) section(heading string) { fmt.Fprintf(t.out, "\n%s\n", heading) }

// answer prints what was sent and what came back.
func (t *transcript) answer(sent string, status int, text string, want int, wantText string) {
	t.answers++
	mark := "ok"
	if status != want || !strings.Contains(text, wantText) {
		t.unexpected++
		mark = "!!"
	}
	fmt.Fprintf(t.out, "  %-2s  %-52s  %d  %s\n", mark, sent, status, text)
	if mark == "!!" {
		fmt.Fprintf(t.out, "      %-52s  %d  %s\n", "UNEXPECTED; the expected answer is", want, wantText)
	}
}

func (t *transcript) verdict() error {
	if t.unexpected > 0 {
		return fmt.Errorf("%d of %d answers were not the expected ones", t.unexpected, t.answers)
	}
	fmt.Fprintf(t.out, "\nAll %d answers were the expected ones.\n", t.answers)
	return nil
}

// scenes are the requests of the demonstration.
type scenes struct {
	ctx        context.Context //nolint:containedctx // the demonstration is one call
	transcript *transcript
	tenant     *reachfivetest.Tenant
	gateway    *served
	front      string
}

// ask makes a request through the proxy. Fields are name and value in turn.
func (s *scenes) ask(sent, path, token string, want int, wantText string, fields ...string) error {
	r, err := http.NewRequestWithContext(s.ctx, http.MethodGet, s.front+path, http.NoBody)
	if err != nil {
		return err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	text := strings.TrimSpace(string(body))
	if response.StatusCode != http.StatusOK {
		text = reason(response)
	}
	s.transcript.answer(sent, response.StatusCode, text, want, wantText)
	return nil
}

// reason is what a client can read from a refusal whatever the proxy.
func reason(response *http.Response) string {
	if challenge := response.Header.Get("WWW-Authenticate"); challenge != "" {
		if _, description, found := strings.Cut(challenge, `error_description="`); found {
			description, _, _ = strings.Cut(description, `"`)
			return description
		}
		return challenge
	}
	if after := response.Header.Get("Retry-After"); after != "" {
		return "Retry-After: " + after
	}
	return http.StatusText(response.StatusCode)
}

func (s *scenes) play() error {
	good := func(mods ...reachfivetest.Mod) string {
		return s.tenant.Token(append([]reachfivetest.Mod{
			reachfivetest.Claim("name", "John Doe"), reachfivetest.Claim("email", "john.doe@example.com"), reachfivetest.Claim("email_verified", true),
		}, mods...)...)
	}
	steps := []func() error{
		func() error { s.transcript.section("Signed-in users only: /api/, policy api"); return nil },
		func() error { return s.ask("no token", "/api/me", "", 401, "Bearer realm=") },
		func() error {
			return s.ask("a good token", "/api/me", good(), 200, "hello John Doe <john.doe@example.com>")
		},
		func() error {
			return s.ask("an expired token", "/api/me", s.tenant.Token(reachfivetest.Expired()), 401, "expired")
		},
		func() error {
			return s.ask("a token for another client", "/api/me", s.tenant.Token(reachfivetest.OtherAudience()), 401, "wrong_audience")
		},
		func() error {
			return s.ask("a token that was tampered with", "/api/me", s.tenant.Token(reachfivetest.Tampered()), 401, "invalid_signature")
		},
		func() error {
			return s.ask("X-Reachfive-Subject: admin, and no token", "/api/me", "", 401, "Bearer realm=", "X-Reachfive-Subject", "admin", "X-Reachfive-Decision", "allow")
		},

		func() error { s.transcript.section("Visitors too: /, policy site"); return nil },
		func() error { return s.ask("no token", "/", "", 200, "hello visitor") },
		func() error { return s.ask("a good token", "/", good(), 200, "hello John Doe") },
		func() error {
			return s.ask("X-Reachfive-Subject: admin, and no token", "/", "", 200, "hello visitor", "X-Reachfive-Subject", "admin")
		},
		func() error {
			return s.ask("an expired token", "/", s.tenant.Token(reachfivetest.Expired()), 401, "expired")
		},

		func() error {
			s.transcript.section("A sign-in of the last five minutes: /payout/, policy payout")
			return nil
		},
		func() error { return s.ask("signed in just now", "/payout/1", good(), 200, "hello John Doe") },
		func() error {
			return s.ask("signed in an hour ago", "/payout/1", good(reachfivetest.IssuedAt(time.Now().Add(-time.Hour))), 401, "reauthentication_required")
		},

		func() error {
			s.transcript.section("The provider changes its key, and goes down")
			s.tenant.Rotate()
			return nil
		},
		func() error { return s.ask("a token of the new key", "/api/me", good(), 200, "hello John Doe") },
		func() error { s.tenant.SetDown(true); return nil },
		func() error {
			return s.ask("a good token, the provider is down", "/api/me", good(), 200, "hello John Doe")
		},
		func() error {
			return s.ask("a key that nobody could look up", "/api/me", s.tenant.Token(reachfivetest.KID("unheard-of")), 503, "Retry-After: ")
		},

		func() error { s.transcript.section("No gateway answers"); s.gateway.stop(); return nil },
		func() error { return s.ask("a good token", "/api/me", good(), 503, "Retry-After: ") },
		func() error {
			return s.ask("no token, on a path without a policy", "/public/x", "", 200, "hello everybody")
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
