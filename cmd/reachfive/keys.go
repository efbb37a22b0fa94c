package main

import (
	"context"
	"fmt"

	"github.com/reachfive-community/reachfive"
)

// keysCommand is `reachfive keys`.
type keysCommand struct {
	tenantFlags

	JSON bool `name:"json" help:"Print JSON."`
}

// Help implements kong's detailed help.
func (keysCommand) Help() string {
	return `Lists the tenant's keys that can verify a token, with their RFC 7638
thumbprints, and counts those that cannot.

  reachfive keys --domain acme.reach5.net --client-id AtnY5xDg4f`
}

// Run implements the command.
func (c *keysCommand) Run(ctx context.Context, env environment) error {
	if err := c.complete(env.lookup); err != nil {
		return err
	}
	v, err := reachfive.New(c.Domain, c.ClientID, c.options()...)
	if err != nil {
		return configurationError(err)
	}
	defer func() { _ = v.Close() }()
	if err := v.Refresh(ctx); err != nil {
		return err
	}
	s := v.Status()
	if c.JSON {
		return printJSON(env.out, s.Keys)
	}
	_, _ = fmt.Fprintf(env.out, "%-20s %5s  %s\n", "KID", "BITS", "THUMBPRINT (RFC 7638, SHA-256)")
	for _, key := range s.Keys {
		_, _ = fmt.Fprintf(env.out, "%-20s %5d  %s\n", key.ID, key.Bits, key.Thumbprint)
	}
	if s.SkippedKeys > 0 {
		_, _ = fmt.Fprintf(env.out, "%d more are not usable: reachfive doctor says why\n", s.SkippedKeys)
	}
	return nil
}
