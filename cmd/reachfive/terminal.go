package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/fatih/color"
)

// terminal is where a command prints. It escapes every character that is not
// printable, because tokens and tenants decide what much of the text says: a
// control sequence could retitle or rewrite the terminal, and a bidirectional
// control could make a text look like another one.
type terminal struct {
	w       io.Writer
	colours bool
}

// newTerminal colours what goes to the process's own standard output, if that
// is a terminal and NO_COLOR is not set.
func newTerminal(stdout io.Writer) terminal {
	return terminal{w: stdout, colours: stdout == io.Writer(os.Stdout) && !color.NoColor}
}

// painted is text that has been escaped already, and coloured.
type painted string

func (t terminal) paint(text string, attribute color.Attribute) painted {
	if !t.colours {
		return painted(printable(text))
	}
	c := color.New(attribute)
	c.EnableColor()
	return painted(c.Sprint(printable(text)))
}

func (t terminal) good(text string) painted  { return t.paint(text, color.FgGreen) }
func (t terminal) bad(text string) painted   { return t.paint(text, color.FgRed) }
func (t terminal) faint(text string) painted { return t.paint(text, color.Faint) }
func (t terminal) bold(text string) painted  { return t.paint(text, color.Bold) }

// printf escapes strings and errors among args, and prints.
func (t terminal) printf(format string, args ...any) {
	for i, arg := range args {
		switch arg := arg.(type) {
		case string:
			args[i] = printable(arg)
		case error:
			args[i] = printable(arg.Error())
		case fmt.Stringer:
			args[i] = printable(arg.String())
		}
	}
	_, _ = fmt.Fprintf(t.w, format, args...)
}

// printJSON prints value with two spaces of indentation. Characters that are
// not printable are written as JSON's own escapes, so the value stays the same.
func (t terminal) printJSON(prefix string, value any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent(prefix, "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	var escaped strings.Builder
	for _, r := range text.String() {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			escaped.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&escaped, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&escaped, `\u%04x`, r)
		}
	}
	_, err := io.WriteString(t.w, prefix+escaped.String())
	return err
}

// printable writes every character that is not printable as Go's escape for it.
func printable(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0 {
		return text
	}
	var escaped strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			escaped.WriteRune(r)
		} else {
			escaped.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return escaped.String()
}
