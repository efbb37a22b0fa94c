package reachfiveotel_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/reachfive-community/reachfive/reachfiveotel"
)

// collector is an OpenTelemetry SDK that keeps everything in memory.
type collector struct {
	telemetry *reachfiveotel.Telemetry
	reader    *sdkmetric.ManualReader
	spans     *tracetest.InMemoryExporter
	tracers   *sdktrace.TracerProvider
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{reader: sdkmetric.NewManualReader(), spans: tracetest.NewInMemoryExporter()}
	c.tracers = sdktrace.NewTracerProvider(sdktrace.WithSyncer(c.spans))
	var err error
	c.telemetry, err = reachfiveotel.New(
		reachfiveotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(c.reader))),
		reachfiveotel.WithTracerProvider(c.tracers))
	require.NoError(t, err)
	return c
}

// series returns the values of one metric, for a histogram the counts. Each key
// joins the values of the named attributes.
func (c *collector) series(t *testing.T, name string, by ...string) map[string]float64 {
	t.Helper()
	values, _ := c.read(t, name, by)
	return values
}

// sums returns the sums of a histogram.
func (c *collector) sums(t *testing.T, name string, by ...string) map[string]float64 {
	t.Helper()
	_, sums := c.read(t, name, by)
	return sums
}

func (c *collector) read(t *testing.T, name string, by []string) (values, sums map[string]float64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, c.reader.Collect(t.Context(), &all))
	values, sums = make(map[string]float64), make(map[string]float64)
	key := func(attributes attribute.Set) string {
		parts := make([]string, 0, len(by))
		for _, name := range by {
			v, _ := attributes.Value(attribute.Key(name))
			if v.Type() == attribute.EMPTY {
				parts = append(parts, "")
				continue
			}
			parts = append(parts, v.String())
		}
		return strings.Join(parts, " ")
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					values[key(p.Attributes)] += float64(p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					values[key(p.Attributes)] += float64(p.Count)
					sums[key(p.Attributes)] += p.Sum
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					values[key(p.Attributes)] += p.Value
				}
			}
		}
	}
	return values, sums
}
