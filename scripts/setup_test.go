//go:build unix

// Package scripts_test tests the scripts of this folder on machines that lack
// something.
package scripts_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// freshMachine is a copy of scripts/setup in a small tree, and a PATH on which
// only chosen programs stand.
type freshMachine struct {
	t          *testing.T
	tree, path string
	env        []string
}

// newMachine returns a machine with Go, a C compiler, Node.js and what every
// system has, that is no known distribution and has no package manager.
func newMachine(t *testing.T) *freshMachine {
	t.Helper()
	m := &freshMachine{t: t, tree: t.TempDir(), path: t.TempDir()}
	script, err := os.ReadFile("setup")
	require.NoError(t, err)
	m.write(filepath.Join(m.tree, "scripts", "setup"), string(script))
	m.write(filepath.Join(m.tree, "go.work"), "go 1.26.0\n\nuse .\n")
	m.write(filepath.Join(m.tree, "go.mod"), "module example.com/tree\n\ngo 1.26.0\n")
	m.write(filepath.Join(m.tree, "tree.go"), "package tree\n")
	m.write(filepath.Join(m.tree, "e2e", "package.json"), "{}")
	m.write(filepath.Join(m.tree, "e2e", "package-lock.json"), "{}")
	for _, program := range []string{
		"bash", "sh", "env", "awk", "sed", "grep", "sort", "cut", "tr", "paste", "tail", "cat", "mkdir", "chmod",
		"mv", "rm", "dirname", "touch", "go", "gcc", "clang",
	} {
		if found, err := exec.LookPath(program); err == nil {
			require.NoError(t, os.Symlink(found, filepath.Join(m.path, program)))
		}
	}
	m.fake("node", "echo v20.11.0")
	m.fake("npm", "mkdir -p node_modules && touch node_modules/.package-lock.json")
	m.fake("uname", "echo Linux")
	m.os("ID=other")
	return m
}

func (m *freshMachine) write(path, text string) {
	m.t.Helper()
	require.NoError(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(m.t, os.WriteFile(path, []byte(text), 0o755))
}

// fake puts a program on the PATH that is a few lines of shell. It notes each
// of its calls in the file calls.
func (m *freshMachine) fake(name, lines string) {
	m.t.Helper()
	_ = os.Remove(filepath.Join(m.path, name))
	m.write(filepath.Join(m.path, name), "#!/bin/sh\necho \""+name+" $*\" >> '"+m.tree+"/calls'\n"+lines+"\n")
}

func (m *freshMachine) without(programs ...string) {
	m.t.Helper()
	for _, program := range programs {
		require.NoError(m.t, os.Remove(filepath.Join(m.path, program)))
	}
}

// os sets what /etc/os-release says.
func (m *freshMachine) os(release string) {
	m.t.Helper()
	m.write(filepath.Join(m.tree, "os-release"), release+"\n")
}

// setup runs the script, and returns what it printed and its exit code.
func (m *freshMachine) setup(names ...string) (printed string, code int) {
	m.t.Helper()
	command := exec.CommandContext(m.t.Context(), filepath.Join(m.tree, "scripts", "setup"), names...)
	for _, variable := range os.Environ() {
		switch name, _, _ := strings.Cut(variable, "="); name {
		case "PATH", "CHROMIUM", "CGO_ENABLED", "CC", "GOTOOLCHAIN", "GOWORK", "OS_RELEASE":
		default:
			command.Env = append(command.Env, variable)
		}
	}
	command.Env = append(command.Env, "PATH="+m.path, "OS_RELEASE="+filepath.Join(m.tree, "os-release"))
	command.Env = append(command.Env, m.env...)
	output, err := command.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		require.NoError(m.t, err)
	}
	return string(output), command.ProcessState.ExitCode()
}

func (m *freshMachine) calls() string {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.tree, "calls"))
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(m.t, err)
	}
	return string(bytes.TrimSpace(text))
}

func TestSetupNamesWhatOnlyTheReaderCanBring(t *testing.T) {
	t.Parallel()
	programs := []string{"cgo", "npm", "prometheus", "promtool", "redis-server", "chromium"}
	onDebian := func(m *freshMachine) { m.os("ID=debian"); m.fake("apt-get", "exit 1"); m.fake("dpkg", "exit 1") }
	for _, tt := range []struct {
		name   string
		change func(*freshMachine)
		want   []string // in this order
	}{
		{"no Go", func(m *freshMachine) { m.without("go") }, []string{"Go 1.26.0 or newer: https://go.dev/dl/", "prometheus"}},
		{"no Node.js", func(m *freshMachine) { onDebian(m); m.without("node") }, []string{"Node.js 20 or newer, with npm (found: none)"}},
		{"Node.js 16", func(m *freshMachine) { onDebian(m); m.fake("node", "echo v16.20.2") }, []string{"Node.js 20 or newer, with npm (found: v16.20.2)"}},
		{"no npm", func(m *freshMachine) { onDebian(m); m.without("npm") }, []string{"npm, which belongs to Node.js"}},
		{
			"no gcc", func(m *freshMachine) { onDebian(m); m.env = []string{"CC=gcc-missing"} },
			[]string{"a C compiler with its headers", "(gcc-missing does not work): apt-get install gcc libc6-dev"},
		},
		{"no headers", func(m *freshMachine) { onDebian(m); m.fake("cc", "exit 1"); m.env = []string{"CC=cc"} }, []string{"(cc does not work)"}},
		{"cgo switched off", func(m *freshMachine) { onDebian(m); m.env = []string{"CGO_ENABLED=0"} }, []string{"CGO_ENABLED is 0; unset it"}},
		{
			"Fedora", func(m *freshMachine) { m.os("ID=fedora") },
			[]string{"prometheus promtool redis-server chromium: dnf install golang-github-prometheus redis chromium"},
		},
		{
			"like Fedora", func(m *freshMachine) {
				m.os("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"")
				m.env = []string{"CC=none"}
			},
			[]string{"(none does not work): dnf install gcc glibc-devel", "dnf install golang"},
		},
		{
			"macOS", func(m *freshMachine) { m.fake("uname", "echo Darwin"); m.env = []string{"CC=none"} },
			[]string{"xcode-select --install", "brew install prometheus redis google-chrome"},
		},
		{"another system", func(*freshMachine) {}, []string{"prometheus promtool redis-server chromium: install them with the system's package manager"}},
		{"Debian without apt", func(m *freshMachine) { m.os("ID=debian") }, []string{"prometheus promtool redis-server chromium: install them"}},
		{"Ubuntu, whose chromium is a snap", func(m *freshMachine) { onDebian(m); m.os("ID=ubuntu\nID_LIKE=debian") }, []string{"snap install chromium"}},
		{
			"several at once", func(m *freshMachine) { m.without("node"); m.env = []string{"CC=none"} },
			[]string{"a C compiler", "Node.js 20", "prometheus promtool redis-server chromium"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			tt.change(m)
			printed, code := m.setup(programs...)
			assert.Equal(t, 1, code)
			rest := printed
			for _, want := range append([]string{"This machine lacks what the tests need:\n"}, tt.want...) {
				_, after, found := strings.Cut(rest, want)
				require.True(t, found, "%q is not in, or not in this order:\n%s", want, printed)
				rest = after
			}
			assert.NotContains(t, m.calls(), "npm ci", "nothing is brought before the message")
			assert.NotContains(t, m.calls(), "apt-get")
			assert.NoDirExists(t, filepath.Join(m.tree, ".cache"))
		})
	}
}

func TestSetupSaysWhichRegistryDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, brings string
		change       func(*freshMachine)
		want         []string
	}{
		{"Debian's package servers", "redis-server", func(m *freshMachine) {
			m.os("ID=debian")
			m.fake("apt-get", "echo 'E: Unable to locate package'; exit 100")
			m.fake("dpkg", "exit 1")
		}, []string{"Debian's package servers did not offer redis-server redis-tools", "E: Unable to locate package"}},
		{"the npm registry", "npm", func(m *freshMachine) {
			m.fake("npm", "echo 'npm error code ENOTFOUND'; exit 1")
		}, []string{"npm ci failed. Does the npm registry answer", "npm error code ENOTFOUND"}},
		{"the Go module proxy", "modules", func(m *freshMachine) {
			m.write(filepath.Join(m.tree, "go.mod"), "module example.com/tree\n\ngo 1.26.0\n\nrequire example.com/other v1.0.0\n")
			m.env = []string{"GOPROXY=http://127.0.0.1:1", "GOMODCACHE=" + m.t.TempDir(), "GONOSUMDB=*"}
		}, []string{"Does the Go module proxy answer (http://127.0.0.1:1)?", "connection refused"}},
		{"the Go module proxy, for a Go release", "go1.999.0", func(m *freshMachine) {
			m.env = []string{"GOPROXY=http://127.0.0.1:1", "GOMODCACHE=" + m.t.TempDir()}
		}, []string{"go1.999.0 cannot be downloaded. Does the Go module proxy answer (http://127.0.0.1:1)?"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			tt.change(m)
			printed, code := m.setup(tt.brings)
			assert.Equal(t, 1, code, printed)
			for _, want := range tt.want {
				assert.Contains(t, printed, want)
			}
		})
	}
}

// debian makes m a Debian whose packages hold a program that prints its
// arguments and where it looks for libraries.
func (m *freshMachine) debian() {
	m.t.Helper()
	m.os("ID=debian")
	m.fake("apt-get", `case "$*" in
*install*) echo "Inst libc6 (2)"; echo "Inst liblzf1 (3)"; echo "Conf liblzf1 (3)";;
*download*) while [ "$1" != download ]; do shift; done; shift; for p in "$@"; do echo > "$p.deb"; done;;
esac`)
	m.fake("dpkg", `mkdir -p "$3/usr/bin" "$3/usr/lib/x86_64-linux-gnu"
printf '#!/bin/sh\necho "$0 $* in $LD_LIBRARY_PATH"\n' > "$3/usr/bin/redis-server"
chmod +x "$3/usr/bin/redis-server"`)
}

func TestSetupUnpacksAProgramOnceAndInstallsNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.debian()
	printed, code := m.setup("redis-server", "npm")
	require.Zero(t, code, printed)
	assert.Equal(t, "scripts/setup: unpacking redis-server into .cache\nscripts/setup: npm ci in e2e\n", printed)
	calls := m.calls()
	assert.Regexp(t, `apt-get .*install -s -y --no-install-recommends redis-server redis-tools\n`, calls, "the installation is only simulated")
	assert.NotRegexp(t, `apt-get .*install -y`, calls)
	assert.Regexp(t, `apt-get .*download liblzf1 redis-server redis-tools\n`, calls,
		"with the missing library, without the C library, and with a part that may be installed")
	assert.Equal(t, 3, strings.Count(calls, "dpkg -x "))
	assert.NotContains(t, calls, "dpkg -i")

	// The wrapper finds its folder wherever the tree is moved to.
	moved := m.t.TempDir()
	require.NoError(t, os.Rename(filepath.Join(m.tree, ".cache"), filepath.Join(moved, ".cache")))
	output, err := exec.CommandContext(t.Context(), filepath.Join(moved, ".cache", "bin", "redis-server"), "--port", "a b").CombinedOutput()
	require.NoError(t, err)
	assert.Regexp(t, `/\.cache/root/usr/bin/redis-server --port a b in .*/\.cache/root/usr/lib/x86_64-linux-gnu\n`, string(output))
	require.NoError(t, os.Rename(filepath.Join(moved, ".cache"), filepath.Join(m.tree, ".cache")))

	printed, code = m.setup("redis-server", "npm")
	assert.Zero(t, code)
	assert.Empty(t, printed, "a second run says nothing")
	assert.Equal(t, calls+"\nnode --version", m.calls(), "and brings nothing")
}

func TestSetupUsesAProgramOfTheMachine(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.debian()
	m.fake("redis-server", "exit 1")
	m.fake("google-chrome", "echo \"chrome $*\"")
	printed, code := m.setup("redis-server", "chromium")
	assert.Zero(t, code, printed)
	assert.Empty(t, printed)
	assert.Empty(t, m.calls())
	assert.NoFileExists(t, filepath.Join(m.tree, ".cache", "bin", "redis-server"))
	output, err := exec.CommandContext(t.Context(), filepath.Join(m.tree, ".cache", "bin", "chromium"), "--headless").CombinedOutput()
	require.NoError(t, err)
	assert.Equal(t, "chrome --headless\n", string(output))
}

func TestSetupRefusesANameThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	printed, code := newMachine(t).setup("npm", "rediss")
	assert.Equal(t, 2, code)
	assert.Equal(t, "scripts/setup: rediss: not known here\n", printed)
}
