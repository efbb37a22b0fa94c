package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// gatewayLoad is how wrk asks: saturation of one proxy worker.
const (
	gatewayLoad        = 3 * time.Second
	gatewayConnections = 32
)

// subject is what answers a proxy's question, or the proxy itself.
type subject struct {
	name  string
	start func(*fleet) (url string, err error)
}

// gateway compares what a proxy serves per second: alone, with the gateway, and
// with what others use in the gateway's place.
func (b *bench) gateway() string {
	f, err := newFleet(b.root)
	if err != nil {
		return "Not measured: " + err.Error() + "\n"
	}
	defer f.close()
	subjects := []subject{
		{"nginx alone", (*fleet).bare},
		{"nginx and reachfive-gateway", func(f *fleet) (string, error) { return f.gateway(10_000) }},
		{"the same, without its token cache", func(f *fleet) (string, error) { return f.gateway(0) }},
		{"nginx and oauth2-proxy", (*fleet).oauth2Proxy},
		{"HAProxy's jwt_verify, in process", (*fleet).haproxy},
	}
	var left []string
	urls := map[string]string{}
	for _, s := range subjects {
		url, err := s.start(f)
		if err != nil {
			left = append(left, s.name+": "+err.Error())
			continue
		}
		if good, err := f.answers(url, f.token); err != nil || good != http.StatusOK {
			left = append(left, fmt.Sprintf("%s: a good token was answered %d", s.name, good))
			continue
		}
		urls[s.name] = url
	}
	rates := map[string][]float64{}
	for range b.runs {
		// Interleaved, so that all share what the machine does meanwhile.
		for _, s := range subjects {
			url, started := urls[s.name]
			if !started {
				continue
			}
			rate, err := f.load(url)
			if err != nil {
				left = append(left, s.name+": "+err.Error())
				delete(urls, s.name)
				continue
			}
			rates[s.name] = append(rates[s.name], rate)
		}
	}
	var rows [][]string
	first := median(rates[subjects[0].name])
	for _, s := range subjects {
		values := rates[s.name]
		if len(values) < b.runs {
			continue
		}
		b.steady.add(s.name, spread(values))
		rows = append(rows, []string{s.name, fmt.Sprintf("%.0f", median(values)), ratio(median(values) / first), percent(spread(values))})
	}
	text := fmt.Sprintf("wrk with %d connections, RS256 with a key of 2048 bits, the same token, one worker of the proxy, a constant backend, median of %d interleaved rounds of %v:\n\n",
		gatewayConnections, b.runs, gatewayLoad) + table([]string{"", "requests/s", "to " + subjects[0].name, "spread"}, rows)
	if len(left) > 0 {
		text += "\nLeft out: " + strings.Join(left, "; ") + ".\n"
	}
	return text
}

// load is what wrk gets per second. A run with an answer other than 2xx counts
// for nothing.
func (f *fleet) load(url string) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), gatewayLoad+30*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, f.wrk, "-t1", "-c"+strconv.Itoa(gatewayConnections), "-d"+gatewayLoad.String(), //nolint:gosec // found on the PATH
		"-H", "Authorization: Bearer "+f.token, url)
	output, err := command.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("wrk: %w: %s", err, output)
	}
	if bytes.Contains(output, []byte("Non-2xx")) || bytes.Contains(output, []byte("Socket errors")) {
		return 0, fmt.Errorf("not every answer was 2xx: %s", bytes.TrimSpace(output))
	}
	found := regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`).FindSubmatch(output)
	if found == nil {
		return 0, fmt.Errorf("wrk said no rate: %s", output)
	}
	return strconv.ParseFloat(string(found[1]), 64)
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

// answers is the status that a token gets.
func (f *fleet) answers(url, token string) (int, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
