package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/decide"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/extauthz"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/fleet"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/policy"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/serve"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/telemetry"
)

// configFlag names the configuration.
type configFlag struct {
	Config string `help:"The configuration file." required:"" placeholder:"FILE" type:"path"`
}

// loaded is what a configuration makes.
type loaded struct {
	*config.Config

	policies *policy.Policies
	fleet    *fleet.Fleet // nil without Redis
}

// load reads the configuration. The error has everything that is wrong; without
// one, the caller calls close.
func (f configFlag) load(lookup config.LookupEnv, log *slog.Logger, options ...reachfive.Option) (*loaded, error) {
	cfg, problems, err := config.Read(f.Config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Config, err)
	}
	l := &loaded{Config: cfg}
	late := new(fleet.LateCheck)
	if cfg.Redis != nil {
		options = append(options, reachfive.WithChecks(late.Check))
		if l.fleet = fleet.New(cfg.Redis, problems, lookup, log); l.fleet != nil {
			options = append(options, l.fleet.Options()...)
		}
	}
	l.policies = policy.Build(cfg, problems, lookup, options...)
	if issuers := l.issuers(); l.fleet != nil && len(issuers) > 0 && l.fleet.Follow(issuers, problems) {
		late.Set(l.fleet.SignOuts().Check())
	}
	if cfg.Decision != nil && cfg.Decision.TLS != nil {
		serve.CheckTLS(*cfg.Decision.TLS, "decision", problems)
	}
	if cfg.GRPC != nil && cfg.GRPC.TLS != nil {
		serve.CheckTLS(*cfg.GRPC.TLS, "grpc", problems)
	}
	if err := problems.Err(); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// issuers are those of the tenants, each once.
func (l *loaded) issuers() (issuers []string) {
	for _, v := range l.policies.Verifiers() {
		issuers = append(issuers, v.Status().Issuer)
	}
	slices.Sort(issuers)
	return slices.Compact(issuers)
}

func (l *loaded) close() error {
	err := l.policies.Close()
	if l.fleet != nil {
		err = errors.Join(err, l.fleet.Close())
	}
	return err
}

// serveCommand is `reachfive-gateway serve`.
type serveCommand struct {
	configFlag
}

// Run implements the command.
func (c *serveCommand) Run(ctx context.Context, env environment) (err error) {
	metrics, err := telemetry.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, metrics.Close(context.WithoutCancel(ctx))) }()
	level := new(slog.LevelVar)
	log := slog.New(slog.NewJSONHandler(env.err, &slog.HandlerOptions{Level: level}))
	l, err := c.load(env.lookup, log, reachfive.WithLogger(log), reachfive.WithObserver(metrics.Observer()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if err := level.UnmarshalText([]byte(l.Log.Level)); err != nil {
		return err
	}
	if err := watch(l, metrics); err != nil {
		return err
	}
	handler := decide.New(l.policies, metrics.Observe, log)
	parts := serve.Parts{
		Decide:           handler,
		Authorization:    extauthz.New(handler, l.DefaultPolicy),
		Health:           l.policies.Health,
		Metrics:          metrics.Handler(),
		Log:              log,
		WatchCertificate: metrics.WatchCertificate,
	}
	if l.fleet != nil {
		parts.SignOuts = l.fleet.Ready
	}
	gateway, err := serve.Start(ctx, l.Config, parts)
	if err != nil {
		return err
	}
	select {
	case err = <-gateway.Failed():
	case <-ctx.Done():
	}
	return errors.Join(err, gateway.Drain(context.WithoutCancel(ctx)))
}

// watch reports the keys' age once for each issuer, because there is one series
// for each, and the sign-outs.
func watch(l *loaded, metrics *telemetry.Telemetry) error {
	watched := map[string]bool{}
	verifiers := l.policies.Verifiers()
	for _, tenant := range slices.Sorted(maps.Keys(verifiers)) {
		status := verifiers[tenant].Status()
		if status.Algorithm != "RS256" || watched[status.Issuer] {
			continue
		}
		watched[status.Issuer] = true
		if err := metrics.WatchKeys(verifiers[tenant]); err != nil {
			return err
		}
	}
	if l.fleet == nil {
		return nil
	}
	return metrics.WatchSignOuts(l.fleet.SignOuts())
}
