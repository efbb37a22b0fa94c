package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/header"
)

// nginxRecipe is deploy/nginx/nginx.conf.
//
//go:embed nginx.conf
var nginxRecipe string

// front is the proxy.
type front struct {
	served

	name string
}

func startProxy(ctx context.Context, gateway, backend string, lookPath func(string) (string, error)) (*front, error) {
	nginx, err := lookPath("nginx")
	if err != nil {
		proxy, err := serve(ctx, goProxy(gateway, backend))
		if err != nil {
			return nil, err
		}
		return &front{*proxy, "a proxy in Go (nginx is not installed)"}, nil
	}
	return startNginx(ctx, nginx, gateway, backend)
}

// startNginx runs the recipe, on a loopback port and without TLS.
func startNginx(ctx context.Context, nginx, gateway, backend string) (*front, error) {
	dir, err := os.MkdirTemp("", "reachfive-gateway-demo-")
	if err != nil {
		return nil, err
	}
	address, denied, err := twoFreeAddresses(ctx)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	text := plainRecipe("listen 80;", "listen "+address+";", "127.0.0.1:9400", gateway, "127.0.0.1:9403", gateway,
		"127.0.0.1:8080", backend, "127.0.0.1:9409", denied)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	directives := "daemon off;"
	if os.Geteuid() == 0 {
		directives += " user root;" // the workers write into dir
	}
	var output bytes.Buffer
	command := exec.Command(nginx, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", path, "-g", directives) //nolint:gosec,noctx // stop ends it
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	stop := func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		ended <- <-ended // it has one place
		_ = os.RemoveAll(dir)
	}
	if err := awaitListener(ctx, address, ended); err != nil {
		stop()
		return nil, fmt.Errorf("nginx: %w\n%s", err, output.String())
	}
	return &front{served{address, stop}, "nginx"}, nil
}

// plainRecipe is the recipe without TLS, with replacements made.
func plainRecipe(replace ...string) string {
	var kept []string
	for line := range strings.Lines(nginxRecipe) {
		if !strings.Contains(line, "listen 443") && !strings.Contains(line, "ssl_certificate") {
			kept = append(kept, line)
		}
	}
	return strings.NewReplacer(replace...).Replace(strings.Join(kept, ""))
}

// awaitListener waits until somebody listens on address.
func awaitListener(ctx context.Context, address string, ended chan error) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-ended:
			ended <- err
			return errors.New("it has ended")
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func twoFreeAddresses(ctx context.Context) (first, second string, err error) {
	one, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer func() { _ = one.Close() }()
	two, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	return one.Addr().String(), two.Addr().String(), two.Close()
}

// goProxy does what the recipes tell proxies to do.
func goProxy(gateway, backend string) http.Handler {
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: backend})
	}}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}, Timeout: 10 * time.Second}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if strings.HasPrefix(strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name)), "x-reachfive") {
				delete(r.Header, name)
			}
		}
		policy := policyOf(r.URL.Path)
		if policy == "" {
			forward.ServeHTTP(w, r)
			return
		}
		question, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://"+gateway+"/auth/"+policy, http.NoBody)
		if err != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		question.Header["Authorization"] = r.Header["Authorization"]
		answer, err := client.Do(question)
		if err != nil {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "the token could not be checked", http.StatusServiceUnavailable)
			return
		}
		defer func() { _ = answer.Body.Close() }()
		decision := answer.Header.Get(header.Decision)
		switch {
		case answer.StatusCode != http.StatusOK:
			refuse(w, answer)
			return
		case decision != header.Allow && (decision != header.Anonymous || policy != "site"):
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		for name, values := range answer.Header {
			if strings.HasPrefix(name, header.Prefix) {
				r.Header[name] = values
			}
		}
		forward.ServeHTTP(w, r)
	})
}

// policyOf is the policy of a path as in the recipes, "" if no token is read.
func policyOf(path string) string {
	for prefix, policy := range map[string]string{"/api/": "api", "/payout/": "payout", "/public/": ""} {
		if strings.HasPrefix(path, prefix) {
			return policy
		}
	}
	return "site"
}

// refuse hands the gateway's refusal on.
func refuse(w http.ResponseWriter, answer *http.Response) {
	for _, name := range []string{"Www-Authenticate", "Retry-After", "Cache-Control", "Content-Type"} {
		if value := answer.Header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(answer.StatusCode)
	var body json.RawMessage
	if json.NewDecoder(answer.Body).Decode(&body) == nil {
		_, _ = w.Write(body)
	}
}
