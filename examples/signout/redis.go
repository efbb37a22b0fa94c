package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// startRedis starts a Redis server for the demo, which ends with this process:
// the program that REDIS_SERVER names, or redis-server in PATH, or else a
// stand-in inside this process.
func startRedis() (address, note string, err error) {
	name := os.Getenv("REDIS_SERVER")
	if name == "" {
		name = "redis-server"
	}
	program, err := exec.LookPath(name)
	if err != nil {
		standIn, err := miniredis.Run()
		if err != nil {
			return "", "", err
		}
		note = "There is no " + name + ": miniredis, a stand-in inside this process, takes its place."
		return standIn.Addr(), note, nil
	}
	if address, err = freeAddress(); err != nil {
		return "", "", err
	}
	_, port, _ := net.SplitHostPort(address)
	server := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no") //nolint:gosec,noctx // the user's own server, until this process ends
	endWithParent(server)
	if err := server.Start(); err != nil {
		return "", "", err
	}
	if err := listens(address); err != nil {
		return "", "", err
	}
	return address, "A redis-server listens on " + address + ".", nil
}

func freeAddress() (string, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// listens waits until something listens on address.
func listens(address string) (err error) {
	for range 500 {
		var conn net.Conn
		conn, err = new(net.Dialer).DialContext(context.Background(), "tcp", address)
		if err == nil {
			return conn.Close()
		}
		<-time.After(20 * time.Millisecond)
	}
	return fmt.Errorf("redis-server does not listen: %w", err)
}
