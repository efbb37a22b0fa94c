package main

import (
	"fmt"
	"strings"
)

// transcript prints one line for each answer, and counts the answers that are
// not the expected ones.
type transcript struct {
	terminal

	answers    int
	unexpected int
}

// expectation is the status that an answer should have, and the text that its
// reason should begin with.
type expectation struct {
	status int
	reason string
}

// title prints the heading and the facts below it.
func (t *transcript) title(heading string, facts ...string) {
	t.printf("%s\n%s\n", t.bold(heading), strings.Repeat("=", len(heading)))
	for _, fact := range facts {
		t.line(fact)
	}
}

func (t *transcript) section(heading string) { t.printf("\n%s\n", t.bold(heading)) }

func (t *transcript) line(text string) { t.printf("  %s\n", text) }

// answer prints what was sent and what came back, and marks an answer that is
// not the expected one.
func (t *transcript) answer(sent string, got reply, want expectation) {
	t.answers++
	if got.status == want.status && strings.HasPrefix(got.reason, want.reason) {
		t.printf("  %s  %-48s  %d  %s\n", t.good("ok"), sent, got.status, got.reason)
		return
	}
	t.unexpected++
	t.printf("  %s  %-48s  %d  %s\n", t.bad("!!"), sent, got.status, got.reason)
	t.printf("      %-48s  %d  %s\n", "EXPECTED:", want.status, want.reason+"...")
}

// verdict prints the count, and returns an error if an answer was unexpected.
func (t *transcript) verdict() error {
	if t.unexpected > 0 {
		return failedError(fmt.Sprintf("%d of %d answers were not as expected", t.unexpected, t.answers))
	}
	t.printf("\nAll %d answers were as expected.\n", t.answers)
	return nil
}
