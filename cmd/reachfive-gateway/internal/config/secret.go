package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxSecretBytes bounds a file with a secret.
const maxSecretBytes = 1 << 20

// Secret returns the tenant's client secret from its file or from the
// environment. An error does not contain it.
func (t Tenant) Secret(lookup LookupEnv) (string, error) {
	if t.ClientSecretFile != "" {
		text, err := ReadSecretFile(t.ClientSecretFile)
		if err != nil {
			return "", err
		}
		// A text editor ends the last line.
		secret := strings.TrimRight(string(text), "\r\n")
		if secret == "" {
			return "", errors.New("the file is empty")
		}
		return secret, nil
	}
	secret, set := lookup(t.ClientSecretEnv)
	if !set || secret == "" {
		return "", fmt.Errorf("the environment variable %s is not set", t.ClientSecretEnv)
	}
	return secret, nil
}

// ReadSecretFile reads a file that others have no access to. Its group may have
// access and the path may be a symbolic link, because that is how Kubernetes
// mounts a Secret.
func ReadSecretFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, readError(err)
	}
	if mode := info.Mode(); mode.IsRegular() && mode.Perm()&0o007 != 0 {
		return nil, fmt.Errorf("others have access to the file (mode %04o); run chmod o-rwx on it", mode.Perm())
	}
	return readAtMost(path, maxSecretBytes)
}

// readAtMost reads a regular file.
func readAtMost(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, readError(err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, readError(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, readError(err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("the file is larger than %d bytes", limit)
	}
	return text, nil
}

// readError says why a file cannot be read, without its path: the message that
// it becomes part of has the key that names it.
func readError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such file")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("the gateway's user may not read the file")
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// ReadFile reads a file that is not secret.
func ReadFile(path string) ([]byte, error) { return readAtMost(path, maxSecretBytes) }
