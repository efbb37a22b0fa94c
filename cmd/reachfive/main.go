// Command reachfive shows and checks what package reachfive does.
//
//	reachfive demo            an embedded tenant, a protected API, every verdict
//	reachfive demo --serve    the same, and both stay up
//
// It exits with 0 if all went as it should, with 1 if something did not, and
// with 2 if it was called wrongly.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

const (
	exitOK = iota
	exitFailed
	exitUsage
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// commands is the command line.
type commands struct {
	Demo demoCommand `cmd:"" help:"Sign a user in and call a protected API, with an embedded tenant or your own."`
}

// environment is what a command gets from around it.
type environment struct {
	lookup func(string) (string, bool)
	out    io.Writer
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, lookup func(string) (string, bool), stdout, stderr io.Writer) int {
	var cli commands
	exited := -1
	parser, err := kong.New(&cli,
		kong.Name("reachfive"),
		kong.Description("Verify ReachFive ID tokens in Go: a demonstration of package reachfive."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }), // after --help
	)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "reachfive:", err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err == nil {
		err = cli.Demo.fromEnvironment(lookup)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "reachfive: %s\nreachfive --help tells the usage.\n", err)
		return exitUsage
	}
	command.BindTo(ctx, (*context.Context)(nil))
	if err := command.Run(environment{lookup: lookup, out: stdout}); err != nil {
		_, _ = fmt.Fprintln(stderr, "reachfive:", err)
		return exitFailed
	}
	return exitOK
}
