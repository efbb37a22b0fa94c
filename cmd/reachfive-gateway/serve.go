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
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/policy"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/serve"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/telemetry"
)

// configFlag names the configuration.
type configFlag struct {
	Config string `help:"The configuration file." required:"" placeholder:"FILE" type:"path"`
}

// load reads the configuration and makes its policies. The error has everything
// that is wrong; the policies must be closed unless there is one.
func (f configFlag) load(lookup config.LookupEnv, options ...reachfive.Option) (*config.Config, *policy.Policies, error) {
	cfg, problems, err := config.Read(f.Config)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.Config, err)
	}
	policies := policy.Build(cfg, problems, lookup, options...)
	if cfg.Decision != nil && cfg.Decision.TLS != nil {
		serve.CheckTLS(*cfg.Decision.TLS, "decision", problems)
	}
	if cfg.GRPC != nil && cfg.GRPC.TLS != nil {
		serve.CheckTLS(*cfg.GRPC.TLS, "grpc", problems)
	}
	if err := problems.Err(); err != nil {
		return nil, nil, errors.Join(err, policies.Close())
	}
	return cfg, policies, nil
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
	cfg, policies, err := c.load(env.lookup, reachfive.WithLogger(log), reachfive.WithObserver(metrics.Observer()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, policies.Close()) }()
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		return err
	}
	if err := watchKeys(policies, metrics); err != nil {
		return err
	}
	handler := decide.New(policies, metrics.Observe, log)
	gateway, err := serve.Start(ctx, cfg, serve.Parts{
		Decide:           handler,
		Authorization:    extauthz.New(handler, cfg.DefaultPolicy),
		Health:           policies.Health,
		Metrics:          metrics.Handler(),
		Log:              log,
		WatchCertificate: metrics.WatchCertificate,
	})
	if err != nil {
		return err
	}
	select {
	case err = <-gateway.Failed():
	case <-ctx.Done():
	}
	return errors.Join(err, gateway.Drain(context.WithoutCancel(ctx)))
}

// watchKeys reports the keys' age once for each issuer: there is one series for
// each.
func watchKeys(policies *policy.Policies, metrics *telemetry.Telemetry) error {
	watched := map[string]bool{}
	verifiers := policies.Verifiers()
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
	return nil
}
