package main

import (
	"context"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/demo"
)

// demoCommand is `reachfive-gateway demo`.
type demoCommand struct {
	Trial string `placeholder:"DIR" help:"Instead, start a tenant and a backend on 127.0.0.1:8080, write a configuration of the gateway, one of nginx and a token for them into DIR, which must not exist, and stay up until Ctrl-C. For a trial by hand."`
}

// Run implements the command.
func (c demoCommand) Run(ctx context.Context, env environment) error {
	if c.Trial != "" {
		return demo.Trial{Dir: c.Trial, Backend: "127.0.0.1:8080", Proxy: "127.0.0.1:8000"}.Run(ctx, env.out)
	}
	return demo.Run(ctx, env.out, demo.LookPath)
}
