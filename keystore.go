package reachfive

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// maxRecordSize is more than the record of the largest document has. Package
	// keycache writes the records and reads them.
	maxRecordSize = 1 << 20
	// leftoverAge is the age from which a temporary file belongs to a process that
	// has died: a call of Save takes a second at most.
	leftoverAge = time.Minute
	// maxLeftovers bounds how many of them one Save removes.
	maxLeftovers = 16
)

// KeyStore keeps the last good key set outside of the process. It is called
// off the request path, except for the first load. Each call has one second; its
// context ends then. Calls to Save do not overlap, and one that hangs is not
// followed by another until it returns. Whoever can write to the store can sign
// in as anyone.
type KeyStore interface {
	// Load returns what was saved last, and nil if nothing was.
	Load(ctx context.Context) ([]byte, error)
	// Save replaces what was saved before. A record is a JSON object with the
	// issuer, the address and the text of the key set, and when it was fetched.
	Save(ctx context.Context, record []byte) error
}

// FileKeyStore returns a KeyStore that keeps the keys in the file at path, in a
// directory that exists and that this process can write to. The file is replaced
// atomically; several processes may share it.
//
// The file has mode 0600. It is read only if it is a regular file (no symbolic
// link) that belongs to the user of the process, and if neither group nor others
// can write to it: whoever can write to it can sign in as anyone. On a system
// without such users and modes, as on Windows, every call fails. A failure writes
// one line to the log and sets Status.StoreError.
func FileKeyStore(path string) KeyStore {
	if absolute, err := filepath.Abs(path); err == nil && path != "" {
		path = absolute // the working directory may change
	}
	return fileKeyStore{path}
}

type fileKeyStore struct{ path string }

var errNoOwnFiles = errors.New("this system does not tell who can write to a file")

// fileError is why the file cannot be used. It names the file and what is wrong
// with it, and is safe to log.
type fileError struct{ cause error }

func (e *fileError) Error() string { return e.cause.Error() }
func (e *fileError) Unwrap() error { return e.cause }

// SafeToLog implements keycache.SafeError.
func (*fileError) SafeToLog() {}

// Load implements KeyStore.
func (s fileKeyStore) Load(context.Context) ([]byte, error) {
	if s.path == "" {
		return nil, &fileError{errors.New("the path is empty")}
	}
	file, err := openOwn(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		// A first start has no file yet; but without a directory there never will
		// be one.
		if _, err := os.Stat(filepath.Dir(s.path)); err != nil {
			return nil, &fileError{err}
		}
		return nil, nil
	}
	if err != nil {
		return nil, &fileError{err}
	}
	defer func() { _ = file.Close() }()
	record, err := io.ReadAll(io.LimitReader(file, maxRecordSize+1))
	if err == nil && len(record) > maxRecordSize {
		err = errors.New("the file is too large")
	}
	if err != nil {
		return nil, &fileError{err}
	}
	return record, nil
}

// Save implements KeyStore. It gives up, and leaves the file as it was, if ctx
// ends before the new one is complete.
func (s fileKeyStore) Save(ctx context.Context, record []byte) error {
	if err := s.write(ctx, record); err != nil {
		return &fileError{err}
	}
	return nil
}

func (s fileKeyStore) write(ctx context.Context, record []byte) (err error) {
	if s.path == "" {
		return errors.New("the path is empty")
	}
	if !ownFiles {
		return errNoOwnFiles
	}
	directory, name := filepath.Split(s.path)
	file, err := os.CreateTemp(directory, "."+name+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(record)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = os.Rename(file.Name(), s.path)
	}
	if err != nil {
		return err
	}
	s.removeLeftovers(directory, name)
	return syncDirectory(directory)
}

// removeLeftovers removes the temporary files of processes that died while they
// wrote.
func (s fileKeyStore) removeLeftovers(directory, name string) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return
	}
	removed := 0
	for _, entry := range entries {
		// Only names that os.CreateTemp makes: digits in between.
		number, temporary := strings.CutPrefix(entry.Name(), "."+name+".")
		number, suffixed := strings.CutSuffix(number, ".tmp")
		if !temporary || !suffixed || strings.Trim(number, "0123456789") != "" || !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if err != nil || time.Since(info.ModTime()) < leftoverAge {
			continue
		}
		if err := os.Remove(filepath.Join(directory, entry.Name())); err == nil {
			removed++
		}
		if removed == maxLeftovers {
			return
		}
	}
}
