//go:build unix

package examples_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// limit ends a program that hangs.
const limit = 5 * time.Minute

// build compiles every example once and returns the folder of the programs.
func build(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "build", "-o", folder, "./...").CombinedOutput()
	require.NoError(t, err, string(out))
	return folder
}

// program is a running example.
type program struct {
	printed []string // the lines before the commands
	setup   []string // the lines that set variables
	tries   []try
	stderr  string // the file that its standard error goes to
}

// try is a command, and the words that it should print.
type try struct{ want, line string }

// start runs a line of the README on a free port. The program from the folder
// programs replaces its `go run`. It is interrupted when the test ends, and must
// then exit with status 0.
func start(t *testing.T, programs, line string, env ...string) *program {
	t.Helper()
	runs := regexp.MustCompile(`go run \./(\S+)`)
	name := filepath.Base(runs.FindStringSubmatch(line)[1])
	line = runs.ReplaceAllLiteralString(line, "exec "+filepath.Join(programs, name)) + " --addr 127.0.0.1:0"
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Env = append(environment(), env...)
	p := &program{stderr: filepath.Join(t.TempDir(), "stderr")}
	stderr, err := os.Create(p.stderr)
	require.NoError(t, err)
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		defer cancel()
		assert.NoError(t, cmd.Process.Signal(os.Interrupt))
		assert.NoError(t, cmd.Wait(), p.errors(t))
		assert.NoError(t, stderr.Close())
	})
	scanner := bufio.NewScanner(stdout)
	for scanner.Scan() {
		if scanner.Text() == "Stop with Ctrl-C." {
			p.read()
			return p
		}
		p.printed = append(p.printed, scanner.Text())
	}
	require.Fail(t, "the program ended", "%s\n%s", strings.Join(p.printed, "\n"), p.errors(t))
	return nil
}

// errors returns what the program has printed to standard error.
func (p *program) errors(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(p.stderr)
	require.NoError(t, err)
	return string(text)
}

// environment is the caller's, without what concerns the examples, and without a
// proxy for their addresses.
func environment() []string {
	kept := []string{"no_proxy=127.0.0.1", "NO_PROXY=127.0.0.1"}
	for _, entry := range os.Environ() {
		switch name, _, _ := strings.Cut(strings.ToUpper(entry), "="); {
		case strings.HasPrefix(name, "REACH"), name == "ID_TOKEN", name == "NO_PROXY":
		default:
			kept = append(kept, entry)
		}
	}
	return kept
}

// read splits the lines after "paste:" into variables and commands.
func (p *program) read() {
	for i, line := range p.printed {
		if !strings.HasSuffix(line, "paste:") {
			continue
		}
		want := ""
		for _, line := range p.printed[i+1:] {
			switch comment, isComment := strings.CutPrefix(line, "# "); {
			case isComment:
				want = comment
			case want != "":
				p.tries = append(p.tries, try{want, line})
				want = ""
			case line != "" && p.tries == nil:
				p.setup = append(p.setup, line)
			case line != "":
				p.tries = append(p.tries, try{"", line})
			}
		}
		p.printed = p.printed[:i]
		return
	}
}

// paste gives the commands to a shell and compares what each of them prints.
func (p *program) paste(t *testing.T, env ...string) {
	t.Helper()
	script := strings.Join(p.setup, "\n") + "\n"
	for i, try := range p.tries {
		script += fmt.Sprintf("echo; echo '=== %d'\n%s\n", i, try.line)
	}
	bin, err := filepath.Abs(filepath.Join("..", "bin"))
	require.NoError(t, err)
	if strings.Contains(script, "grpcurl ") {
		require.FileExists(t, filepath.Join(bin, "grpcurl"), "run `make setup`")
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh")
	shell.Stdin = strings.NewReader(script)
	shell.Env = append(append(environment(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH")), env...)
	printed, _ := shell.CombinedOutput() // the last command may exit with an error, as expected
	outputs := strings.Split(string(printed), "\n=== ")
	require.Len(t, outputs, len(p.tries)+1, string(printed))
	for i, try := range p.tries {
		for word := range strings.FieldsSeq(try.want) {
			if _, err := strconv.Atoi(word); err == nil {
				word = "HTTP/1.1 " + word + " "
			}
			assert.Contains(t, outputs[i+1], word, try.line)
		}
	}
}

func (p *program) wants(word string) bool {
	for _, try := range p.tries {
		if strings.Contains(try.want, word) {
			return true
		}
	}
	return false
}
