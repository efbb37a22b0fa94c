package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// subject is what answers a proxy's question, or the proxy itself.
type subject struct {
	name  string
	start func(*fleet) (url string, err error)
}

// The subjects that others are compared with.
const (
	alone       = "nginx alone"
	oauth2Proxy = "nginx and oauth2-proxy"
)

func subjects() []subject {
	return []subject{
		{alone, (*fleet).bare},
		{"nginx and reachfive-gateway", func(f *fleet) (string, error) { return f.gateway(10_000) }},
		{"nginx and reachfive-gateway, cache off", func(f *fleet) (string, error) { return f.gateway(0) }},
		{oauth2Proxy, (*fleet).oauth2Proxy},
		{"HAProxy's jwt_verify, in its own process", (*fleet).haproxy},
	}
}

// bare is nginx before the backend.
func (f *fleet) bare() (string, error) {
	return f.nginx("bare", "location / { proxy_pass http://backend; }", "")
}

// gateway is nginx before the backend, asking reachfive-gateway.
func (f *fleet) gateway(tokenCache int) (string, error) {
	name := "gateway" + strconv.Itoa(tokenCache)
	decision, health := f.port(), f.port()
	config := f.file(name+".yaml", fmt.Sprintf(`version: 1
decision: {address: "127.0.0.1:%d"}
health: {address: "127.0.0.1:%d"}
tenants: {main: {domain: %q, client_ids: [%s], jwks_url: %q, ca_file: %s}}
policies: {api: {tenants: [main]}}
token_cache: %d
`, decision, health, f.tenant.Domain, f.tenant.ClientID, f.keysURL(), filepath.Join(f.dir, "ca.pem"), tokenCache))
	program := filepath.Join(f.dir, "reachfive-gateway")
	if _, err := os.Stat(program); err != nil {
		build := exec.Command("go", "build", "-C", filepath.Join(f.root, "cmd", "reachfive-gateway"), "-o", program, ".") //nolint:gosec,noctx // our own program
		if output, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build: %w: %s", err, output)
		}
	}
	if err := f.run(decision, nil, program, "serve", "--config", config); err != nil {
		return "", err
	}
	return f.asking(name, fmt.Sprintf("http://127.0.0.1:%d/auth/api", decision))
}

// oauth2Proxy is nginx before the backend, asking oauth2-proxy.
func (f *fleet) oauth2Proxy() (string, error) {
	program, err := find("OAUTH2_PROXY", "oauth2-proxy")
	if err != nil {
		return "", err
	}
	port := f.port()
	err = f.run(port, []string{"SSL_CERT_FILE=" + filepath.Join(f.dir, "ca.pem")}, program,
		"--provider=oidc", "--oidc-issuer-url="+f.tenant.Issuer(), "--skip-oidc-discovery", "--oidc-jwks-url="+f.keysURL(),
		"--login-url="+f.tenant.Issuer()+"/oauth/authorize", "--redeem-url="+f.tenant.Issuer()+"/oauth/token",
		"--client-id="+f.tenant.ClientID, "--client-secret=none", "--cookie-secret=0123456789abcdef0123456789abcdef", "--email-domain=*",
		"--skip-jwt-bearer-tokens", "--upstream=static://202", fmt.Sprintf("--http-address=127.0.0.1:%d", port),
		"--request-logging=false", "--auth-logging=false")
	if err != nil {
		return "", err
	}
	return f.asking("oauth2-proxy", fmt.Sprintf("http://127.0.0.1:%d/oauth2/auth", port))
}

// asking is nginx with auth_request.
func (f *fleet) asking(name, question string) (string, error) {
	host := strings.Split(question, "/")[2]
	return f.nginx(name, `location / { auth_request /question; proxy_pass http://backend; }
        location = /question {
            internal;
            proxy_pass http://authority`+strings.TrimPrefix(question, "http://"+host)+`;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Connection "";
            proxy_http_version 1.1;
        }`, "upstream authority { server "+host+"; keepalive 64; }")
}

// haproxy verifies the signature itself, in C: no issuer, no audience, no key
// that changes.
func (f *fleet) haproxy() (string, error) {
	program, err := find("HAPROXY", "haproxy")
	if err != nil {
		return "", err
	}
	port := f.port()
	config := f.file("haproxy.cfg", fmt.Sprintf(`global
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend app
    bind 127.0.0.1:%d
    http-request set-var(txn.token) http_auth_bearer
    http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
    http-request deny deny_status 401 unless { var(txn.alg) -m str RS256 }
    http-request deny deny_status 401 unless { var(txn.token),jwt_verify(txn.alg,"%s") 1 }
    default_backend app
backend app
    server app %s
`, port, filepath.Join(f.dir, "key.pem"), f.backend))
	if err := f.run(port, nil, program, "-db", "-f", config); err != nil {
		return "", err
	}
	return fmt.Sprintf("http://127.0.0.1:%d/x", port), nil
}

// nginx runs one worker with these locations.
func (f *fleet) nginx(name, locations, more string) (string, error) {
	port := f.port()
	dir := filepath.Join(f.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	config := f.file(filepath.Join(name, "nginx.conf"), fmt.Sprintf(`worker_processes 1;
pid nginx.pid;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    keepalive_requests 1000000000;
    upstream backend { server %s; keepalive 64; }
    %s
    server {
        listen 127.0.0.1:%d;
        large_client_header_buffers 4 32k;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        %s
    }
}
`, f.backend, more, port, locations))
	if err := f.run(port, nil, f.nginxProgram, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", config, "-g", "daemon off;"); err != nil {
		return "", err
	}
	return fmt.Sprintf("http://127.0.0.1:%d/x", port), nil
}
