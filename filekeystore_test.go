//go:build unix

package reachfive_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

func TestKeyFileStoreKeepsOneFileOfItsOwn(t *testing.T) {
	path, list := storePath(t)
	store := reachfive.FileKeyStore(path)
	record, err := store.Load(t.Context())
	require.NoError(t, err)
	assert.Nil(t, record, "nothing is stored")
	for _, want := range []string{"first", "the second, which is longer", "third"} {
		require.NoError(t, store.Save(t.Context(), []byte(want)))
		record, err = store.Load(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, string(record))
		assert.Equal(t, []string{"keys.json"}, list())
		stat, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), stat.Mode())
	}
}

func TestKeyFileStoreKeepsItsPathWhenTheWorkingDirectoryChanges(t *testing.T) {
	directory := t.TempDir()
	t.Chdir(directory)
	store := reachfive.FileKeyStore("keys.json")
	t.Chdir(t.TempDir())
	require.NoError(t, store.Save(t.Context(), []byte("record")))
	assert.FileExists(t, filepath.Join(directory, "keys.json"))
}

func TestKeyFileStoreRefusesAFileThatOthersMayHaveWritten(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, path string) string
	}{
		{"group can write", func(t *testing.T, path string) string {
			require.NoError(t, os.Chmod(path, 0o620))
			return path
		}},
		{"others can write", func(t *testing.T, path string) string {
			require.NoError(t, os.Chmod(path, 0o602))
			return path
		}},
		{"a symbolic link", func(t *testing.T, path string) string {
			require.NoError(t, os.Symlink(path, path+".link"))
			return path + ".link"
		}},
		{"a directory", func(t *testing.T, path string) string {
			require.NoError(t, os.Mkdir(path+".d", 0o700))
			return path + ".d"
		}},
		{"a FIFO", func(t *testing.T, path string) string {
			require.NoError(t, syscall.Mkfifo(path+".fifo", 0o600))
			return path + ".fifo"
		}},
		{"a device", func(*testing.T, string) string { return os.DevNull }},
		{"of another user", func(t *testing.T, path string) string {
			if os.Geteuid() != 0 {
				return "/etc/passwd"
			}
			require.NoError(t, os.Chown(path, 12345, -1))
			return path
		}},
		{"too large", func(t *testing.T, path string) string {
			require.NoError(t, os.Truncate(path, 1<<20+1))
			return path
		}},
		{"without a path", func(*testing.T, string) string { return "" }},
		{"under a file", func(_ *testing.T, path string) string { return path + "/keys.json" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path, _ := storePath(t)
			require.NoError(t, os.WriteFile(path, []byte("{}"), 0o600))
			record, err := reachfive.FileKeyStore(tt.make(t, path)).Load(t.Context())
			require.Error(t, err)
			assert.Nil(t, record)
		})
	}
}

func TestKeyFileStoreThatCannotSaveLeavesEverythingAsItWas(t *testing.T) {
	path, list := storePath(t)
	store := reachfive.FileKeyStore(path)
	require.NoError(t, store.Save(t.Context(), []byte("record")))

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, store.Save(ended, []byte("late")), context.Canceled)
	require.NoError(t, os.Mkdir(path+".d", 0o700))
	require.Error(t, reachfive.FileKeyStore(path+".d").Save(t.Context(), []byte("x")))
	require.Error(t, reachfive.FileKeyStore(filepath.Join(path+".none", "x")).Save(t.Context(), []byte("x")))
	require.Error(t, reachfive.FileKeyStore("").Save(t.Context(), []byte("x")))

	assert.Equal(t, []string{"keys.json", "keys.json.d"}, list())
	record, err := store.Load(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "record", string(record))
}

func TestKeyFileStoreReplacesALinkAndNotWhatItLeadsTo(t *testing.T) {
	path, _ := storePath(t)
	other := path + ".other"
	require.NoError(t, os.WriteFile(other, []byte("untouched"), 0o600))
	require.NoError(t, os.Symlink(other, path))
	require.NoError(t, reachfive.FileKeyStore(path).Save(t.Context(), []byte("record")))
	text, err := os.ReadFile(other)
	require.NoError(t, err)
	assert.Equal(t, "untouched", string(text))
}

func TestKeyFileStoreRemovesWhatADeadProcessHasLeft(t *testing.T) {
	path, list := storePath(t)
	directory := filepath.Dir(path)
	for name, age := range map[string]time.Duration{
		".keys.json.123.tmp": time.Hour, ".keys.json.456.tmp": 0, ".other.json.789.tmp": time.Hour,
		".keys.json.notes.tmp": time.Hour, "keys.json.tmp": time.Hour,
	} {
		file := filepath.Join(directory, name)
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		then := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(file, then, then))
	}
	require.NoError(t, reachfive.FileKeyStore(path).Save(t.Context(), []byte("record")))
	assert.Equal(t, []string{".keys.json.456.tmp", ".keys.json.notes.tmp", ".other.json.789.tmp", "keys.json", "keys.json.tmp"}, list())
}

func TestKeyFileStoreIsReadAsAWholeWhileItIsWritten(t *testing.T) {
	path, list := storePath(t)
	var writers sync.WaitGroup
	for _, letter := range []string{"a", "b"} {
		require.NoError(t, reachfive.FileKeyStore(path).Save(t.Context(), []byte(strings.Repeat(letter, 100_000))))
		writers.Go(func() {
			for range 50 {
				assert.NoError(t, reachfive.FileKeyStore(path).Save(t.Context(), []byte(strings.Repeat(letter, 100_000))))
			}
		})
	}
	for range 500 {
		record, err := reachfive.FileKeyStore(path).Load(t.Context())
		require.NoError(t, err)
		require.Len(t, record, 100_000)
		require.Empty(t, strings.Trim(string(record), string(record[:1])))
	}
	writers.Wait()
	assert.Equal(t, []string{"keys.json"}, list())
}

func TestKeyFileStoreThatIsRefusedCostsALineThatSaysWhy(t *testing.T) {
	path, _ := storePath(t)
	require.NoError(t, os.WriteFile(path, []byte("{}"), 0o600))
	require.NoError(t, os.Chmod(path, 0o666))
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, reachfive.WithKeyStore(storeFuncs{load: reachfive.FileKeyStore(path).Load}))
		w.accepts(w.Token())
		log := w.logged()
		require.Len(t, log, 2)
		assert.Contains(t, log[0], "group or others can write to the key store")
	})
}
