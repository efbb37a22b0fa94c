package main

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
)

// checkConfigCommand is `reachfive-gateway check-config`.
type checkConfigCommand struct {
	configFlag
}

// Run implements the command. It opens no listener and uses no network.
func (c *checkConfigCommand) Run(env environment) error {
	l, err := c.load(env.lookup, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	fmt.Fprintf(env.out, "%s: ok; policies: %s\n", c.Config, strings.Join(l.policies.Names(), ", "))
	return l.close()
}

// versionCommand is `reachfive-gateway version`.
type versionCommand struct{}

// Run implements the command.
func (versionCommand) Run(env environment) error {
	version := "unknown"
	if build, ok := debug.ReadBuildInfo(); ok {
		version = build.Main.Version + " " + build.GoVersion
	}
	fmt.Fprintln(env.out, "reachfive-gateway", version)
	return nil
}
