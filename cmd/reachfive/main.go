// Command reachfive shows what package reachfive does, and helps when a token
// is refused.
//
//	reachfive demo            sign in and call a protected API, with an embedded tenant
//	reachfive demo --serve    the same, then serve a page to try it in a browser
//	reachfive verify          explain why a token is accepted or refused
//	reachfive doctor          examine a tenant: discovery, keys, certificate, clock
//	reachfive keys            list a tenant's usable keys
//	reachfive version         print the version
//
// Every command exits with 0 for yes (the token is accepted, the tenant is in
// order, there are usable keys), with 1 for no, and with 2 if it could not find
// out: wrong usage, a file that cannot be read, keys that cannot be fetched.
package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
)

// The exit codes of every command.
const (
	exitYes = iota
	exitNo
	exitUnknown
)

func main() {
	// The commands print what there is to know about the keys.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// commands is the command line.
type commands struct {
	Demo       demoCommand               `cmd:"" help:"Sign a user in and call a protected API, with an embedded tenant or your own."`
	Verify     verifyCommand             `cmd:"" help:"Explain why a token is accepted or refused, step by step."`
	Doctor     doctorCommand             `cmd:"" help:"Examine a tenant: discovery, keys, certificate, clock."`
	Keys       keysCommand               `cmd:"" help:"List a tenant's usable keys and their thumbprints."`
	Version    versionCommand            `cmd:"" help:"Print the version of this command."`
	Completion kongcompletion.Completion `cmd:"" help:"Print shell code that completes this command."`
}

// environment is what a command uses of its process.
type environment struct {
	terminal

	errs   terminal
	lookup func(string) (string, bool)
	in     io.Reader
}

// run is the whole program except for the process around it.
func run(ctx context.Context, args []string, lookup func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) int {
	env := environment{terminal: newTerminal(stdout), errs: terminal{w: stderr}, lookup: lookup, in: stdin}
	var cli commands
	exited := -1
	parser, err := kong.New(&cli,
		kong.Name("reachfive"),
		kong.Description("Verify ReachFive ID tokens: a demonstration, and tools for when a token is refused."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }), // after --help
	)
	if err != nil {
		return env.report(err)
	}
	kongcompletion.Register(parser)
	command, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		return env.report(usageError(err.Error()))
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return env.report(command.Run(env))
}

// report prints err, unless its command has done that, and returns the exit
// code.
func (e environment) report(err error) int {
	if err == nil {
		return exitYes
	}
	if _, told := errors.AsType[answeredNo](err); told {
		return exitNo
	}
	if _, told := errors.AsType[undecided](err); told {
		return exitUnknown
	}
	// The program's name is printed first, so the package's is not repeated.
	e.errs.printf("reachfive: %s\n", strings.TrimPrefix(err.Error(), "reachfive: "))
	if _, usage := errors.AsType[usageError](err); usage {
		e.errs.printf("Run reachfive --help for the usage.\n")
	}
	if _, no := errors.AsType[failedError](err); no {
		return exitNo
	}
	return exitUnknown
}

// usageError is a mistake in how the command was called.
type usageError string

func (e usageError) Error() string { return string(e) }

// failedError is a negative result that is still to be printed.
type failedError string

func (e failedError) Error() string { return string(e) }

// answeredNo is a negative result that the command has printed.
type answeredNo struct{}

func (answeredNo) Error() string { return "no" }

// undecided means that a command has printed why it could not find out.
type undecided struct{}

func (undecided) Error() string { return "not decided" }
