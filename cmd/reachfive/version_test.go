package main

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestVersionIsTheModulesOrTheCommit(t *testing.T) {
	t.Parallel()
	commit := []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "0123abc"}}
	for want, info := range map[string]debug.BuildInfo{
		"v1.2.3":          {Main: debug.Module{Version: "v1.2.3"}, Settings: commit},
		"(devel) 0123abc": {Main: debug.Module{Version: "(devel)"}, Settings: commit},
		"(devel)":         {},
	} {
		assert.Equal(t, want, versionOf(&info))
	}
}
