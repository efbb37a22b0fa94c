package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive"
)

// tenantFlags name a tenant and one of its clients. A client secret comes from
// a file or the environment: a command line is seen by every process.
type tenantFlags struct {
	Domain           string `help:"The tenant's domain (or REACHFIVE_DOMAIN)." placeholder:"HOST"`
	ClientID         string `help:"The client that the tokens are for (or REACHFIVE_CLIENT_ID)." placeholder:"ID"`
	ClientSecretFile string `help:"A file with the client secret: expect HS256 (or REACHFIVE_CLIENT_SECRET in the environment)." placeholder:"FILE" type:"path"`

	client *http.Client // set where the tenant is an embedded one
}

// complete fills in what the command line left open.
func (f *tenantFlags) complete(lookup func(string) (string, bool)) error {
	if f.Domain == "" {
		f.Domain, _ = lookup("REACHFIVE_DOMAIN")
	}
	if f.ClientID == "" {
		f.ClientID, _ = lookup("REACHFIVE_CLIENT_ID")
	}
	if f.Domain == "" || f.ClientID == "" {
		return usageError("--domain and --client-id are needed")
	}
	return nil
}

// secret is the client secret, "" for RS256. A line end after it is a text
// editor's, not the secret's.
func (f *tenantFlags) secret(lookup func(string) (string, bool)) (string, error) {
	if f.ClientSecretFile == "" {
		secret, _ := lookup("REACHFIVE_CLIENT_SECRET")
		return strings.TrimRight(secret, "\r\n"), nil
	}
	text, err := os.ReadFile(f.ClientSecretFile)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", errors.New("the file of the client secret is empty")
	}
	return secret, nil
}

func (f *tenantFlags) options() []reachfive.Option {
	if f.client == nil {
		return nil
	}
	return []reachfive.Option{reachfive.WithHTTPClient(f.client)}
}

// tokenFrom is the token that a command is about: its argument, or for - what
// stands on the standard input. More than a megabyte is not read; a token of
// that size is refused by its length.
func tokenFrom(argument string, stdin io.Reader) (string, error) {
	if argument != "-" {
		return argument, nil
	}
	text, err := io.ReadAll(io.LimitReader(stdin, 1<<20))
	return strings.TrimSpace(string(text)), err
}

// configurationError tells what New has against the flags. The program's name
// stands before every error, so the package's need not follow it.
func configurationError(err error) error {
	return usageError(strings.ReplaceAll(err.Error(), "reachfive: ", ""))
}

// usageError is a mistake of whoever called the command.
type usageError string

func (e usageError) Error() string { return string(e) }

// exitCode is an error that has been told already; what is left is to exit.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// fileClient answers every request with the bytes of a file.
func fileClient(path string) (*http.Client, error) {
	document, err := os.ReadFile(path) //nolint:gosec // the caller names the file
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: fromMemory(document)}, nil
}

type fromMemory []byte

// RoundTrip implements http.RoundTripper.
func (m fromMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Request: r,
		Body: io.NopCloser(bytes.NewReader(m)),
	}, nil
}

// timeFlag reads RFC 3339 or seconds since 1970.
type timeFlag struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *timeFlag) UnmarshalText(text []byte) error {
	if seconds, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		t.Time = time.Unix(seconds, 0)
		return nil
	}
	parsed, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return errors.New("want a time like 2026-01-31T12:00:00Z, or seconds since 1970")
	}
	t.Time = parsed
	return nil
}
