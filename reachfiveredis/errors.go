package reachfiveredis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

const oldServer = "the server is older than Redis 7.0: update it"

var (
	// ErrNotInitialized means that the store has no marker of sign-outs. It was never
	// initialized, it lost its data, or it is the wrong database. See
	// SignOuts.Init.
	ErrNotInitialized = errors.New("reachfiveredis: the store is not initialized for sign-outs: run SignOuts.Init once, and check the address, the database and the prefix")
	// ErrRetention means that the store was initialized with another retention.
	ErrRetention = errors.New("reachfiveredis: the store was initialized with another retention: configure the same WithRetention everywhere")
	// ErrFull means that the store has as many entries as WithMaxEntries allows. Nothing
	// was dropped and nothing was added.
	ErrFull = errors.New("reachfiveredis: the sign-outs have reached WithMaxEntries, and nothing was added")
	// ErrNotReplicated means that fewer replicas than WithReplicas asks for have confirmed
	// the entry. The entry is in the store nevertheless; repeat the call.
	ErrNotReplicated = errors.New("reachfiveredis: the entry is stored, but too few replicas have confirmed it: repeat the call")
	// ErrUnknownSignOut means that the store has no sign-out with this ID.
	ErrUnknownSignOut = errors.New("reachfiveredis: no sign-out has this ID")
	// ErrUnlistedIssuer means that SignOuts was not made for this issuer.
	ErrUnlistedIssuer = errors.New("reachfiveredis: the issuer is not among those that SignOuts was made for")
	// ErrNewerVersion means that a later version of this package wrote the store.
	ErrNewerVersion = errors.New("reachfiveredis: a newer version of this package has initialized the store: update this program")
	// ErrOldServer means that the server lacks what this package needs.
	ErrOldServer = errors.New("reachfiveredis: " + oldServer)
)

// storeError is a failure of Redis. Its text is this package's own, because the
// server's text may hold anything.
type storeError struct {
	text  string
	cause error
}

func (e *storeError) Error() string { return e.text }

func (e *storeError) Unwrap() error { return e.cause }

// SafeToLog marks the text as free of secrets, so that a Verifier logs it.
func (*storeError) SafeToLog() {}

// storeFailure says in plain words why Redis failed at what was tried. Errors of
// this package pass as they are.
func storeFailure(what string, err error) error {
	for _, own := range []error{
		ErrNotInitialized, ErrRetention, ErrFull, ErrNotReplicated, ErrUnknownSignOut, ErrNewerVersion, ErrOldServer, errFuture,
	} {
		if errors.Is(err, own) {
			return err
		}
	}
	return &storeError{text: "reachfiveredis: " + what + ": " + reasonOf(err), cause: err}
}

// reasonOf classifies an error of go-redis, and names what to do about it.
func reasonOf(err error) string {
	if own, ok := errors.AsType[*storeError](err); ok {
		return own.text
	}
	if redisErr, ok := errors.AsType[redis.Error](err); ok && !errors.Is(err, redis.Nil) {
		kind, text, _ := strings.Cut(redisErr.Error(), " ")
		switch {
		case strings.HasPrefix(text, "Protocol error: unauthenticated"):
			kind = "NOAUTH" // a script is more than it reads of a stranger
		case strings.HasPrefix(text, "The user executing the script"):
			kind = "NOPERM"
		case strings.Contains(text, "non deterministic commands"): // before Redis 5
			return oldServer
		}
		switch kind {
		case "WRONGPASS", "NOAUTH":
			return "the store refused the credentials: check Username and Password"
		case "NOPERM":
			return "the Redis user lacks a permission or may not use this key: compare its ACL with docs/fleet.md"
		case "WRONGTYPE":
			return "a key of another type has this name: use another prefix or remove the key"
		case "OOM":
			return "the store is full: raise its maxmemory"
		case "READONLY":
			return "the server is a read-only replica"
		case "LOADING":
			return "the server is still loading its data"
		case "MASTERDOWN":
			return "the replica has lost its primary"
		case "NOREPLICAS":
			return "the server has too few replicas to accept writes"
		case "CLUSTERDOWN":
			return "the cluster is down"
		case "MOVED", "ASK":
			return "the cluster has moved the key"
		case "MISCONF":
			return "the server cannot save its data, and accepts no writes"
		}
		return "the server answered with an error"
	}
	if isTLS(err) {
		return "the TLS handshake failed: check TLSConfig and the certificates"
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return "the store did not answer in time"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns != nil {
		return "the name of the server cannot be resolved"
	}
	if errors.Is(err, context.Canceled) {
		return "the call was cancelled"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return "the store cannot be reached"
	}
	return "the connection failed"
}

func isTLS(err error) bool {
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	return record || alert || verification || authority
}
