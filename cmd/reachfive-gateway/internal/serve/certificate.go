package serve

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
)

// lookEvery is how often the files of a certificate are looked at, at most.
const lookEvery = time.Second

// certificate is a listener's certificate. Its files are read again when they
// change; while the new ones are unusable the old ones serve on.
type certificate struct {
	files     config.TLS
	protocols []string // for ALPN
	log       *slog.Logger

	mu     sync.Mutex
	looked time.Time
	stamps [3]stamp
	config *tls.Config
	leaf   *x509.Certificate
}

// stamp tells a file from its successor.
type stamp struct {
	modified time.Time
	size     int64
}

// loadCertificate reads the files for the first time.
func loadCertificate(files config.TLS, protocols []string, log *slog.Logger) (*certificate, error) {
	c := &certificate{files: files, protocols: protocols, log: log, looked: time.Now()}
	c.stamps = c.stat()
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// NotAfter is when the certificate expires.
func (c *certificate) NotAfter() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaf.NotAfter
}

// serverConfig is the tls.Config of the listener.
func (c *certificate) serverConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: c.protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return c.current(), nil
		},
	}
}

// current looks at the files, at most once per lookEvery.
func (c *certificate) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= lookEvery {
		c.looked = now
		if stamps := c.stat(); stamps != c.stamps {
			c.stamps = stamps
			if err := c.load(); err != nil {
				c.log.Error("the changed certificate is unusable; the old one serves on", "certificate", c.files.Certificate, "error", err)
			} else {
				c.log.Info("certificate read again", "certificate", c.files.Certificate, "not_after", c.leaf.NotAfter)
			}
		}
	}
	return c.config
}

func (c *certificate) stat() (stamps [3]stamp) {
	for i, path := range []string{c.files.Certificate, c.files.Key, c.files.ClientCA} {
		if path == "" {
			continue
		}
		if info, err := os.Stat(path); err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

// load replaces the certificate, or leaves everything as it was.
func (c *certificate) load() error {
	pair, leaf, err := LoadKeyPair(c.files)
	if err != nil {
		return err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: c.protocols, Certificates: []tls.Certificate{pair}}
	if c.files.ClientCA != "" {
		if cfg.ClientCAs, err = authorities(c.files.ClientCA); err != nil {
			return err
		}
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.config, c.leaf = cfg, leaf
	return nil
}

// fileError is a mistake in one of the files of a listener's TLS.
type fileError struct {
	key string
	err error
}

func (e *fileError) Error() string { return "tls." + e.key + ": " + e.err.Error() }

func (e *fileError) Unwrap() error { return e.err }

// LoadKeyPair reads a certificate that has not expired, and its key.
func LoadKeyPair(files config.TLS) (tls.Certificate, *x509.Certificate, error) {
	chain, err := config.ReadFile(files.Certificate)
	if err != nil {
		return tls.Certificate{}, nil, &fileError{"certificate", err}
	}
	key, err := config.ReadSecretFile(files.Key)
	if err != nil {
		return tls.Certificate{}, nil, &fileError{"key", err}
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return tls.Certificate{}, nil, &fileError{"certificate", errors.New("not a certificate and its key in PEM form: " + err.Error())}
	}
	if now := time.Now(); now.After(pair.Leaf.NotAfter) {
		return tls.Certificate{}, nil, &fileError{"certificate", fmt.Errorf("the certificate expired on %s; renew it", pair.Leaf.NotAfter.UTC().Format(time.DateOnly))}
	}
	return pair, pair.Leaf, nil
}

func authorities(path string) (*x509.CertPool, error) {
	text, err := config.ReadFile(path)
	if err != nil {
		return nil, &fileError{"client_ca", err}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, &fileError{"client_ca", errors.New("the file has no certificate in PEM form")}
	}
	return pool, nil
}

// CheckTLS adds what is wrong with a listener's files to problems.
func CheckTLS(files config.TLS, path string, problems *config.Problems) {
	add := func(err error) {
		if e, ok := errors.AsType[*fileError](err); ok {
			problems.Add(path+".tls."+e.key, "%s", e.err)
		}
	}
	if files.Certificate != "" && files.Key != "" {
		_, _, err := LoadKeyPair(files)
		add(err)
		// The first mistake must not hide one in the key's file.
		if e, ok := errors.AsType[*fileError](err); ok && e.key == "certificate" {
			if _, err := config.ReadSecretFile(files.Key); err != nil {
				add(&fileError{"key", err})
			}
		}
	}
	if files.ClientCA != "" {
		_, err := authorities(files.ClientCA)
		add(err)
	}
}
