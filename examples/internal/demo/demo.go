// Package demo starts the examples. It reads the command line and the
// environment, makes the verifier, and prints commands to try. A service of your
// own needs none of it:
//
//	v, err := reachfive.New("acme.reach5.net", "AtnY5xDg4fbanentihip")
package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// Demo is an example that starts.
type Demo struct {
	// Verifier verifies the tokens of Domain and ClientID.
	Verifier         *reachfive.Verifier
	Domain, ClientID string
	// Tenant is a ReachFive tenant inside this process. It is nil if the
	// environment names a tenant.
	Tenant *reachfivetest.Tenant
	// Port is where the example listens.
	Port string

	notes    []string
	commands []Command
}

// Command is a line for a shell.
type Command struct {
	// Line may use the variables $URL and $ADDR of the server, and the ID tokens
	// $GOOD, $EXPIRED and $OLD, whose user signed in an hour ago.
	Line string
	// Want is what the command prints, word by word. It is empty for a line that
	// prints nothing.
	Want string
}

// Server is what an example serves with: an *http.Server or a *grpc.Server.
type Server interface {
	Serve(listener net.Listener) error
}

// Note prints a line before the commands.
func (d *Demo) Note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// Try prints commands once the server listens. A command with a token that only
// a tenant inside this process can issue is left out for any other tenant.
func (d *Demo) Try(commands ...Command) { d.commands = append(d.commands, commands...) }

// Main runs an example until it is interrupted. It parses the command line, to
// which an example may add flags of its own.
func Main(newServer func(d *Demo) (Server, error)) {
	address := flag.String("addr", "127.0.0.1:8080", "the `address` to listen on; port 0 takes a free port")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *address, os.Stdout, newServer)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, address string, out io.Writer, newServer func(d *Demo) (Server, error)) error {
	d, err := start()
	if err != nil {
		return err
	}
	defer d.close()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("%w (choose another address with --addr)", err)
	}
	host, err := reachableAs(listener.Addr())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	_, d.Port, _ = net.SplitHostPort(host)
	server, err := newServer(d)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	d.print(out, filepath.Base(os.Args[0]), host)

	// The listener alone ends: connections end with the process.
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	err = server.Serve(listener)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// start makes the verifier: for the tenant that the environment names, or for
// one inside this process.
func start() (*Demo, error) {
	d := &Demo{Domain: os.Getenv("REACHFIVE_DOMAIN"), ClientID: os.Getenv("REACHFIVE_CLIENT_ID")}
	var opts []reachfive.Option
	switch {
	case d.Domain == "" && d.ClientID == "":
		tenant, err := reachfivetest.Start()
		if err != nil {
			return nil, err
		}
		d.Tenant, d.Domain, d.ClientID, opts = tenant, tenant.Domain, tenant.ClientID, tenant.Options()
	case d.Domain == "":
		return nil, errors.New("REACHFIVE_CLIENT_ID is set, and REACHFIVE_DOMAIN is not")
	case d.ClientID == "":
		return nil, errors.New("REACHFIVE_DOMAIN is set, and REACHFIVE_CLIENT_ID is not")
	default:
		// ReachFive signs with the client secret unless the client's JWT
		// Algorithm is RS256.
		if secret := os.Getenv("REACHFIVE_CLIENT_SECRET"); secret != "" {
			opts = append(opts, reachfive.WithClientSecret(secret))
		}
	}
	var err error
	if d.Verifier, err = reachfive.New(d.Domain, d.ClientID, opts...); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *Demo) close() {
	if d.Verifier != nil {
		_ = d.Verifier.Close()
	}
	if d.Tenant != nil {
		_ = d.Tenant.Close()
	}
}

// reachableAs is the host and port that reach the listener from this machine.
func reachableAs(listening net.Addr) (string, error) {
	host, port, err := net.SplitHostPort(listening.String())
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}
