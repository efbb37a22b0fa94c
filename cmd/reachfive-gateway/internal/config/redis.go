package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Redis is the Redis or Valkey deployment that all gateways share.
type Redis struct {
	Addresses         []string   `yaml:"addresses" required:"true" help:"host:port of the server, of all sentinels, or of some nodes of a cluster"`
	MasterName        string     `yaml:"master_name" help:"Sentinel: the name of the master"`
	Username          string     `yaml:"username" help:"ACL user; see docs/fleet.md for the rights it needs"`
	PasswordFile      string     `yaml:"password_file" help:"file with the password; must not be accessible to others"`
	PasswordEnv       string     `yaml:"password_env" help:"environment variable with the password"`
	Database          int        `yaml:"database" default:"0" help:"number of the database"`
	TLS               bool       `yaml:"tls" default:"false" help:"connect with TLS; required beyond loopback"`
	CAFile            string     `yaml:"ca_file" help:"PEM file with the authorities to trust, instead of the system's"`
	InsecurePlaintext bool       `yaml:"insecure_plaintext" default:"false" help:"connect beyond loopback without TLS or without a password: whoever can write to Redis can end sign-outs and replace shared keys"`
	Prefix            string     `yaml:"prefix" default:"reachfive" help:"what every key name starts with"`
	SharedKeys        SharedKeys `yaml:"shared_keys" help:"one gateway fetches the keys of a tenant for all"`
	SignOuts          SignOuts   `yaml:"sign_outs" help:"sign-outs: tokens of users who were signed out are refused"`
}

// SharedKeys are the options of reachfiveredis.Keys.
type SharedKeys struct {
	Enabled        bool     `yaml:"enabled" default:"false" help:"share the keys; the Redis user then needs the right to write them, and whoever has it can sign in as anyone"`
	RecordKeyFiles []string `yaml:"record_key_files" help:"files with 32 random bytes or more each, the same on all gateways; records are signed with the first and verified with all"`
}

// SignOuts are the options of package reachfiveredis.
type SignOuts struct {
	Retention        time.Duration `yaml:"retention" default:"720h" help:"how long a sign-out is kept; the same everywhere"`
	MaxSilence       time.Duration `yaml:"max_silence" default:"5m" help:"how long decisions go on while Redis is silent; then every token is answered 503"`
	MaxEntries       int           `yaml:"max_entries" default:"2000000" help:"entries at which sign-out fails"`
	Replicas         int           `yaml:"replicas" default:"0" help:"Redis replicas that must confirm a sign-out"`
	SignInFromIAT    bool          `yaml:"sign_in_from_iat" default:"false" help:"take iat for the sign-in of a token without auth_time"`
	InsecureFailOpen bool          `yaml:"insecure_fail_open" default:"false" help:"accept tokens while the sign-outs are not known"`
}

func (r *Redis) check(p *Problems) {
	if r == nil {
		return
	}
	beyond := false
	for i, address := range r.Addresses {
		host, _, err := net.SplitHostPort(address)
		if err != nil || host == "" {
			p.Add(fmt.Sprintf("redis.addresses[%d]", i), "want host:port such as redis.internal:6379")
			continue
		}
		addr, err := netip.ParseAddr(host)
		beyond = beyond || host != "localhost" && (err != nil || !addr.Unmap().IsLoopback())
	}
	if r.PasswordFile != "" && r.PasswordEnv != "" {
		p.Add("redis.password_env", "cannot be combined with password_file; remove one")
	}
	if secure := r.TLS && (r.PasswordFile != "" || r.PasswordEnv != ""); beyond && !secure && !r.InsecurePlaintext {
		p.Add("redis.addresses", "is beyond loopback without TLS and a password, so that others on the network could end sign-outs; write tls: true and password_file, or set insecure_plaintext if the network is trusted")
	}
	if r.CAFile != "" && !r.TLS {
		p.Add("redis.ca_file", "has no effect without tls: true")
	}
	if len(r.SharedKeys.RecordKeyFiles) > 0 && !r.SharedKeys.Enabled {
		p.Add("redis.shared_keys.record_key_files", "has no effect without enabled: true")
	}
	if r.Database < 0 {
		p.Add("redis.database", "want 0 or more, not %d", r.Database)
	}
	r.SignOuts.check(p)
}

// check tells at their keys what package reachfiveredis would refuse under other
// names.
func (s SignOuts) check(p *Problems) {
	if s.Retention < time.Hour || s.Retention > 366*24*time.Hour || s.Retention%time.Second != 0 {
		p.Add("redis.sign_outs.retention", "want 1h to 8784h, in whole seconds")
	}
	if s.MaxSilence < 10*time.Second {
		p.Add("redis.sign_outs.max_silence", "want 10s or more")
	}
	if s.MaxEntries < 1 {
		p.Add("redis.sign_outs.max_entries", "want 1 or more, not %d", s.MaxEntries)
	}
	if s.Replicas < 0 {
		p.Add("redis.sign_outs.replicas", "want 0 or more, not %d", s.Replicas)
	}
}

// Password returns the password, "" if there is none. An error does not contain
// it, and names the key that is wrong.
func (r *Redis) Password(lookup LookupEnv) (password, key string, err error) {
	switch {
	case r.PasswordFile != "":
		text, err := ReadSecretFile(r.PasswordFile)
		if password = strings.TrimRight(string(text), "\r\n"); err == nil && password == "" {
			err = errors.New("the file is empty")
		}
		return password, "redis.password_file", err
	case r.PasswordEnv != "":
		if password, _ = lookup(r.PasswordEnv); password == "" {
			err = fmt.Errorf("the environment variable %s is not set", r.PasswordEnv)
		}
		return password, "redis.password_env", err
	}
	return "", "", nil
}

// RecordKeys returns the keys that authenticate key records. An error contains
// none of them, and names the key of the configuration that is wrong.
func (r *Redis) RecordKeys() (keys [][]byte, key string, err error) {
	for i, path := range r.SharedKeys.RecordKeyFiles {
		text, err := ReadSecretFile(path)
		if err != nil {
			return nil, fmt.Sprintf("redis.shared_keys.record_key_files[%d]", i), err
		}
		keys = append(keys, bytes.TrimRight(text, "\r\n"))
	}
	return keys, "", nil
}

// ClientTLS is the configuration of TLS connections, nil for none.
func (r *Redis) ClientTLS() (*tls.Config, error) {
	if !r.TLS {
		return nil, nil //nolint:nilnil // no TLS
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.CAFile == "" {
		return cfg, nil
	}
	text, err := ReadFile(r.CAFile)
	if err != nil {
		return nil, err
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(text) {
		return nil, errors.New("the file has no certificate in PEM form")
	}
	return cfg, nil
}
