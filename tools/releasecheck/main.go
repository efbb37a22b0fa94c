// Command releasecheck shows that a release would work for those who have
// nothing but the module proxy: it packs every module of the tree, without its
// replace directives, into a proxy in a temporary folder, and then does what a
// user does from an empty folder elsewhere.
//
//	releasecheck -version v0.1.0 -dir /path/to/the/tree
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/zip"
)

const root = "github.com/reachfive-community/reachfive"

func main() {
	version := flag.String("version", "", "the version to check, as v0.1.0")
	dir := flag.String("dir", ".", "the tree")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := check(ctx, *version, *dir)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "releasecheck:", err)
		os.Exit(1)
	}
}

func check(ctx context.Context, version, dir string) error {
	if semver.Canonical(version) != version || semver.Major(version) > "v1" {
		return fmt.Errorf("-version %q is not v0.x.y or v1.x.y", version)
	}
	temp, err := os.MkdirTemp("", "releasecheck")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	tree, proxy, user := filepath.Join(temp, "tree"), filepath.Join(temp, "proxy"), filepath.Join(temp, "user")
	if err := copyTree(ctx, dir, tree); err != nil {
		return err
	}
	modules, err := packAll(tree, proxy, version)
	if err != nil {
		return err
	}
	return use(ctx, modules, tree, proxy, user, version)
}

// copyTree copies what git tracks, so that nothing is released that is not
// committed or about to be.
func copyTree(ctx context.Context, from, to string) error {
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = from
	names, err := list.Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and not yet committed
		}
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// packed is a module that is in the proxy.
type packed struct {
	path string
	dir  string
}

// packAll packs every module whose path is under root.
func packAll(tree, proxy, version string) ([]packed, error) {
	var modules []packed
	err := filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "go.mod" {
			return err
		}
		dir := filepath.Dir(path)
		modulePath, err := pack(dir, path, proxy, version)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if modulePath != "" {
			fmt.Println("packed", modulePath, version)
			modules = append(modules, packed{modulePath, dir})
		}
		return nil
	})
	return modules, err
}

func pack(dir, goMod, proxy, version string) (string, error) {
	text, err := os.ReadFile(goMod)
	if err != nil {
		return "", err
	}
	file, err := modfile.Parse(goMod, text, nil)
	if err != nil {
		return "", err
	}
	path := file.Module.Mod.Path
	if path != root && !strings.HasPrefix(path, root+"/") || !released(path) {
		return "", nil
	}
	for _, replace := range file.Replace {
		if err := file.DropReplace(replace.Old.Path, replace.Old.Version); err != nil {
			return "", err
		}
	}
	for _, require := range file.Require {
		if require.Mod.Path == root || strings.HasPrefix(require.Mod.Path, root+"/") {
			if err := file.AddRequire(require.Mod.Path, version); err != nil {
				return "", err
			}
		}
	}
	file.Cleanup()
	if text, err = file.Format(); err != nil {
		return "", err
	}
	if err := os.WriteFile(goMod, text, 0o600); err != nil {
		return "", err
	}
	return path, writeProxy(dir, proxy, module.Version{Path: path, Version: version}, text)
}

// released reports whether users require the module: the others are for
// those who work on the tree.
func released(path string) bool {
	switch strings.TrimPrefix(strings.TrimPrefix(path, root), "/") {
	case "", "reachfivegrpc", "reachfiveotel", "reachfiveredis", "cmd/reachfive", "cmd/reachfive-gateway",
		"examples": // the command runs the backend of examples/spa
		return true
	}
	return false
}

func writeProxy(dir, proxy string, m module.Version, goMod []byte) error {
	escaped, err := module.EscapePath(m.Path)
	if err != nil {
		return err
	}
	versions := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(versions, 0o750); err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := zip.CreateFromDir(&archive, m, dir); err != nil {
		return err
	}
	stamp := fmt.Sprintf(`{"Version":%q,"Time":%q}`, m.Version, time.Unix(0, 0).UTC().Format(time.RFC3339))
	for name, content := range map[string][]byte{
		m.Version + ".info": []byte(stamp), m.Version + ".mod": goMod, m.Version + ".zip": archive.Bytes(), "list": []byte(m.Version + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(versions, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// use does what a user does, with no go.work and no replace in sight.
func use(ctx context.Context, modules []packed, tree, proxy, user, version string) error {
	if err := os.MkdirAll(user, 0o750); err != nil {
		return err
	}
	upstream, err := exec.CommandContext(ctx, "go", "env", "GOPROXY").Output()
	if err != nil {
		return err
	}
	environment := append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -modcacherw", "GONOSUMDB="+root+","+root+"/*",
		"GOPROXY=file://"+filepath.ToSlash(proxy)+","+strings.TrimSpace(string(upstream)),
		"GOMODCACHE="+filepath.Join(user, "cache"), "GOBIN="+filepath.Join(user, "bin"))
	run := func(args ...string) error {
		fmt.Println("go", strings.Join(args, " "))
		command := exec.CommandContext(ctx, "go", args...)
		command.Dir, command.Env = user, environment
		output, err := command.CombinedOutput()
		if err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, output)
		}
		return nil
	}
	if err := run("mod", "init", "example.com/user"); err != nil {
		return err
	}
	program, err := readmeProgram(filepath.Join(tree, "README.md"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(user, "main.go"), program, 0o600); err != nil {
		return err
	}
	for _, m := range modules {
		if strings.HasPrefix(m.path, root+"/cmd/") || m.path == root+"/examples" {
			continue // installed below, or a part of what is
		}
		if err := run("get", m.path+"@"+version); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"vet", "."},
		{"build", "-o", filepath.Join(user, "bin", "user"), "."},
		{"install", root + "/cmd/reachfive@" + version},
		// -n resolves every package and compiles none: Envoy's take minutes.
		{"install", "-n", root + "/cmd/reachfive-gateway@" + version},
	} {
		if err := run(args...); err != nil {
			return err
		}
	}
	help := exec.CommandContext(ctx, filepath.Join(user, "bin", "reachfive"), "--help")
	if output, err := help.CombinedOutput(); err != nil {
		return fmt.Errorf("reachfive --help: %w\n%s", err, output)
	}
	fmt.Printf("a user can require %s %s, build the README's program, and install the commands\n", root, version)
	return nil
}

// readmeProgram makes a program of the README's first Go code.
func readmeProgram(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	_, after, found := bytes.Cut(text, []byte("```go\n"))
	code, _, closed := bytes.Cut(after, []byte("\n```"))
	if !found || !closed {
		return nil, errors.New("README.md has no Go code")
	}
	return fmt.Appendf(nil, `package main

import (
	"fmt"
	"net/http"
	"time"

	%q
)

%s

func payOut(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

func main() {
	if _, err := newAPI("acme.reach5.net", "AtnY5xDg4fbanentihip"); err != nil {
		panic(err)
	}
}
`, root, code), nil
}
