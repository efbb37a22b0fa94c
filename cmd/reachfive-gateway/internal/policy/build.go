package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/header"
)

// Policies are the policies of a configuration, and the verifiers they share.
type Policies struct {
	policies  map[string]*Policy
	verifiers map[string]*reachfive.Verifier // by the tenant's name
}

// Build makes the policies of a configuration. Mistakes are added to problems;
// Close must be called even then. No network is used.
func Build(cfg *config.Config, problems *config.Problems, lookup config.LookupEnv, options ...reachfive.Option) *Policies {
	p := &Policies{policies: map[string]*Policy{}, verifiers: map[string]*reachfive.Verifier{}}
	for _, name := range slices.Sorted(maps.Keys(cfg.Tenants)) {
		if v := newVerifier(cfg.Tenants[name], cfg.TokenCache, "tenants."+name, problems, lookup, options); v != nil {
			p.verifiers[name] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Policies)) {
		p.build(name, cfg, problems)
	}
	return p
}

func (p *Policies) build(name string, cfg *config.Config, problems *config.Problems) {
	settings, path := cfg.Policies[name], "policies."+name
	var fields []header.Field
	for _, h := range settings.Headers {
		fields = append(fields, header.Field{Name: h.Name, Claim: h.Claim})
	}
	set, mistakes := header.NewSet(fields)
	for _, mistake := range mistakes {
		problems.Add(fmt.Sprintf("%s.headers[%d].%s", path, mistake.Index, mistake.Key), "%s", mistake.Err)
	}
	var verifiers []*reachfive.Verifier
	for _, tenant := range settings.Tenants {
		if v := p.verifiers[tenant]; v != nil && !slices.Contains(verifiers, v) {
			verifiers = append(verifiers, v)
			if size := set.FixedSize(v.Status().Issuer, cfg.Tenants[tenant].ClientIDs); size > header.Budget {
				problems.Add(path+".tenants", "the identity headers that are always sent may take %d bytes with tenant %s, more than the %d that proxies are sure to take; use fewer client IDs or headers", size, tenant, header.Budget)
			}
		}
	}
	if len(verifiers) == 0 || len(mistakes) > 0 {
		return
	}
	verifier, err := join(verifiers)
	if err != nil {
		problems.Add(path+".tenants", "two of them take the same tokens: the same domain, algorithm and client ID; remove one")
		return
	}
	p.policies[name] = New(Settings{
		Name: name, Verifier: verifier, Checks: checks(settings.Checks), Optional: settings.Optional, Headers: set,
	})
}

// join returns the only verifier itself: choosing costs time.
func join(verifiers []*reachfive.Verifier) (reachfive.TokenVerifier, error) {
	if len(verifiers) == 1 {
		return verifiers[0], nil
	}
	return reachfive.ByIssuer(verifiers...)
}

// checks are those that are configured, the cheapest to satisfy first.
func checks(c config.Checks) (list []reachfive.Check) {
	if c.MaxTokenAge > 0 {
		list = append(list, reachfive.MaxTokenAge(c.MaxTokenAge))
	}
	if c.MaxAge > 0 {
		list = append(list, reachfive.MaxAge(c.MaxAge))
	}
	if len(c.ACR) > 0 {
		list = append(list, reachfive.ACR(c.ACR...))
	}
	if len(c.AMR) > 0 {
		list = append(list, reachfive.AMR(c.AMR...))
	}
	if len(c.AuthType) > 0 {
		list = append(list, reachfive.AuthType(c.AuthType...))
	}
	if c.EmailVerified {
		list = append(list, reachfive.EmailVerified())
	}
	return list
}

// Find returns the policy of this name.
func (p *Policies) Find(name string) (*Policy, bool) {
	policy, ok := p.policies[name]
	return policy, ok
}

// Names are the policies' names, in order.
func (p *Policies) Names() []string { return slices.Sorted(maps.Keys(p.policies)) }

// Verifiers are the tenants' verifiers by the tenants' names. Not to be changed.
func (p *Policies) Verifiers() map[string]*reachfive.Verifier { return p.verifiers }

// Health tells for each tenant what hinders its tokens from being decided, nil
// if nothing does. It asks all tenants at once.
func (p *Policies) Health(ctx context.Context) map[string]error {
	type answer struct {
		tenant string
		err    error
	}
	answers := make(chan answer, len(p.verifiers))
	for tenant, v := range p.verifiers {
		go func() { answers <- answer{tenant, v.HealthCheck(ctx)} }()
	}
	health := make(map[string]error, len(p.verifiers))
	for range p.verifiers {
		a := <-answers
		health[a.tenant] = a.err
	}
	return health
}

// Close ends the verifiers' background work.
func (p *Policies) Close() error {
	var errs []error
	for _, v := range p.verifiers {
		errs = append(errs, v.Close())
	}
	return errors.Join(errs...)
}
