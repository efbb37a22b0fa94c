package main

import (
	"context"
	"errors"

	"github.com/reachfive-community/reachfive"
)

// noUsableKey is Status.LastError after a fetch that brought a key set without a
// usable key.
const noUsableKey = "no usable key"

// keysCommand is `reachfive keys`.
type keysCommand struct {
	tenantFlags

	JSON bool `name:"json" help:"Print JSON."`
}

// Help implements kong's detailed help.
func (keysCommand) Help() string {
	return `Lists the tenant's keys that can verify a token, with their RFC 7638
thumbprints, and counts the keys that cannot.

Exit codes:
  0  there are usable keys
  1  the tenant publishes no usable key
  2  the keys cannot be fetched, or the command was called wrongly

Example:
  reachfive keys --domain acme.reach5.net`
}

// listedKeys is what --json prints.
type listedKeys struct {
	Issuer  string      `json:"issuer"`
	JWKSURL string      `json:"jwks_url"`
	Keys    []listedKey `json:"keys"`
	Skipped uint64      `json:"skipped"`
}

type listedKey struct {
	KID        string `json:"kid"`
	Bits       int    `json:"bits"`
	Thumbprint string `json:"thumbprint"`
}

// Run implements the command.
func (c *keysCommand) Run(ctx context.Context, env environment) error {
	if err := c.complete(env.lookup); err != nil {
		return err
	}
	v, err := reachfive.New(c.Domain, anyClient, c.options()...)
	if err != nil {
		return configurationError(err)
	}
	defer func() { _ = v.Close() }()
	err = v.Refresh(ctx)
	s := v.Status()
	if err != nil {
		return notListed(s, err)
	}
	if c.JSON {
		list := listedKeys{Issuer: s.Issuer, JWKSURL: s.JWKSURL, Keys: []listedKey{}, Skipped: s.SkippedKeys}
		for _, key := range s.Keys {
			list.Keys = append(list.Keys, listedKey{KID: key.ID, Bits: key.Bits, Thumbprint: key.Thumbprint})
		}
		return env.printJSON("", list)
	}
	env.printf("%-20s %5s  %s\n", "KID", "BITS", "THUMBPRINT (RFC 7638, SHA-256)")
	for _, key := range s.Keys {
		env.printf("%-20s %5d  %s\n", key.ID, key.Bits, key.Thumbprint)
	}
	if s.SkippedKeys > 0 {
		env.printf("Keys that are not usable: %d. reachfive doctor tells why.\n", s.SkippedKeys)
	}
	return nil
}

// notListed tells a key set without a usable key from one that was not fetched.
func notListed(s reachfive.Status, err error) error {
	switch s.LastError {
	case "":
		return err // the command was interrupted
	case noUsableKey:
		return failedError("the tenant publishes no usable key: reachfive doctor tells why")
	}
	return errors.New("the keys cannot be fetched from " + s.JWKSURL + ": " + s.LastError)
}
