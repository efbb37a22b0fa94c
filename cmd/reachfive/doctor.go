package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/reachfive-community/reachfive/cmd/reachfive/internal/doctor"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// doctorCommand is `reachfive doctor`.
type doctorCommand struct {
	tenantFlags

	Demo  bool   `help:"Examine an embedded tenant."`
	Fault string `help:"What is wrong with the embedded tenant: ${enum}." enum:"none,down,weak-key,clock,certificate" default:"none"`
	Token string `help:"A token of the client, or - to read it from standard input: tells its algorithm." placeholder:"TOKEN"`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Help implements kong's detailed help.
func (doctorCommand) Help() string {
	return `Examines a tenant from this machine: discovery, issuer, keys, cache headers,
certificate, clock.

The exit code is that of the worst finding: 0 ok, 1 warning, 2 failure.

  reachfive doctor --domain acme.reach5.net --client-id AtnY5xDg4f
  reachfive doctor --demo --fault weak-key`
}

// Run implements the command.
func (c *doctorCommand) Run(ctx context.Context, env environment) error {
	if c.Demo {
		tenant, err := c.embedded()
		if err != nil {
			return err
		}
		defer func() { _ = tenant.Close() }()
		c.Domain, c.ClientID, c.client = tenant.Domain, tenant.ClientID, tenant.Client()
	}
	if err := c.complete(env.lookup); err != nil {
		return err
	}
	token, err := tokenFrom(c.Token, env.in)
	if err != nil {
		return err
	}
	if c.client == nil {
		c.client = &http.Client{Timeout: 10 * time.Second}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	findings, worst := doctor.Examine(ctx, doctor.Patient{
		Domain: c.Domain, ClientID: c.ClientID, Token: token, Client: c.client,
	})
	if c.JSON {
		if err := printJSON(env.out, findings); err != nil {
			return err
		}
	} else {
		printFindings(env, findings)
	}
	if worst == doctor.OK {
		return nil
	}
	return exitCode(worst)
}

// embedded starts a tenant with the chosen fault.
func (c *doctorCommand) embedded() (*reachfivetest.Tenant, error) {
	var opts []reachfivetest.Option
	switch c.Fault {
	case "weak-key":
		opts = append(opts, reachfivetest.WithKeyBits(1024))
	case "clock":
		opts = append(opts, reachfivetest.WithClock(func() time.Time { return time.Now().Add(2 * time.Minute) }))
	case "certificate":
		opts = append(opts, reachfivetest.WithCertificateUntil(time.Now().Add(-time.Hour)))
	}
	tenant, err := reachfivetest.Start(opts...)
	if err == nil && c.Fault == "down" {
		tenant.SetDown(true)
	}
	return tenant, err
}

func printFindings(env environment, findings []doctor.Finding) {
	width := 0
	for _, f := range findings {
		width = max(width, len(f.Check))
	}
	for _, f := range findings {
		line := fmt.Sprintf("%-8s %-*s", f.Level, width, f.Check)
		switch f.Level {
		case doctor.OK:
			line = env.good(line)
		default:
			line = env.bad(line)
		}
		_, _ = fmt.Fprintln(env.out, line, "", f.Text)
	}
}
