package reachfiveotel_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveotel"
)

// rootCodes reads the Codes of package reachfive out of its source.
func rootCodes(t *testing.T) (codes []reachfive.Code) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../errors.go", nil, 0)
	require.NoError(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
			codes = append(codes, reachfive.Code(strings.Trim(literal.Value, `"`)))
		}
		return true
	})
	require.Greater(t, len(codes), 20)
	return codes
}

func TestEveryCodeHasItsOwnLabel(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	want := map[string]float64{}
	for _, code := range rootCodes(t) {
		c.telemetry.Observer().VerifyDone(t.Context(), reachfive.VerifyEvent{Code: code})
		c.telemetry.GRPCRefusal(t.Context(), "", &reachfive.Error{Code: code})
		want[string(code)] = 1
	}
	assert.Equal(t, want, c.series(t, "reachfive.verifications", "reachfive.code"))
	assert.Equal(t, want, c.series(t, "reachfive.requests.refused", "reachfive.code"))
}

func TestNoAttributeCanGrowWithoutBound(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	observer := c.telemetry.Observer()
	for i := range 250 {
		text := fmt.Sprintf("made-up-%d", i)
		observer.VerifyDone(t.Context(), reachfive.VerifyEvent{Code: reachfive.Code(text), Issuer: text})
		observer.FetchDone(t.Context(), reachfive.FetchEvent{Cause: reachfive.CauseAhead, Result: fmt.Sprintf("status %d", 100+i*2), Issuer: text})
		c.telemetry.GRPCRefusal(t.Context(), text, reachfive.Code(text))
	}
	issuers := c.series(t, "reachfive.verifications", "reachfive.issuer")
	assert.Len(t, issuers, 101)
	assert.InDelta(t, 150, issuers["other"], 0)
	assert.InDelta(t, 1, issuers["made-up-99"], 0)
	assert.Equal(t, map[string]float64{"other": 250}, c.series(t, "reachfive.verifications", "reachfive.code"))
	assert.Equal(t, map[string]float64{"other": 250}, c.series(t, "reachfive.requests.refused", "reachfive.code"))
	assert.Len(t, c.series(t, "reachfive.keys.refreshes", "reachfive.issuer"), 101)
	assert.Len(t, c.series(t, "reachfive.keys.refreshes", "reachfive.result"), 5)
}

func TestResultsOfFetchesAreClasses(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	for _, result := range []string{"ok", "status 500", "status 503", "status 404", "discovery: status 502", "timeout", "status "} {
		c.telemetry.Observer().FetchDone(t.Context(), reachfive.FetchEvent{Cause: reachfive.CauseAhead, Result: result})
	}
	assert.Equal(t, map[string]float64{
		"ok": 1, "status 5xx": 2, "status 4xx": 1, "discovery: status 5xx": 1, "timeout": 1, "status ": 1,
	}, c.series(t, "reachfive.keys.refreshes", "reachfive.result"))
}

// The variadic options of the two instruments are what the API itself costs.
func TestAVerificationAllocatesNothingOfItsOwn(t *testing.T) {
	telemetry, err := reachfiveotel.New(reachfiveotel.WithMeterProvider(noop.NewMeterProvider()))
	require.NoError(t, err)
	done := telemetry.Observer().VerifyDone
	event := reachfive.VerifyEvent{Issuer: "https://a.example", Code: reachfive.CodeExpired}
	done(t.Context(), event)
	ctx := t.Context()
	assert.LessOrEqual(t, testing.AllocsPerRun(1000, func() { done(ctx, event) }), 2.0)
}
