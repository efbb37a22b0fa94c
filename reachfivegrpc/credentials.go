package reachfivegrpc

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// PerRPCCredentials returns credentials that send an ID token with every call
// of a client, as "authorization: Bearer". Use them with
// grpc.WithPerRPCCredentials for a connection or grpc.PerRPCCredentials for one
// call. The source is called for every call and must be safe for concurrent use;
// it caches and renews the token.
//
// If the source returns a status error, the call ends with it. If it returns its
// context's error, the call ends with DeadlineExceeded or Canceled. For any
// other error, an empty token, or one that no header can carry, the call ends
// with Unauthenticated; the error's text is not passed on.
//
// The token is never sent over a connection without encryption: grpc.NewClient
// or the call fails. InsecureAllowPlaintext lifts that. PerRPCCredentials
// panics on a nil source or option.
func PerRPCCredentials(source func(ctx context.Context) (idToken string, err error), opts ...CredentialsOption) credentials.PerRPCCredentials {
	if source == nil {
		panic("reachfivegrpc: PerRPCCredentials: nil source")
	}
	c := &bearerCredentials{source: source}
	for _, opt := range opts {
		if opt == nil {
			panic("reachfivegrpc: PerRPCCredentials: nil option")
		}
		opt(c)
	}
	return c
}

// CredentialsOption configures PerRPCCredentials.
type CredentialsOption func(*bearerCredentials)

// InsecureAllowPlaintext lets the token be sent over a connection without
// encryption, where anyone on the network path can read it and sign in with it.
// It is for tests on one machine, and for a sidecar that encrypts outgoing
// traffic.
func InsecureAllowPlaintext() CredentialsOption {
	return func(c *bearerCredentials) { c.plaintext = true }
}

type bearerCredentials struct {
	source    func(context.Context) (string, error)
	plaintext bool
}

// RequireTransportSecurity tells grpc-go to refuse connections that do not
// encrypt, before it asks for the metadata.
func (c *bearerCredentials) RequireTransportSecurity() bool { return !c.plaintext }

// GetRequestMetadata returns the authorization metadata of one call.
func (c *bearerCredentials) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, err := c.source(ctx)
	switch {
	case errors.Is(err, context.Canceled):
		return nil, status.FromContextError(context.Canceled).Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, status.FromContextError(context.DeadlineExceeded).Err()
	case err != nil:
		if _, ok := status.FromError(err); ok {
			return nil, err
		}
		return nil, status.Error(codes.Unauthenticated, "reachfivegrpc: the source of the token failed")
	case token == "" || strings.ContainsFunc(token, notInToken):
		return nil, status.Error(codes.Unauthenticated, "reachfivegrpc: the source gave no token that can be sent")
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// notInToken reports whether r cannot be part of a Bearer token: a comma, white
// space, a control character, or a character outside ASCII.
func notInToken(r rune) bool { return r <= ' ' || r == ',' || r >= 0x7f }
