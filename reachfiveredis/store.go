package reachfiveredis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	defaultPrefix = "reachfive"

	// callTimeout bounds one exchange with Redis. A blocked read of the log
	// lasts blockTime, so that a server that has stopped answering is noticed
	// within callTimeout.
	callTimeout = 3 * time.Second
	blockTime   = 2 * time.Second
)

// Store is a Redis or Valkey server, a Sentinel deployment, or a cluster. Make
// it with New. It is safe for concurrent use.
type Store struct {
	options redis.UniversalOptions
	client  redis.UniversalClient
	primary redis.UniversalClient // client, unless that reads from a replica
	prefix  string
	logger  *slog.Logger // nil: slog.Default at each line

	recordMACs []recordMAC // of WithRecordKeys; the first one signs
}

// Option configures New.
type Option func(*Store) error

// WithPrefix sets what every key name starts with. The default is "reachfive".
// Deployments that share a Redis server and must not share their sign-outs need
// different prefixes.
func WithPrefix(prefix string) Option {
	return func(s *Store) error {
		if prefix == "" || len(prefix) > 64 || strings.ContainsFunc(prefix, notInPrefix) {
			return errors.New("reachfiveredis: a prefix has 1 to 64 ASCII letters, digits, hyphens, underscores, dots or colons")
		}
		s.prefix = prefix
		return nil
	}
}

func notInPrefix(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !letter && !strings.ContainsRune("-_.:", r)
}

// WithLogger sets the logger for audit lines and for changes of state. The
// default is slog.Default, asked for at each line.
func WithLogger(logger *slog.Logger) Option {
	return func(s *Store) error {
		if logger == nil {
			return errors.New("reachfiveredis: the logger is nil")
		}
		s.logger = logger
		return nil
	}
}

// New returns a Store for options, which are those of
// [redis.NewUniversalClient]: one address is a single server, a MasterName
// means Sentinel, several addresses or IsClusterMode a cluster. It uses no
// network. All errors of configuration are joined.
//
// Timeouts and retries are set by this package, whatever options say: every
// exchange is bounded to 3 s, those of Keys to 200 ms, and go-redis does not
// repeat it.
func New(options *redis.UniversalOptions, opts ...Option) (*Store, error) {
	if options == nil {
		return nil, errors.New("reachfiveredis: the Redis options are nil")
	}
	s := &Store{options: *options, prefix: defaultPrefix}
	var errs []error
	if len(options.Addrs) == 0 || slices.Contains(options.Addrs, "") {
		errs = append(errs, errors.New("reachfiveredis: an address of Redis is missing"))
	}
	for i, opt := range opts {
		if opt == nil {
			errs = append(errs, fmt.Errorf("reachfiveredis: option %d is nil", i+1))
			continue
		}
		errs = append(errs, opt(s))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s.options.Addrs = slices.Clone(options.Addrs)
	// Without ContextTimeoutEnabled go-redis ignores the deadline of a context,
	// and its retries multiply every timeout.
	s.options.ContextTimeoutEnabled = true
	s.options.MaxRetries = -1
	s.options.DialerRetries = 1
	s.options.DialTimeout = callTimeout
	s.options.ReadTimeout = callTimeout
	s.options.WriteTimeout = callTimeout
	s.options.PoolTimeout = callTimeout
	// What is not needed costs commands, and permissions in an ACL.
	s.options.DisableIdentity = true
	s.options.PipelinePoolSize = -1
	s.options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	s.client = s.newClient()
	s.primary = s.client
	if s.options.ReadOnly && s.options.MasterName != "" {
		primary := s.options
		primary.ReadOnly = false
		s.primary = redis.NewUniversalClient(&primary)
	}
	return s, nil
}

// newClient returns a further client with connections of its own.
func (s *Store) newClient() redis.UniversalClient {
	options := s.options
	return redis.NewUniversalClient(&options)
}

// Close closes the connections of the Store. Close what was made from it first.
func (s *Store) Close() error {
	err := s.client.Close()
	if s.primary != s.client {
		err = errors.Join(err, s.primary.Close())
	}
	if err != nil {
		return storeFailure("closing the connections", err)
	}
	return nil
}

// key returns the name of a key. The braces keep all keys of one purpose in one
// slot of a cluster. Its version changes with what is stored under the name.
func (s *Store) key(purpose, name string) string {
	return s.prefix + ":{" + purpose + "}:1:" + name
}

// nodeOf returns the client of the one server that holds key. A transaction and
// WAIT need a single connection, which a cluster's client does not promise.
func nodeOf(ctx context.Context, client redis.UniversalClient, key string, replica bool) (*redis.Client, error) {
	switch c := client.(type) {
	case *redis.Client:
		return c, nil
	case *redis.ClusterClient:
		if replica {
			return c.SlaveForKey(ctx, key)
		}
		return c.MasterForKey(ctx, key)
	}
	return nil, errors.New("unknown kind of client")
}

// moved makes a cluster's client look up again which server holds a key.
func moved(ctx context.Context, client redis.UniversalClient, err error) {
	cluster, ok := client.(*redis.ClusterClient)
	if ok && err != nil {
		cluster.ReloadState(ctx)
	}
}

func (s *Store) log(ctx context.Context, level slog.Level, text string, attrs ...slog.Attr) {
	logger := s.logger
	if logger == nil {
		logger = slog.Default()
	}
	// A handler that panics must not end the goroutine that follows the log.
	defer func() { _ = recover() }()
	logger.LogAttrs(ctx, level, "reachfiveredis: "+text, attrs...)
}

// Format writes the type alone: the options hold a password.
func (s *Store) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "reachfiveredis.Store") }
