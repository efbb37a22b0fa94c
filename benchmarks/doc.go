// Command benchmarks compares what it costs to verify an ID token with this
// package, with other libraries, and with the bare signature.
//
// Everything runs in one process, in rounds. In a round each contestant has its
// turn of a millisecond, in random order; with several goroutines a turn is
// twenty milliseconds for each of them. A ratio is taken within a round, where
// what else the machine does is much the same for all contestants. Times have no
// such protection.
//
// Rounds make a run, and every figure is a median over several runs. The spread
// is the range of a ratio over the runs, without the lowest and the highest one.
// A section in which a spread is over the bound is measured again, and not
// written if it stays over it.
//
//	go run .                    # all tables, in Markdown
//	go run . -only verify       # one of them
//	go run . -write ../docs     # also into docs/performance.md, with its charts
package main
