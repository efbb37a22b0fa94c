package main

import (
	"context"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/demo"
)

// demoCommand is `reachfive-gateway demo`.
type demoCommand struct{}

// Run implements the command.
func (demoCommand) Run(ctx context.Context, env environment) error {
	return demo.Run(ctx, env.out, demo.LookPath)
}
