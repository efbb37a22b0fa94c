package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/reachfive-community/reachfive"
)

// The environment variables that stand in for flags.
const (
	domainVariable       = "REACHFIVE_DOMAIN"
	clientIDVariable     = "REACHFIVE_CLIENT_ID"
	clientSecretVariable = "REACHFIVE_CLIENT_SECRET"
)

// anyClient is the client ID of a Verifier that verifies no token: New requires
// one, and the keys do not depend on it.
const anyClient = "any-client"

// tenantFlags name a tenant.
type tenantFlags struct {
	Domain  string `help:"The tenant's domain (or set REACHFIVE_DOMAIN)." placeholder:"HOST"`
	Issuer  string `help:"The iss of its tokens, if that is not https:// and the domain. A tenant with a custom domain may need it." placeholder:"URL"`
	JWKSURL string `name:"jwks-url" help:"Where its keys are, if not at /jwks.json of the domain." placeholder:"URL"`

	client *http.Client // of an embedded tenant
}

// complete reads the environment for the flags that were not given.
func (f *tenantFlags) complete(lookup func(string) (string, bool)) error {
	f.fromEnvironment(lookup)
	return missing(map[string]bool{"--domain (or " + domainVariable + ")": f.Domain == ""})
}

func (f *tenantFlags) fromEnvironment(lookup func(string) (string, bool)) {
	if f.Domain == "" {
		f.Domain, _ = lookup(domainVariable)
	}
}

// options are the Verifier's options for these flags.
func (f *tenantFlags) options() []reachfive.Option {
	var opts []reachfive.Option
	if f.client != nil {
		opts = append(opts, reachfive.WithHTTPClient(f.client))
	}
	if f.Issuer != "" {
		opts = append(opts, reachfive.WithIssuer(f.Issuer))
	}
	if f.JWKSURL != "" {
		opts = append(opts, reachfive.WithJWKSURL(f.JWKSURL))
	}
	return opts
}

// clientFlags name a tenant and those of its clients whose tokens are accepted.
// A client secret comes from a file or the environment, because every process
// can read a command line.
type clientFlags struct {
	tenantFlags

	ClientID         []string `help:"A client whose tokens are accepted; may be repeated (or set REACHFIVE_CLIENT_ID, several separated by spaces)." placeholder:"ID" sep:"none"`
	ClientSecretFile string   `help:"A file that holds the client secret: tokens are HS256 (or set REACHFIVE_CLIENT_SECRET)." placeholder:"FILE" type:"path"`
}

// complete reads the environment for the flags that were not given, and tells
// which are missing.
func (f *clientFlags) complete(lookup func(string) (string, bool)) error {
	f.fromEnvironment(lookup)
	return missing(map[string]bool{
		"--domain (or " + domainVariable + ")":      f.Domain == "",
		"--client-id (or " + clientIDVariable + ")": len(f.ClientID) == 0,
	})
}

func (f *clientFlags) fromEnvironment(lookup func(string) (string, bool)) {
	f.tenantFlags.fromEnvironment(lookup)
	if len(f.ClientID) == 0 {
		ids, _ := lookup(clientIDVariable)
		f.ClientID = strings.Fields(ids)
	}
}

// options are the Verifier's options for these flags.
func (f *clientFlags) options(secret string) []reachfive.Option {
	opts := f.tenantFlags.options()
	if secret != "" {
		opts = append(opts, reachfive.WithClientSecret(secret))
	}
	if len(f.ClientID) > 1 {
		opts = append(opts, reachfive.WithAudiences(f.ClientID[1:]...))
	}
	return opts
}

// missing is a usage error that names the flags that are missing.
func missing(flags map[string]bool) error {
	var names []string
	for _, name := range []string{"--domain (or " + domainVariable + ")", "--client-id (or " + clientIDVariable + ")"} {
		if flags[name] {
			names = append(names, name)
		}
	}
	switch len(names) {
	case 0:
		return nil
	case 1:
		return usageError(names[0] + " is missing")
	}
	return usageError(strings.Join(names, " and ") + " are missing")
}

// secret is the client secret, or "" for RS256. A text editor ends a file with
// a line break, which is not part of the secret.
func (f *clientFlags) secret(lookup func(string) (string, bool)) (string, error) {
	if f.ClientSecretFile == "" {
		secret, _ := lookup(clientSecretVariable)
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

// readToken reads a token from a file, "-" being the standard input. It reads at
// most one megabyte: a longer text is refused for its length anyway.
func readToken(env environment, path string) (string, error) {
	in := env.in
	if path == "-" {
		if file, ok := in.(*os.File); ok && isatty.IsTerminal(file.Fd()) {
			env.errs.printf("Paste the token, then press Enter and Ctrl-D.\n")
		}
	} else {
		file, err := os.Open(path) //nolint:gosec // the caller names the file
		if err != nil {
			return "", err
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, 1<<20))
	return bareToken(string(text)), err
}

// bareToken is the token in what was copied: a header line of a request, or its
// value, as much as the token alone.
func bareToken(text string) string {
	const header = "authorization:"
	text = strings.TrimSpace(text)
	if len(text) >= len(header) && strings.EqualFold(text[:len(header)], header) {
		text = text[len(header):]
	}
	words := strings.Fields(text)
	if len(words) > 0 && strings.EqualFold(words[0], "Bearer") {
		words = words[1:]
	}
	return strings.Join(words, " ")
}

// configurationError is an error of reachfive.New in terms of the flags.
func configurationError(err error) error {
	return usageError(strings.NewReplacer(
		"\n", "; ",
		"reachfive: ", "",
		"domain: ", "--domain: ",
		"clientID: ", "--client-id: ",
		"WithAudiences", "--client-id",
		"WithIssuer", "--issuer",
		"WithJWKSURL", "--jwks-url",
		"WithJWKS", "--jwks-file",
		"WithClientSecret", "--client-secret-file (or "+clientSecretVariable+")",
	).Replace(err.Error()))
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
		return errors.New("want a time such as 2026-01-31T12:00:00Z, or seconds since 1970")
	}
	t.Time = parsed
	return nil
}
