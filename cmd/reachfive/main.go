// Command reachfive shows and checks what package reachfive does.
//
//	reachfive demo            an embedded tenant, a protected API, every verdict
//	reachfive demo --serve    the same, and both stay up
//	reachfive verify          why a token is accepted or refused, step by step
//	reachfive doctor          whether a tenant's keys can be had and would do
//	reachfive keys            the tenant's usable keys
//
// It exits with 0 if all went as it should, with 1 if something did not, and
// with 2 if it was called wrongly; verify and doctor say in their help what
// they exit with.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
)

const (
	exitOK = iota
	exitFailed
	exitUsage
)

func main() {
	// The commands themselves print what there is to say.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// commands is the command line.
type commands struct {
	Demo       demoCommand               `cmd:"" help:"Sign a user in and call a protected API, with an embedded tenant or your own."`
	Verify     verifyCommand             `cmd:"" help:"Tell why a token is accepted or refused, step by step."`
	Doctor     doctorCommand             `cmd:"" help:"Examine a tenant: discovery, keys, certificate, clock."`
	Keys       keysCommand               `cmd:"" help:"List a tenant's usable keys and their thumbprints."`
	Completion kongcompletion.Completion `cmd:"" help:"Print the shell code that completes this command."`
}

// environment is what a command gets from around it.
type environment struct {
	palette

	lookup func(string) (string, bool)
	in     io.Reader
	out    io.Writer
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, lookup func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) int {
	var cli commands
	exited := -1
	parser, err := kong.New(&cli,
		kong.Name("reachfive"),
		kong.Description("Verify ReachFive ID tokens: a demonstration, and tools for when one is refused."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }), // after --help
	)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "reachfive:", err)
		return exitFailed
	}
	kongcompletion.Register(parser)
	command, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "reachfive: %s\nreachfive --help tells the usage.\n", err)
		return exitUsage
	}
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run(environment{palette: newPalette(stdout, os.Stdout), lookup: lookup, in: stdin, out: stdout})
	if code, told := errors.AsType[exitCode](err); told {
		return int(code)
	}
	if err != nil {
		if _, usage := errors.AsType[usageError](err); usage {
			_, _ = fmt.Fprintf(stderr, "reachfive: %s\nreachfive --help tells the usage.\n", err)
			return exitUsage
		}
		_, _ = fmt.Fprintln(stderr, "reachfive:", strings.TrimPrefix(err.Error(), "reachfive: "))
		if _, verify := errors.AsType[undecided](err); verify {
			return exitUndecided
		}
		return exitFailed
	}
	return exitOK
}
