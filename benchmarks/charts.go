package main

import (
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// oursColor marks this package, otherColor everybody else.
func oursColor() color.Color  { return color.RGBA{R: 0x1f, G: 0x6f, B: 0xb2, A: 0xff} }
func otherColor() color.Color { return color.RGBA{R: 0xa9, G: 0xb4, B: 0xbf, A: 0xff} }

func isOurs(name string) bool { return strings.HasPrefix(name, ours) }

// verifyChart draws the ratios to the floor as bars.
func (b *bench) verifyChart(results []result) {
	bars := make([]bar, len(results))
	for i, r := range results {
		bars[i] = bar{name: r.name, value: r.ratio, label: ratio(r.ratio), ours: isOurs(r.name)}
	}
	b.barChart("performance-verify.svg", "RS256 verification, time relative to the bare signature",
		"1 = SHA-256 + RSA-2048, and nothing else", bars)
}

// bar is one of a chart.
type bar struct {
	name  string
	value float64
	label string
	ours  bool
}

// barChart draws bars, the first on top.
func (b *bench) barChart(file, title, axis string, bars []bar) {
	p := newPlot(title)
	p.X.Label.Text = axis
	p.X.Min = 0
	p.X.Max = 1.12 * slices.MaxFunc(bars, func(a, b bar) int { return cmp.Compare(a.value, b.value) }).value
	if p.X.Max > 10 {
		p.X.Tick.Marker = wholeTicks{}
	}
	var mine, others plotter.Values
	names := make([]string, len(bars))
	labels := plotter.XYLabels{}
	for i := range bars {
		r := bars[len(bars)-1-i]
		names[i] = r.name
		own, other := 0.0, r.value
		if r.ours {
			own, other = other, own
		}
		mine, others = append(mine, own), append(others, other)
		labels.XYs = append(labels.XYs, plotter.XY{X: r.value + p.X.Max/100, Y: float64(i) - 0.12})
		labels.Labels = append(labels.Labels, r.label)
	}
	for _, series := range []struct {
		values plotter.Values
		color  color.Color
	}{{others, otherColor()}, {mine, oursColor()}} {
		drawing, err := plotter.NewBarChart(series.values, vg.Points(14))
		check(err)
		drawing.Horizontal, drawing.Color, drawing.LineStyle.Width = true, series.color, 0
		p.Add(drawing)
	}
	text, err := plotter.NewLabels(labels)
	check(err)
	for i := range text.TextStyle {
		text.TextStyle[i].Font.Size = vg.Points(9)
	}
	p.Y.Padding = vg.Points(22)
	p.Add(text)
	p.NominalY(names...)
	b.charts = append(b.charts, drawn(file, p, vg.Length(len(bars)+3)*0.75*vg.Centimeter))
}

// sizeChart draws the time over the size of the token.
func (b *bench) sizeChart(g *grown) {
	p := newPlot("RS256 verification by size of the token")
	p.X.Label.Text, p.Y.Label.Text = "KiB", "µs"
	p.X.Min, p.Y.Min = 0, 0
	p.Y.Tick.Marker = wholeTicks{}
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	shades := []color.Color{
		color.RGBA{R: 0x55, G: 0x55, B: 0x55, A: 0xff},
		color.RGBA{R: 0xd0, G: 0x8a, B: 0x2e, A: 0xff},
		color.RGBA{R: 0x7a, G: 0x9e, B: 0x4b, A: 0xff},
		color.RGBA{R: 0xb0, G: 0x4a, B: 0x5a, A: 0xff},
		color.RGBA{R: 0x7d, G: 0x5b, B: 0xa6, A: 0xff},
		color.RGBA{R: 0x4f, G: 0xa3, B: 0xa0, A: 0xff},
		color.RGBA{R: 0x9a, G: 0x77, B: 0x5c, A: 0xff},
		color.RGBA{R: 0xe0, G: 0x5c, B: 0x9c, A: 0xff},
		color.RGBA{R: 0x2e, G: 0x3a, B: 0x87, A: 0xff},
	}
	for i, name := range g.uncached() {
		points := make(plotter.XYs, len(g.at))
		for j, at := range g.at {
			points[j] = plotter.XY{X: kibibytes(at), Y: g.times[name][j]}
		}
		line, err := plotter.NewLine(points)
		check(err)
		line.Width, line.Color = vg.Points(1.2), shades[i%len(shades)]
		if isOurs(name) {
			line.Width, line.Color = vg.Points(2.5), oursColor()
		}
		p.Add(line)
		p.Legend.Add(name, line)
	}
	b.charts = append(b.charts, drawn("performance-size.svg", p, 11*vg.Centimeter))
}

// newPlot uses a sans serif that has the widths of Arial and Helvetica, so that
// the text fits for a reader who does not have it.
func newPlot(title string) *plot.Plot {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.Title.Text = title
	p.Title.TextStyle.Font.Size = vg.Points(11)
	p.Title.Padding = vg.Points(8)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font.Size = vg.Points(9)
		axis.Tick.Label.Font.Size = vg.Points(9)
	}
	p.Legend.TextStyle.Font.Size = vg.Points(9)
	p.Legend.Padding = vg.Points(3)
	p.BackgroundColor = color.White // readable on a dark page too
	return p
}

// chart is a picture that belongs to a section.
type chart struct {
	file string
	svg  string
}

// drawn is the plot as SVG, its text in whatever sans serif the reader has.
func drawn(file string, p *plot.Plot, height vg.Length) chart {
	drawing, err := p.WriterTo(18*vg.Centimeter, height, "svg")
	check(err)
	var svg bytes.Buffer
	_, err = drawing.WriteTo(&svg)
	check(err)
	return chart{file, strings.NewReplacer(
		"font-family:Liberation Sans", "font-family:Liberation Sans,Arial,Helvetica,sans-serif",
		"font-family:Liberation Serif", "font-family:Liberation Sans,Arial,Helvetica,sans-serif",
	).Replace(svg.String())}
}

// wholeTicks are the default ticks with whole numbers.
type wholeTicks struct{}

// Ticks implements plot.Ticker.
func (wholeTicks) Ticks(least, most float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(least, most)
	for i, tick := range ticks {
		if tick.Label != "" {
			ticks[i].Label = fmt.Sprintf("%.0f", tick.Value)
		}
	}
	return ticks
}
