package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/reachfive-community/reachfive/reachfiveredis"
)

// signOutWithin bounds the command: Redis answers at once or not at all.
const signOutWithin = 10 * time.Second

// signOutCommand is `reachfive-gateway sign-out`.
type signOutCommand struct {
	configFlag

	Init     bool      `help:"Prepare a new Redis, once; without it no gateway decides. After a loss of data, sign everyone out." xor:"what"`
	List     bool      `help:"List the sign-outs, the newest first." xor:"what"`
	Lift     string    `help:"Take back the sign-out of this ID." placeholder:"ID" xor:"what"`
	Subject  string    `help:"Sign this user out: the token's sub." placeholder:"SUB" xor:"what"`
	Everyone bool      `help:"Sign all users of the tenant out." xor:"what"`
	Tenant   string    `help:"The user's tenant, as the configuration names it; not needed if there is one." placeholder:"NAME"`
	Before   time.Time `help:"Refuse sign-ins up to this time, such as 2026-01-31T12:00:00Z; now without it." placeholder:"TIME"`
	Actor    string    `help:"Who asks for it, for the audit line: an ID, no e-mail address." placeholder:"ID"`
}

// usageError is a mistake of whoever called the command.
type usageError string

func (e usageError) Error() string { return string(e) }

// Run implements the command.
func (c *signOutCommand) Run(ctx context.Context, env environment) error {
	log := slog.New(slog.NewJSONHandler(env.err, nil))
	l, err := c.load(env.lookup, log)
	if err != nil {
		return err
	}
	defer func() { _ = l.close() }()
	if l.fleet == nil {
		return usageError("the configuration has no redis, and so no sign-outs")
	}
	ctx, cancel := context.WithTimeout(ctx, signOutWithin)
	defer cancel()
	if c.Actor != "" {
		ctx = reachfiveredis.WithActor(ctx, c.Actor)
	}
	signOuts := l.fleet.SignOuts()
	switch {
	case c.Init:
		return signOuts.Init(ctx)
	case c.List:
		return c.list(ctx, env, signOuts)
	case c.Lift != "":
		return signOuts.Lift(ctx, c.Lift)
	case c.Subject == "" && !c.Everyone:
		return usageError("one of --subject, --everyone, --list, --lift and --init is needed")
	}
	issuer, err := c.issuer(l)
	if err != nil {
		return err
	}
	id, err := signOuts.SignOut(ctx, reachfiveredis.SignOut{Issuer: issuer, Subject: c.Subject, Everyone: c.Everyone, Before: c.Before})
	if err != nil {
		return err
	}
	fmt.Fprintln(env.out, id)
	return nil
}

// issuer is that of the tenant that is meant.
func (c *signOutCommand) issuer(l *loaded) (string, error) {
	verifiers := l.policies.Verifiers()
	if c.Tenant == "" {
		if issuers := l.issuers(); len(issuers) == 1 {
			return issuers[0], nil
		}
		return "", usageError("there are several tenants; name one with --tenant")
	}
	v, known := verifiers[c.Tenant]
	if !known {
		return "", usageError("the configuration has no tenant of this name")
	}
	return v.Status().Issuer, nil
}

// list prints a line for each entry. The store does not know subjects.
func (c *signOutCommand) list(ctx context.Context, env environment, signOuts *reachfiveredis.SignOuts) error {
	for entry, err := range signOuts.List(ctx) {
		if err != nil {
			return err
		}
		kind := "user"
		if entry.Everyone {
			kind = "everyone"
		}
		if entry.Lifted {
			kind += ", lifted"
		}
		fmt.Fprintf(env.out, "%s  %s  before %s  %s  %s\n", entry.ID, entry.At.UTC().Format(time.RFC3339), entry.Before.UTC().Format(time.RFC3339), kind, entry.Issuer)
	}
	return nil
}
