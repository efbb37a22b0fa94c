// Command reachfive-gateway verifies ReachFive ID tokens for proxies: nginx,
// Caddy, Traefik and HAProxy ask it over HTTP, Envoy and Istio over gRPC.
//
//	reachfive-gateway serve --config FILE         answer proxies until SIGTERM
//	reachfive-gateway check-config --config FILE  report everything that is wrong
//	reachfive-gateway sign-out --config FILE ...  sign a user out of every gateway
//	reachfive-gateway demo                        show the gateway at work
//	reachfive-gateway version                     print the version
//
// It exits with 0 if all went well, with 1 if something did not, and with 2 if
// it was called wrongly or its configuration is wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
)

const (
	exitOK = iota
	exitFailed
	exitUsage
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// commands is the command line. No flag takes a secret: every process of a
// machine can read the command lines of the others.
type commands struct {
	Serve       serveCommand       `cmd:"" help:"Answer proxies until SIGTERM, then drain."`
	CheckConfig checkConfigCommand `cmd:"" help:"Report everything that is wrong with a configuration."`
	SignOut     signOutCommand     `cmd:"" help:"Sign a user out of every gateway, or list or lift sign-outs. The configuration's Redis user needs the right to write them."`
	Demo        demoCommand        `cmd:"" help:"Show the gateway at work, with an embedded tenant, a backend and a proxy (nginx if it is installed)."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

// environment is what a command gets from around it.
type environment struct {
	lookup config.LookupEnv
	out    io.Writer
	err    io.Writer
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, lookup config.LookupEnv, stdout, stderr io.Writer) int {
	var cli commands
	exited := -1
	parser, err := kong.New(&cli,
		kong.Name("reachfive-gateway"),
		kong.Description("Verify ReachFive ID tokens for proxies."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }), // after --help
	)
	if err != nil {
		fmt.Fprintln(stderr, "reachfive-gateway:", err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "reachfive-gateway: %s\nreachfive-gateway --help shows the usage.\n", err)
		return exitUsage
	}
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run(environment{lookup: lookup, out: stdout, err: stderr})
	if err == nil {
		return exitOK
	}
	if problems, wrong := errors.AsType[*config.Problems](err); wrong {
		fmt.Fprintln(stderr, problems)
		return exitUsage
	}
	fmt.Fprintln(stderr, "reachfive-gateway:", err)
	if _, usage := errors.AsType[usageError](err); usage {
		return exitUsage
	}
	return exitFailed
}
