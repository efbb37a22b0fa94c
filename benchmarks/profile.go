package main

import (
	"context"
	"os"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive"
)

// profile shows where the time of an uncached verification goes.
func (b *bench) profile() string {
	p := newProvider(1, true)
	defer p.Close()
	token := rs256(p.keys[0], "key-0", payload(0))
	v := asVerify(newReachFive(reachfive.WithJWKSURL(p.url())))
	verified := entry(context.Background(), ours, v, token).run
	check(verified())
	file, err := os.CreateTemp("", "profile")
	check(err)
	defer func() { _ = os.Remove(file.Name()) }()
	check(pprof.StartCPUProfile(file))
	for end := time.Now().Add(4 * time.Duration(b.runs*b.rounds) * b.turn); time.Now().Before(end); {
		for range 100 {
			check(verified())
		}
	}
	pprof.StopCPUProfile()
	check(file.Close())
	top := goTool("tool", "pprof", "-top", "-cum", "-focus=Verifier\\)\\.Verify$", "-nodecount=45", file.Name())
	var lines []string
	for line := range strings.Lines(top) {
		if !strings.HasPrefix(line, "File:") && !strings.HasPrefix(line, "Build ID:") && !strings.HasPrefix(line, "Time:") {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	return "```\n" + strings.Join(lines, "\n") + "\n```\n"
}
