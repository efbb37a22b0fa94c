package reachfive_test

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/reachfive-community/reachfive"

// These tests are about the module as a whole: what it depends on, which files use
// jwx, what its signatures mention, and that all of it is documented.

func TestRootDependsOnFewModules(t *testing.T) {
	allowed := []string{
		module,
		"github.com/go-json-experiment/json",
		"github.com/lestrrat-go/blackmagic",
		"github.com/lestrrat-go/httpcc",
		"github.com/lestrrat-go/httprc",
		"github.com/lestrrat-go/iter",
		"github.com/lestrrat-go/jwx/v2",
		"github.com/lestrrat-go/option",
		"golang.org/x/crypto",
		"golang.org/x/sync",
	}
	modules := goList(t, "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".")
	require.Contains(t, modules, module)
	for _, path := range modules {
		assert.Contains(t, allowed, path, "a module that the root package did not need before")
	}
}

func TestOnlyTokenAndJWKSKnowJWX(t *testing.T) {
	knowing := map[string]bool{}
	for path, file := range parseModule(t) {
		for _, spec := range file.Imports {
			if strings.HasPrefix(spec.Path.Value, `"github.com/lestrrat-go/`) {
				knowing[path] = true
			}
		}
	}
	assert.Equal(t, map[string]bool{"token.go": true, "jwks.go": true}, knowing)
}

func TestSignaturesMentionNoOtherModule(t *testing.T) {
	fset := token.NewFileSet()
	exports := map[string]string{}
	for _, line := range goList(t, "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "./...") {
		path, file, _ := strings.Cut(line, " ")
		exports[path] = file
	}
	compiled := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	for _, path := range goList(t, "-f", "{{if .GoFiles}}{{.ImportPath}}{{end}}", "./...") {
		if strings.HasPrefix(path, module+"/internal/") {
			continue // nobody else's to see
		}
		pkg, err := compiled.Import(path)
		require.NoError(t, err)
		if path == module {
			require.NotNil(t, pkg.Scope().Lookup("Verifier"))
		}
		for _, name := range pkg.Scope().Names() {
			if object := pkg.Scope().Lookup(name); object.Exported() {
				walk := signatureWalk{seen: map[types.Type]bool{}}
				walk.visit(object.Type())
				assert.Empty(t, walk.foreign, "%s.%s shows types that are not its user's", path, name)
			}
		}
	}
}

// signatureWalk collects the types that a user of a type can see and that belong
// neither to the standard library nor to the packages of this module that others
// can import.
type signatureWalk struct {
	seen    map[types.Type]bool
	foreign []string
}

func (w *signatureWalk) visit(t types.Type) {
	if t == nil || w.seen[t] {
		return
	}
	w.seen[t] = true
	switch t := t.(type) {
	case *types.Alias:
		w.visitNamed(t.Obj(), t.TypeArgs())
		w.visit(t.Rhs())
	case *types.Named:
		if !w.visitNamed(t.Obj(), t.TypeArgs()) {
			return
		}
		for m := range t.Methods() {
			if m.Exported() {
				w.visit(m.Type())
			}
		}
		w.visit(t.Underlying())
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() || f.Embedded() {
				w.visit(f.Type())
			}
		}
	case *types.Interface:
		for m := range t.Methods() {
			w.visit(m.Type())
		}
	case *types.Signature:
		for v := range t.Params().Variables() {
			w.visit(v.Type())
		}
		for v := range t.Results().Variables() {
			w.visit(v.Type())
		}
		for p := range t.TypeParams().TypeParams() {
			w.visit(p.Constraint())
		}
	case *types.Map:
		w.visit(t.Key())
		w.visit(t.Elem())
	case interface{ Elem() types.Type }: // pointer, slice, array, channel
		w.visit(t.Elem())
	}
}

// visitNamed tells whether the named type is ours, so that what it is made of
// is ours to show, too.
func (w *signatureWalk) visitNamed(name *types.TypeName, args *types.TypeList) bool {
	for arg := range args.Types() {
		w.visit(arg)
	}
	if name.Pkg() == nil { // error, any
		return false
	}
	path := name.Pkg().Path()
	if strings.HasPrefix(path, module+"/internal/") {
		w.foreign = append(w.foreign, path+"."+name.Name()) // go doc would show what nobody can use
		return false
	}
	if path == module || strings.HasPrefix(path, module+"/") {
		return true
	}
	if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") {
		w.foreign = append(w.foreign, path+"."+name.Name())
	}
	return false
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	documented := 0
	packages := map[string]bool{}
	for path, file := range parseModule(t) {
		dir := filepath.Dir(path)
		packages[dir] = packages[dir] || file.Doc != nil
		for _, decl := range file.Decls {
			for name, doc := range exportedNames(decl) {
				documented++
				assert.True(t, strings.HasPrefix(doc, name+" ") || strings.HasPrefix(doc, name+":") || doc == inGroup,
					"%s: the comment of %s should start with its name", path, name)
			}
		}
	}
	for dir, has := range packages {
		assert.True(t, has, "the package in %s has no package comment", dir)
	}
	assert.Greater(t, documented, 50)
}

// inGroup stands for the comment of a constant that is explained at the end of
// its line, in a group with a comment of its own.
const inGroup = "in a group"

// exportedNames returns the names that a declaration exports, with the text of
// each one's comment.
func exportedNames(decl ast.Decl) map[string]string {
	names := map[string]string{}
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Name.IsExported() && exportedReceiver(decl.Recv) {
			names[decl.Name.Name] = decl.Doc.Text()
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				doc := spec.Doc.Text()
				if doc == "" {
					doc = decl.Doc.Text()
				}
				if spec.Name.IsExported() {
					names[spec.Name.Name] = doc
				}
			case *ast.ValueSpec:
				doc := spec.Doc.Text()
				switch {
				case doc == "" && spec.Comment != nil && decl.Doc != nil:
					doc = inGroup
				case doc == "" && !decl.Lparen.IsValid():
					doc = decl.Doc.Text()
				}
				for _, name := range spec.Names {
					if name.IsExported() {
						names[name.Name] = doc
					}
				}
			}
		}
	}
	return names
}

func exportedReceiver(receiver *ast.FieldList) bool {
	if receiver == nil {
		return true
	}
	t := receiver.List[0].Type
	if pointer, ok := t.(*ast.StarExpr); ok {
		t = pointer.X
	}
	name, ok := t.(*ast.Ident)
	return ok && name.IsExported()
}

// parseModule parses the files of the root module that are no tests, by their
// path from here.
func parseModule(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			hidden := strings.HasPrefix(entry.Name(), ".") || slices.Contains([]string{"testdata", "node_modules"}, entry.Name())
			if path != "." && (nested == nil || hidden) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files[path] = file
		return nil
	}))
	require.Contains(t, files, "verifier.go")
	return files
}

// goList runs go list as it runs for a user of the module, who has no go.work,
// and returns its different lines.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Env = append(cmd.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it bare
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(lines)
	lines = slices.Compact(lines)
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" })
}
