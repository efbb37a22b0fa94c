// Package fleet connects the gateway to the Redis that all gateways share.
package fleet

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
	"github.com/reachfive-community/reachfive/reachfiveredis"
)

// Fleet is what a Redis holds: the sign-outs, and the keys if they are shared.
type Fleet struct {
	cfg      *config.Redis
	store    *reachfiveredis.Store
	signOuts *reachfiveredis.SignOuts // nil before Follow
}

// New connects to a Redis, or adds what is wrong to problems and returns nil. It
// uses no network.
func New(cfg *config.Redis, problems *config.Problems, lookup config.LookupEnv, log *slog.Logger) *Fleet {
	password, key, err := cfg.Password(lookup)
	if err != nil {
		problems.Add(key, "%s", err)
		return nil
	}
	secure, err := cfg.ClientTLS()
	if err != nil {
		problems.Add("redis.ca_file", "%s", err)
		return nil
	}
	options := &redis.UniversalOptions{
		Addrs: cfg.Addresses, MasterName: cfg.MasterName, Username: cfg.Username, Password: password, DB: cfg.Database, TLSConfig: secure,
	}
	if cfg.MasterName != "" {
		options.SentinelUsername, options.SentinelPassword = cfg.Username, password
	}
	opts := []reachfiveredis.Option{reachfiveredis.WithPrefix(cfg.Prefix), reachfiveredis.WithLogger(log)}
	recordKeys, key, err := cfg.RecordKeys()
	if err != nil {
		problems.Add(key, "%s", err)
		return nil
	}
	if len(recordKeys) > 0 {
		opts = append(opts, reachfiveredis.WithRecordKeys(recordKeys...))
	}
	store, err := reachfiveredis.New(options, opts...)
	if err != nil {
		explain("redis", err, problems)
		return nil
	}
	return &Fleet{cfg: cfg, store: store}
}

// Options are those of the verifiers.
func (f *Fleet) Options() []reachfive.Option {
	if !f.cfg.SharedKeys.Enabled {
		return nil
	}
	return []reachfive.Option{reachfive.WithSharedKeyStore(f.store.Keys())}
}

// Follow makes the sign-outs of the users of issuers, or adds what is wrong to
// problems and returns false. It uses no network.
func (f *Fleet) Follow(issuers []string, problems *config.Problems) bool {
	s := f.cfg.SignOuts
	opts := []reachfiveredis.SignOutOption{
		reachfiveredis.WithRetention(s.Retention), reachfiveredis.WithMaxSilence(s.MaxSilence), reachfiveredis.WithMaxEntries(s.MaxEntries),
	}
	if s.Replicas > 0 {
		opts = append(opts, reachfiveredis.WithReplicas(s.Replicas))
	}
	if s.SignInFromIAT {
		opts = append(opts, reachfiveredis.SignInFromIAT())
	}
	if s.InsecureFailOpen {
		opts = append(opts, reachfiveredis.InsecureFailOpen())
	}
	signOuts, err := f.store.SignOuts(issuers, opts...)
	if err != nil {
		explain("redis.sign_outs", err, problems)
		return false
	}
	f.signOuts = signOuts
	return true
}

// explain adds every line of a joined error.
func explain(path string, err error, problems *config.Problems) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		problems.Add(path, "%s", strings.TrimPrefix(line, "reachfiveredis: "))
	}
}

// SignOuts are the sign-outs; nil before Follow.
func (f *Fleet) SignOuts() *reachfiveredis.SignOuts { return f.signOuts }

// Ready tells what hinders decisions, nil if nothing does.
func (f *Fleet) Ready(ctx context.Context) error { return f.signOuts.Ready(ctx) }

// Close ends the connections.
func (f *Fleet) Close() error {
	if f.signOuts == nil {
		return f.store.Close()
	}
	return errors.Join(f.signOuts.Close(), f.store.Close())
}

// LateCheck is a Check for verifiers that are made before the sign-outs of
// their issuers. It must be set before a token is verified.
type LateCheck struct{ check reachfive.Check }

// Set sets the Check.
func (l *LateCheck) Set(check reachfive.Check) { l.check = check }

// Check implements reachfive.Check.
func (l *LateCheck) Check(ctx context.Context, u *reachfive.User) error {
	if l.check == nil {
		return reachfive.CodeRevocationsUnavailable
	}
	return l.check(ctx, u)
}
