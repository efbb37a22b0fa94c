package main

import (
	"io"

	"github.com/fatih/color"
)

// palette colours text on a terminal, and leaves it alone anywhere else, or if
// NO_COLOR is set.
type palette struct{ on bool }

// newPalette looks at the process's own standard output, which is where out
// goes unless a test took its place.
func newPalette(out, stdout io.Writer) palette { return palette{on: out == stdout && !color.NoColor} }

func (p palette) paint(text string, attribute color.Attribute) string {
	if !p.on {
		return text
	}
	return color.New(attribute).Sprint(text)
}

func (p palette) good(text string) string  { return p.paint(text, color.FgGreen) }
func (p palette) bad(text string) string   { return p.paint(text, color.FgRed) }
func (p palette) faint(text string) string { return p.paint(text, color.Faint) }
