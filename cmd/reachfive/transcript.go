package main

import (
	"fmt"
	"io"
	"strings"
)

// transcript prints what happened, a line for each answer, and counts the
// answers that were not the expected ones.
type transcript struct {
	out        io.Writer
	answers    int
	unexpected int
}

// expectation is what an answer should be: its status, and what its reason
// begins with.
type expectation struct {
	status int
	reason string
}

// title prints the heading and the facts below it.
func (t *transcript) title(heading string, facts ...string) {
	_, _ = fmt.Fprintf(t.out, "%s\n%s\n", heading, strings.Repeat("=", len(heading)))
	for _, fact := range facts {
		t.line(fact)
	}
}

func (t *transcript) section(heading string) { _, _ = fmt.Fprintf(t.out, "\n%s\n", heading) }

func (t *transcript) line(text string) { _, _ = fmt.Fprintf(t.out, "  %s\n", text) }

// answer prints what was sent and what came back, and marks an answer that
// is not the wanted one.
func (t *transcript) answer(sent string, got reply, want expectation) {
	t.answers++
	mark := "ok"
	expected := got.status == want.status && strings.HasPrefix(got.reason, want.reason)
	if !expected {
		t.unexpected++
		mark = "!!"
	}
	_, _ = fmt.Fprintf(t.out, "  %-2s  %-54s  %d  %s\n", mark, sent, got.status, got.reason)
	if !expected {
		_, _ = fmt.Fprintf(t.out, "      %-54s  %d  %s\n", "UNEXPECTED: this was to be", want.status, want.reason)
	}
}

// verdict prints the count and is an error if an answer was unexpected.
func (t *transcript) verdict() error {
	if t.unexpected > 0 {
		return fmt.Errorf("%d of %d answers were not the expected ones", t.unexpected, t.answers)
	}
	_, _ = fmt.Fprintf(t.out, "\nAll %d answers were the expected ones.\n", t.answers)
	return nil
}
