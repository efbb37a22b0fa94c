// Package config reads the gateway's configuration file. It is strict: an
// unknown key, a value of the wrong type or an empty value is an error with its
// line and column, and all errors of a file are reported at once.
package config

import (
	"os"
	"time"
)

// Version is the only version of the file format.
const Version = 1

// maxFileBytes bounds the configuration file.
const maxFileBytes = 1 << 20

// Config is a configuration file. The tags are the format: yaml is the key,
// default the value where the key is absent, and help the line in the table of
// keys in docs/gateway.md.
type Config struct {
	Version       int               `yaml:"version" required:"true" help:"format of this file; always 1"`
	Decision      *Listener         `yaml:"decision" help:"the HTTP listener that proxies ask"`
	GRPC          *Listener         `yaml:"grpc" help:"the gRPC listener that Envoy and Istio ask (ext_authz and health)"`
	Health        Health            `yaml:"health" help:"the HTTP listener for probes and metrics"`
	Tenants       map[string]Tenant `yaml:"tenants" required:"true" help:"ReachFive tenants, by a name of your choice"`
	Policies      map[string]Policy `yaml:"policies" required:"true" help:"policies, by the name that the proxy's configuration uses"`
	DefaultPolicy string            `yaml:"default_policy" help:"policy of a gRPC request that names none; without it such a request is denied"`
	TokenCache    int               `yaml:"token_cache" default:"10000" help:"verified tokens to remember, per tenant; 0 turns the cache off"`
	Redis         *Redis            `yaml:"redis" help:"Redis or Valkey, for sign-outs that every gateway knows"`
	Limits        Limits            `yaml:"limits" help:"limits of the decision and health listeners"`
	Drain         Drain             `yaml:"drain" help:"what happens on SIGTERM"`
	Log           Log               `yaml:"log" help:"the JSON log on standard error"`
}

// Listener is a listener for decisions.
type Listener struct {
	Address           string `yaml:"address" required:"true" help:"host:port; an IP address or localhost"`
	TLS               *TLS   `yaml:"tls" help:"serve TLS 1.2 or newer; required beyond loopback"`
	InsecurePlaintext bool   `yaml:"insecure_plaintext" default:"false" help:"listen beyond loopback without TLS: whoever reads the network reads tokens"`
}

// TLS is a listener's certificate. The files are read again when they change.
type TLS struct {
	Certificate string `yaml:"certificate" required:"true" help:"PEM file: the certificate and its chain"`
	Key         string `yaml:"key" required:"true" help:"PEM file with the private key; must not be accessible to others"`
	ClientCA    string `yaml:"client_ca" help:"PEM file; clients must show a certificate of one of these authorities"`
}

// Health is the listener for probes and metrics.
type Health struct {
	Address string `yaml:"address" default:"127.0.0.1:9402" help:"host:port; may be beyond loopback, because it serves no identity"`
}

// Tenant is a ReachFive tenant with the clients whose tokens are accepted.
type Tenant struct {
	Domain           string        `yaml:"domain" required:"true" help:"the tenant's domain, such as acme.reach5.net"`
	ClientIDs        []string      `yaml:"client_ids" required:"true" help:"clients whose tokens are accepted; exactly one with HS256"`
	Algorithm        string        `yaml:"algorithm" default:"RS256" help:"RS256 or HS256, as chosen for the client in ReachFive's console"`
	ClientSecretFile string        `yaml:"client_secret_file" help:"HS256: file with the client secret; must not be accessible to others"`
	ClientSecretEnv  string        `yaml:"client_secret_env" help:"HS256: environment variable with the client secret"`
	Issuer           string        `yaml:"issuer" help:"the tokens' iss; by default https:// and the domain"`
	JWKSURL          string        `yaml:"jwks_url" help:"where the keys are; by default https:// and the domain, then /jwks.json"`
	Discovery        bool          `yaml:"discovery" default:"false" help:"read jwks_uri from the tenant's openid-configuration"`
	CAFile           string        `yaml:"ca_file" help:"PEM file with the authorities to trust for the key fetch, instead of the system's"`
	KeyStoreFile     string        `yaml:"key_store_file" help:"keeps the last good keys across restarts; whoever can write it can sign in as anyone"`
	MaxStale         time.Duration `yaml:"max_stale" default:"24h" help:"how long the last good keys serve while fetches fail"`
	Leeway           time.Duration `yaml:"leeway" default:"0s" help:"how long after its exp a token is still accepted; at most 5m"`
}

// Policy is what a request must meet.
type Policy struct {
	Tenants  []string `yaml:"tenants" required:"true" help:"names of the tenants whose users may pass"`
	Optional bool     `yaml:"optional" default:"false" help:"let a request without a token pass as anonymous; a bad token is still refused"`
	Checks   Checks   `yaml:"checks" help:"what the token must meet besides being valid"`
	Headers  []Header `yaml:"headers" help:"further identity headers for the backend, the most important first"`
}

// Checks are the ready-made checks of package reachfive.
type Checks struct {
	MaxAge        time.Duration `yaml:"max_age" help:"the sign-in (auth_time) is not older"`
	MaxTokenAge   time.Duration `yaml:"max_token_age" help:"the token (iat) is not older"`
	ACR           []string      `yaml:"acr" help:"acr is one of these"`
	AMR           []string      `yaml:"amr" help:"amr has all of these"`
	AuthType      []string      `yaml:"auth_type" help:"auth_type is one of these"`
	EmailVerified bool          `yaml:"email_verified" default:"false" help:"the token has a verified e-mail address"`
}

// Header is an identity header that the policy adds to the fixed ones.
type Header struct {
	Name  string `yaml:"name" required:"true" help:"begins with X-Reachfive-"`
	Claim string `yaml:"claim" required:"true" help:"the claim to send, such as email or custom_fields.plan"`
}

// Limits bound what clients can use up.
type Limits struct {
	Connections int `yaml:"connections" default:"4096" help:"open connections, per listener; further ones wait"`
	HeaderBytes int `yaml:"header_bytes" default:"32768" help:"size of a request's header; more is answered 431"`
}

// Drain is the end of the process.
type Drain struct {
	Delay   time.Duration `yaml:"delay" default:"5s" help:"how long to serve on with /readyz at 503, so that proxies stop sending"`
	Timeout time.Duration `yaml:"timeout" default:"20s" help:"how long requests may then take to finish"`
}

// Log configures the log.
type Log struct {
	Level string `yaml:"level" default:"info" help:"debug, info, warn or error; debug logs every refusal with its code"`
}

// Parse reads a configuration. The problems are those of the text alone;
// further checks add theirs to it. Config is never nil.
func Parse(text []byte) (*Config, *Problems) {
	cfg := new(Config)
	d := &decoder{problems: &Problems{positions: map[string]position{}}}
	if d.document(text, cfg) {
		cfg.check(d.problems)
	}
	return cfg, d.problems
}

// Read reads a configuration file. Its error is that of reading the file.
func Read(path string) (*Config, *Problems, error) {
	text, err := readAtMost(path, maxFileBytes)
	if err != nil {
		return nil, nil, err
	}
	cfg, problems := Parse(text)
	problems.file = path
	return cfg, problems, nil
}

// LookupEnv is os.LookupEnv, or a test's.
type LookupEnv func(string) (string, bool)

// OSEnv reads the process's environment.
func OSEnv() LookupEnv { return os.LookupEnv }
