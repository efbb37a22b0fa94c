package main

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the kernel end the server when this process ends, however
// that happens.
func endWithParent(server *exec.Cmd) {
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
