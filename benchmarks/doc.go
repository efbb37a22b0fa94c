// Command benchmarks compares what it costs to verify an ID token with this
// package, with other libraries, and with the bare signature.
//
// Everything runs in one process, in rounds. In a round each contestant has its
// turn of twenty milliseconds, in random order; with several goroutines it is
// that long for each of them. Garbage is collected before each turn, and a turn
// is long enough for several further collections, so each contestant pays for its
// own garbage. A ratio is taken within a round, where what else the machine does
// is much the same for all contestants. Times have no such protection.
//
// Rounds make a run, and every figure is a median over several runs. The spread
// is the range of a ratio over the runs, without the lowest and the highest one;
// a range of the last digit shown counts as none. That of the first contestant is
// the range of its time, which the whole machine decides, so it is shown and not
// held to the bound.
// A section in which a spread is over the bound is measured again, and not
// written if it stays over it.
//
//	go run .                    # all tables, in Markdown
//	go run . -only verify       # one of them
//	go run . -write ../docs     # also into docs/performance.md, with its charts
package main
