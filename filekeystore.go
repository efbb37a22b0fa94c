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
	// maxRecordSize is more than a record of a document of maxDocumentSize has.
	maxRecordSize = 1 << 20
	// leftoverAge is from when on a temporary file is one of a process that has
	// died: a call of Save takes a second at most.
	leftoverAge = time.Minute
	// maxLeftovers bounds what one Save does about them.
	maxLeftovers = 16
)

// FileKeyStore returns a KeyStore that keeps the keys in the file at path, in a
// directory that exists and that this process can write to. The file is
// replaced as a whole, so that whoever reads it sees one record or the other;
// several processes may share it.
//
// The file has mode 0600. It is read only if it is a regular file, no symbolic
// link, of the user that the process runs as, and if neither group nor others
// can write to it: whoever can write to it can sign in as anyone. Where there
// are no such users and modes, as on Windows, every call is an error, which
// costs a line in the log.
func FileKeyStore(path string) KeyStore {
	if absolute, err := filepath.Abs(path); err == nil && path != "" {
		path = absolute // whatever the working directory becomes
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

// Load implements KeyStore.
func (s fileKeyStore) Load(context.Context) ([]byte, error) {
	if s.path == "" {
		return nil, &fileError{errors.New("the path is empty")}
	}
	record, err := s.read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, &fileError{err}
	}
	return record, nil
}

func (s fileKeyStore) read() ([]byte, error) {
	file, err := openOwn(s.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	record, err := io.ReadAll(io.LimitReader(file, maxRecordSize+1))
	if err == nil && len(record) > maxRecordSize {
		err = errors.New("the file is too large")
	}
	return record, err
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

// removeLeftovers removes what processes have left that died while they wrote.
func (s fileKeyStore) removeLeftovers(directory, name string) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return
	}
	removed := 0
	for _, entry := range entries {
		// The name that os.CreateTemp has made, and no other: digits in between.
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
