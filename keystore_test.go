//go:build unix

package reachfive_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
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
		name   string
		make   func(t *testing.T, path string) string
		reason string
	}{
		{"group can write", func(t *testing.T, path string) string {
			require.NoError(t, os.Chmod(path, 0o620))
			return path
		}, "group or others can write to the key store"},
		{"others can write", func(t *testing.T, path string) string {
			require.NoError(t, os.Chmod(path, 0o602))
			return path
		}, "group or others can write to the key store"},
		{"a symbolic link", func(t *testing.T, path string) string {
			require.NoError(t, os.Symlink(path, path+".link"))
			return path + ".link"
		}, "the key store is not a regular file"},
		{"a directory", func(t *testing.T, path string) string {
			require.NoError(t, os.Mkdir(path+".d", 0o700))
			return path + ".d"
		}, "the key store is not a regular file"},
		{"a FIFO", func(t *testing.T, path string) string {
			require.NoError(t, syscall.Mkfifo(path+".fifo", 0o600))
			return path + ".fifo"
		}, "the key store is not a regular file"},
		{"a device", func(*testing.T, string) string { return os.DevNull }, "the key store is not a regular file"},
		{"of another user", func(t *testing.T, path string) string {
			if os.Geteuid() != 0 {
				return "/etc/passwd"
			}
			require.NoError(t, os.Chown(path, 12345, -1))
			return path
		}, "the key store belongs to another user"},
		{"too large", func(t *testing.T, path string) string {
			require.NoError(t, os.Truncate(path, 1<<20+1))
			return path
		}, "the file is too large"},
		{"without a path", func(*testing.T, string) string { return "" }, "the path is empty"},
		{"under a file", func(_ *testing.T, path string) string { return path + "/keys.json" }, "not a directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path, _ := storePath(t)
			require.NoError(t, os.WriteFile(path, []byte("{}"), 0o600))
			record, err := reachfive.FileKeyStore(tt.make(t, path)).Load(t.Context())
			require.ErrorContains(t, err, tt.reason)
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
		".keys.json.notes.tmp": time.Hour, "keys.json.tmp": time.Hour, "123.tmp": time.Hour, ".keys.json.123": time.Hour,
	} {
		file := filepath.Join(directory, name)
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		then := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(file, then, then))
	}
	require.NoError(t, reachfive.FileKeyStore(path).Save(t.Context(), []byte("record")))
	assert.Equal(t, []string{
		".keys.json.123", ".keys.json.456.tmp", ".keys.json.notes.tmp", ".other.json.789.tmp", "123.tmp", "keys.json", "keys.json.tmp",
	}, list())
}

// A directory or a link of such a name is nothing that a process of ours has
// made. Time passes until all of them are old.
func TestKeyFileStoreRemovesOnlyFiles(t *testing.T) {
	path, list := storePath(t)
	prefix := filepath.Join(filepath.Dir(path), ".keys.json.")
	require.NoError(t, os.Mkdir(prefix+"1.tmp", 0o700))
	require.NoError(t, os.Symlink(path, prefix+"2.tmp"))
	require.NoError(t, os.Symlink("nowhere", prefix+"3.tmp"))
	require.NoError(t, syscall.Mkfifo(prefix+"4.tmp", 0o600))
	require.NoError(t, os.WriteFile(prefix+"5.tmp", nil, 0o600))
	synctest.Test(t, func(t *testing.T) {
		advance(100 * 365 * 24 * time.Hour) // from the year 2000 on
		require.NoError(t, reachfive.FileKeyStore(path).Save(t.Context(), []byte("record")))
	})
	assert.Equal(t, []string{".keys.json.1.tmp", ".keys.json.2.tmp", ".keys.json.3.tmp", ".keys.json.4.tmp", "keys.json"}, list())
}

func TestKeyFileStoreRemovesSixteenLeftoversAtATime(t *testing.T) {
	path, list := storePath(t)
	then := time.Now().Add(-time.Hour)
	for i := range 20 {
		file := filepath.Join(filepath.Dir(path), ".keys.json."+strconv.Itoa(i)+".tmp")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		require.NoError(t, os.Chtimes(file, then, then))
	}
	for _, left := range []int{4, 0} {
		require.NoError(t, reachfive.FileKeyStore(path).Save(t.Context(), []byte("record")))
		assert.Len(t, list(), left+1)
	}
}

func TestKeyFileStoreClosesWhatItOpens(t *testing.T) {
	path, _ := storePath(t)
	good, refused := path+".good", path+".refused"
	require.NoError(t, os.WriteFile(good, []byte("record"), 0o600))
	require.NoError(t, os.WriteFile(refused, []byte("record"), 0o600))
	require.NoError(t, os.Chmod(refused, 0o666))
	use := func() {
		_, err := reachfive.FileKeyStore(good).Load(t.Context())
		require.NoError(t, err)
		_, err = reachfive.FileKeyStore(refused).Load(t.Context())
		require.Error(t, err)
		require.NoError(t, reachfive.FileKeyStore(path).Save(t.Context(), []byte("record")))
	}
	open := func() int {
		files, err := os.ReadDir("/dev/fd")
		require.NoError(t, err)
		return len(files)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which closes files that nobody refers to
	use()
	before := open()
	for range 100 {
		use()
	}
	assert.LessOrEqual(t, open(), before)
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
		w := newFixture(t, reachfive.WithKeyStore(storeFuncs{load: reachfive.FileKeyStore(path).Load}))
		w.accepts(w.Token())
		log := w.logged()
		require.Len(t, log, 2)
		assert.Contains(t, log[0], "group or others can write to the key store")
	})
}

func TestKeyFileStoreReadsARecordOfOneMebibyteAtMost(t *testing.T) {
	path, _ := storePath(t)
	store := reachfive.FileKeyStore(path)
	for size, want := range map[int]string{1 << 20: "", 1<<20 + 1: "the file is too large"} {
		require.NoError(t, os.WriteFile(path, make([]byte, size), 0o600))
		record, err := store.Load(t.Context())
		if want != "" {
			require.EqualError(t, err, want)
			continue
		}
		require.NoError(t, err)
		assert.Len(t, record, size)
	}
}

func TestKeyFileStoreNeedsAPath(t *testing.T) {
	store := reachfive.FileKeyStore("")
	require.EqualError(t, store.Save(t.Context(), []byte("record")), "the path is empty")
	_, err := store.Load(t.Context())
	require.EqualError(t, err, "the path is empty")
}
