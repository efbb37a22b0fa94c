package main

import (
	"cmp"
	"runtime"
	"runtime/debug"
)

// versionCommand is `reachfive version`.
type versionCommand struct{}

// Run implements the command.
func (versionCommand) Run(env environment) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	env.printf("reachfive %s, %s %s/%s\n", versionOf(info), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// versionOf is the module's version, or the commit of a build from a checkout.
func versionOf(info *debug.BuildInfo) string {
	version := cmp.Or(info.Main.Version, "(devel)")
	if version != "(devel)" {
		return version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			version += " " + setting.Value
		}
	}
	return version
}
