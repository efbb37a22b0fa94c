package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

// fleet is the processes of the section about the gateway.
type fleet struct {
	root, dir         string
	tenant            *reachfivetest.Tenant
	token             string
	backend           string // host:port of nginx with a constant answer
	nginxProgram, wrk string
	fortio            string // "" if there is none
	processes         []*exec.Cmd
}

// newFleet makes a tenant and the backend.
func newFleet(root string) (*fleet, error) {
	nginx, err := find("NGINX", "nginx")
	if err != nil {
		return nil, err
	}
	wrk, err := find("WRK", "wrk")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "reachfive-bench-")
	if err != nil {
		return nil, err
	}
	f := &fleet{root: root, dir: dir, nginxProgram: nginx, wrk: wrk}
	f.fortio, _ = find("FORTIO", "fortio")
	if err := f.prepare(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *fleet) prepare() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	if f.tenant, err = reachfivetest.Start(reachfivetest.WithKeys(key)); err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	f.token = f.tenant.Token(reachfivetest.Claim("email_verified", true))
	f.file("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
	f.file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.tenant.Certificate().Raw})))
	port := f.port()
	f.backend = fmt.Sprintf("127.0.0.1:%d", port)
	dir := filepath.Join(f.dir, "backend")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	config := f.file("backend/nginx.conf", fmt.Sprintf(`worker_processes 1;
pid nginx.pid;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    keepalive_requests 1000000000;
    large_client_header_buffers 4 32k;
    server { listen %s; return 200 "ok"; }
}
`, f.backend))
	return f.run(port, nil, f.nginxProgram, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", config, "-g", "daemon off;")
}

// find is a program by its variable, or else on the PATH.
func find(variable, name string) (string, error) {
	if path := os.Getenv(variable); path != "" {
		return path, nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("there is no %s (set %s to its path)", name, variable)
}

// file writes a file of the fleet. A failure shows when a program reads it.
func (f *fleet) file(name, text string) string {
	path := filepath.Join(f.dir, name)
	_ = os.WriteFile(path, []byte(text), 0o600)
	return path
}

// port is a free one, 0 if there is none.
func (f *fleet) port() int {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0
	}
	defer func() { _ = listener.Close() }()
	if address, ok := listener.Addr().(*net.TCPAddr); ok {
		return address.Port
	}
	return 0
}

// keysURL needs no resolver.
func (f *fleet) keysURL() string {
	return "https://127.0.0.1" + f.tenant.Domain[strings.LastIndexByte(f.tenant.Domain, ':'):] + "/jwks.json"
}

// run starts a program and waits until it listens.
func (f *fleet) run(port int, environment []string, program string, args ...string) error {
	var output bytes.Buffer
	command := exec.Command(program, args...) //nolint:gosec,noctx // close ends it
	command.Env = append(os.Environ(), environment...)
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		return err
	}
	f.processes = append(f.processes, command)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return conn.Close()
		}
	}
	return errors.New(filepath.Base(program) + " does not listen")
}

func (f *fleet) close() {
	for _, command := range f.processes {
		_ = command.Process.Signal(os.Interrupt)
		ended := make(chan struct{})
		go func() {
			_ = command.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = command.Process.Kill()
			<-ended
		}
	}
	if f.tenant != nil {
		_ = f.tenant.Close()
	}
	_ = os.RemoveAll(f.dir)
}
