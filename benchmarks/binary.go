package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// binary builds the services under size/ and counts what each library adds.
func (b *bench) binary() string {
	dir, err := os.MkdirTemp("", "size")
	check(err)
	defer func() { _ = os.RemoveAll(dir) }()
	sizes, modules, packages := map[string]int64{}, map[string]int{}, map[string]int{}
	services := []struct{ dir, name string }{
		{"none", ""},
		{"reachfive", ours},
		{"cristalhq", fixedKey},
		{"golangjwt", "golang-jwt + keyfunc"},
		{"gooidc", "go-oidc"},
		{"jwx2", "jwx/v2"},
		{"jwx3", "jwx/v3"},
		{"auth0", "auth0/go-jwt-middleware v3"},
	}
	for _, s := range services {
		path := filepath.Join(dir, s.dir)
		goTool("build", "-trimpath", "-ldflags=-s -w", "-o", path, "./size/"+s.dir)
		info, err := os.Stat(path)
		check(err)
		sizes[s.dir] = info.Size()
		names := map[string]bool{}
		for line := range strings.Lines(goTool("list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./size/"+s.dir)) {
			if module := strings.TrimSpace(line); module != "" && !strings.HasSuffix(module, "/benchmarks") {
				names[module] = true
				packages[s.dir]++
			}
		}
		modules[s.dir] = len(slices.Collect(maps.Keys(names)))
	}
	var rows [][]string
	for _, s := range services[1:] {
		rows = append(rows, []string{
			s.name,
			fmt.Sprintf("%.2f", float64(sizes[s.dir]-sizes["none"])/(1<<20)),
			fmt.Sprint(modules[s.dir]), fmt.Sprint(packages[s.dir]),
		})
	}
	return fmt.Sprintf("A service of net/http alone has %.2f MiB, built with -trimpath -ldflags='-s -w':\n\n%s", float64(sizes["none"])/(1<<20),
		table([]string{"", "MiB more", "modules linked, its own included", "packages"}, rows))
}

func goTool(args ...string) string {
	command := exec.CommandContext(context.Background(), "go", args...) //nolint:gosec // our own arguments
	command.Stderr = os.Stderr
	out, err := command.Output()
	check(err)
	return string(out)
}
