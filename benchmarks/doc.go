// Command benchmarks times the verification of an ID token beside what others
// offer for it, and beside the bare signature.
//
// Everything runs in one process, in rounds: in each, every contestant has its
// turn for a millisecond, in random order, so that whatever else the
// machine does falls on all of them alike. Figures are medians over the
// rounds; a ratio is the median of the ratios within a round.
//
//	go run .                    # all tables, in Markdown
//	go run . -only verify       # one of them
//	go run . -write ../docs     # also into docs/performance.md, with its charts
package main
