package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// mutant is one change.
type mutant struct {
	ID       int
	File     string // relative to the module
	Line     int
	Key      string // file, function, change and source text: holds when lines move
	Function string // a digest of the function's text
}

// sites are all changes of some packages.
type sites struct {
	mutants  []mutant
	packages []changed
}

// changed is a package with its files as they are compiled.
type changed struct {
	dir, name string
	files     map[string]string // path to new text
}

// find loads the packages and makes the changes of their files.
func find(ctx context.Context, root string, patterns []string) (*sites, error) {
	loaded, err := packages.Load(&packages.Config{
		Context: ctx, Dir: root, Env: append(os.Environ(), "GOWORK=off"),
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo |
			packages.NeedImports | packages.NeedDeps,
	}, patterns...)
	if err != nil {
		return nil, err
	}
	all := &sites{}
	for _, p := range loaded {
		if len(p.Errors) > 0 {
			return nil, p.Errors[0]
		}
		c := changed{name: p.Name, files: map[string]string{}}
		for _, file := range p.Syntax {
			path := p.Fset.Position(file.FileStart).Filename
			c.dir = filepath.Dir(path)
			name, err := filepath.Rel(root, path)
			if err != nil {
				return nil, err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			v := &visitor{file: filepath.ToSlash(name), text: string(text), fset: p.Fset, info: p.TypesInfo, all: all, pkg: p.Types, imports: map[string]bool{}}
			for _, i := range file.Imports {
				v.imports[strings.Trim(i.Path.Value, `"`)] = true
			}
			v.visit(file)
			c.files[path] = v.render()
		}
		all.packages = append(all.packages, c)
	}
	return all, nil
}

// edit is text that stands before or after a part of the source.
type edit struct {
	start, end    int // of the part
	before, after string
	order         int
}

type visitor struct {
	file  string
	text  string
	fset  *token.FileSet
	info  *types.Info
	all   *sites
	edits []edit

	function string // its name
	digest   string
	results  *types.Tuple
	seen     map[string]int
	pkg      *types.Package
	imports  map[string]bool
}

func (v *visitor) offset(p token.Pos) int { return v.fset.Position(p).Offset }

func (v *visitor) source(n ast.Node) string { return v.text[v.offset(n.Pos()):v.offset(n.End())] }

// mutate makes a mutant of a node. before and after surround the node's text;
// in them § is the condition that the mutant is chosen, and № its number.
func (v *visitor) mutate(n ast.Node, change, before, after string) {
	id := len(v.all.mutants) + 1
	snippet := strings.Join(strings.Fields(v.source(n)), " ")
	if len(snippet) > 90 {
		snippet = snippet[:90] + "…"
	}
	key := fmt.Sprintf("%s %s: %s: %s", v.file, v.function, change, snippet)
	v.seen[key]++
	if nth := v.seen[key]; nth > 1 {
		key += fmt.Sprintf(" (%d)", nth)
	}
	v.all.mutants = append(v.all.mutants, mutant{id, v.file, v.fset.Position(n.Pos()).Line, key, v.digest})
	placed := strings.NewReplacer("§", fmt.Sprintf("mutantOn(%d)", id), "№", fmt.Sprint(id))
	v.edits = append(v.edits, edit{
		v.offset(n.Pos()), v.offset(n.End()),
		placed.Replace(before), placed.Replace(after), len(v.edits),
	})
}

// render applies the edits. Those of one part nest in the order in which they
// were made, the later one inside.
func (v *visitor) render() string {
	type insertion struct {
		at, rank, tie int
		text          string
	}
	var all []insertion
	for _, e := range v.edits {
		length := e.end - e.start
		all = append(all,
			insertion{e.start, 1, -length*100_000 + e.order, e.before},
			insertion{e.end, 0, length*100_000 - e.order, e.after})
	}
	slices.SortStableFunc(all, func(a, b insertion) int {
		if a.at != b.at {
			return a.at - b.at
		}
		if a.rank != b.rank {
			return a.rank - b.rank
		}
		return a.tie - b.tie
	})
	var out strings.Builder
	last := 0
	for _, i := range all {
		out.WriteString(v.text[last:i.at])
		out.WriteString(i.text)
		last = i.at
	}
	out.WriteString(v.text[last:])
	return out.String()
}

func (v *visitor) visit(file *ast.File) {
	v.seen = map[string]int{}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		v.function = f.Name.Name
		if f.Recv != nil {
			v.function = strings.TrimLeft(v.source(f.Recv.List[0].Type), "*") + "." + v.function
		}
		v.digest = fmt.Sprintf("%x", sha256.Sum256([]byte(v.source(f))))[:16]
		v.results = resultsOf(v.info.Defs[f.Name].Type())
		ast.Inspect(f.Body, v.node)
	}
}

func resultsOf(function types.Type) *types.Tuple {
	signature, ok := function.Underlying().(*types.Signature)
	if !ok {
		return nil
	}
	return signature.Results()
}
