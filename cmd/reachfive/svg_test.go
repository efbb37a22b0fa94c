package main

import (
	"bytes"
	"flag"
	"fmt"
	"html"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/demo.svg anew")

const picture = "../../docs/demo.svg"

// The picture in the documents shows what the command prints, except for the ports.
func TestPictureOfTheDemoIsWhatItPrints(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	env := environment{terminal: terminal{w: &out, colours: true}, errs: terminal{w: &errs}, lookup: lookupIn(nil)}
	require.NoError(t, (&demoCommand{}).Run(t.Context(), env))
	port := regexp.MustCompile(`(//[\w.]+):\d+`)
	printed := port.ReplaceAllString(out.String(), "$1:8443")
	printed = strings.Replace(printed, "127.0.0.1:8443", "127.0.0.1:8080", 1)
	want := drawing("$ go run ./cmd/reachfive demo\n" + printed)
	if *update {
		require.NoError(t, os.WriteFile(picture, []byte(want), 0o600))
	}
	got, err := os.ReadFile(picture)
	require.NoError(t, err)
	assert.Equal(t, want, string(got), "go test ./cmd/reachfive -run TestPictureOfTheDemo -update writes it anew")
}

// drawing is an SVG picture of a terminal that shows this text, with its colours.
func drawing(text string) string {
	const advance, leading, margin, bar = 8.4, 19, 16, 34 // pixels, for a font size of 14
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	colour := regexp.MustCompile(`\x1b\[(\d+)m`)
	columns := 0
	for _, line := range lines {
		columns = max(columns, utf8.RuneCountInString(colour.ReplaceAllString(line, "")))
	}
	width, height := float64(columns)*advance+2*margin, bar+len(lines)*leading+margin
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace" font-size="14" fill="#dcdfe4">
<title>What reachfive demo prints</title>
<rect width="100%%" height="100%%" rx="8" fill="#181a1f"/>
<circle cx="20" cy="17" r="6" fill="#ff5f57"/><circle cx="40" cy="17" r="6" fill="#febc2e"/><circle cx="60" cy="17" r="6" fill="#28c840"/>
`, width, height)
	styles := map[string]string{"32": ` fill="#98c379"`, "31": ` fill="#e06c75"`, "1": ` font-weight="bold"`}
	for row, line := range lines {
		column, style := 0, ""
		draw := func(part string) {
			indent := len(part) - len(strings.TrimLeft(part, " "))
			shown := strings.TrimSpace(part)
			if n := utf8.RuneCountInString(shown); n > 0 {
				// textLength aligns the columns in every font.
				fmt.Fprintf(&svg, `<text x="%.1f" y="%d" textLength="%.1f" xml:space="preserve"%s>%s</text>`+"\n",
					margin+float64(column+indent)*advance, bar+(row+1)*leading-5, float64(n)*advance, style, html.EscapeString(shown))
			}
			column += utf8.RuneCountInString(part)
		}
		at := 0
		for _, m := range colour.FindAllStringSubmatchIndex(line, -1) {
			draw(line[at:m[0]])
			style, at = styles[line[m[2]:m[3]]], m[1]
		}
		draw(line[at:])
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}
