//go:build unix

package reachfive

import (
	"errors"
	"os"
	"syscall"
)

const ownFiles = true

var (
	errNotRegular = errors.New("the key store is not a regular file")
	errForeign    = errors.New("the key store belongs to another user")
	errWritable   = errors.New("group or others can write to the key store")
)

// openOwn opens the file at path for reading, if only this process's user can have
// written it. It checks the file that is open, so no other file can take its place
// in between.
func openOwn(path string) (*os.File, error) {
	// O_NONBLOCK, because opening a FIFO blocks until somebody writes to it.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) //nolint:gosec // the caller chose the file
	switch {
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO): // a link, a socket
		return nil, errNotRegular
	case err != nil:
		return nil, err
	}
	if err := checkOwn(file); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

func checkOwn(file *os.File) error {
	stat, err := file.Stat()
	if err != nil {
		return err
	}
	system, ok := stat.Sys().(*syscall.Stat_t)
	switch {
	case !stat.Mode().IsRegular():
		return errNotRegular
	case !ok || int64(system.Uid) != int64(os.Geteuid()):
		return errForeign
	case stat.Mode().Perm()&0o022 != 0:
		return errWritable
	}
	return nil
}

// syncDirectory makes a rename survive a loss of power.
func syncDirectory(path string) error {
	directory, err := os.Open(path) //nolint:gosec // the directory of that file
	if err != nil {
		return err
	}
	err = directory.Sync()
	return errors.Join(err, directory.Close())
}
