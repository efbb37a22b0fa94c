package main

import (
	"context"
	"net/http"
	"time"

	"github.com/reachfive-community/reachfive/cmd/reachfive/internal/doctor"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// doctorCommand is `reachfive doctor`.
type doctorCommand struct {
	tenantFlags

	Demo      bool   `help:"Examine an embedded tenant."`
	Fault     string `help:"What is wrong with the embedded tenant: ${enum}." enum:"none,down,weak-key,clock,certificate" default:"none"`
	TokenFile string `help:"Read one of the client's tokens from this file, or from standard input if it is -, and tell which algorithm it needs." placeholder:"FILE"`
	JSON      bool   `name:"json" help:"Print JSON."`
}

// Help implements kong's detailed help.
func (doctorCommand) Help() string {
	return `Examines a tenant from this machine: discovery, issuer, keys, cache headers,
certificate and clock.

Exit codes:
  0  everything is in order
  1  something is not in order: a warning or a failure
  2  the keys cannot be fetched, a file cannot be read, or the command was called
     wrongly

Examples:
  reachfive doctor --domain acme.reach5.net
  reachfive doctor --domain login.example.com --issuer https://acme.reach5.net
  reachfive doctor --demo --fault weak-key`
}

// Run implements the command.
func (c *doctorCommand) Run(ctx context.Context, env environment) error {
	if c.Fault != "none" && !c.Demo {
		return usageError("--fault is for the embedded tenant: add --demo")
	}
	if c.Demo {
		tenant, err := c.embedded()
		if err != nil {
			return err
		}
		defer func() { _ = tenant.Close() }()
		c.Domain, c.client = tenant.Domain, tenant.Client()
	}
	if err := c.complete(env.lookup); err != nil {
		return err
	}
	patient := doctor.Patient{Domain: c.Domain, Issuer: c.Issuer, JWKSURL: c.JWKSURL, Client: c.client}
	if c.TokenFile != "" {
		var err error
		if patient.Token, err = readToken(env, c.TokenFile); err != nil {
			return err
		}
	}
	if patient.Client == nil {
		patient.Client = &http.Client{Timeout: 10 * time.Second}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	report, err := doctor.Examine(ctx, patient)
	if err != nil {
		return configurationError(err)
	}
	if c.JSON {
		err = env.printJSON("", report.Findings)
	} else {
		printFindings(env, report.Findings)
	}
	switch {
	case err != nil:
		return err
	case !report.Fetched:
		return undecided{}
	case report.Worst > doctor.OK:
		return answeredNo{}
	}
	return nil
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
		width = max(width, len(printable(f.Check)))
	}
	for _, f := range findings {
		line := padded(f.Level.String(), 9) + padded(printable(f.Check), width)
		if f.Level == doctor.OK {
			env.printf("%s  %s\n", env.good(line), f.Text)
		} else {
			env.printf("%s  %s\n", env.bad(line), f.Text)
		}
	}
}
