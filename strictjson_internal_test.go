package reachfive

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/reachfive-community/reachfive/internal/reference"
)

// readObject returns the names of an object's members, in their order.
func readObject(r *objectReader, text string) (names []string, err error) {
	if err := r.open([]byte(text)); err != nil {
		return nil, err
	}
	for {
		name, value, err := r.next()
		if err == io.EOF { //nolint:errorlint // the reader returns it bare
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		if value.start <= 0 || value.end <= value.start {
			return nil, fmt.Errorf("the value of %q is at %v", name, value)
		}
		names = append(names, string(name))
	}
}

// members writes n members, a000 and so on.
func members(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `"a%03d":%d,`, i, i)
	}
	return text.String()
}

// Names are kept in a table that grows with them, at any depth.
func TestObjectOfAnySizeHasNoMemberTwice(t *testing.T) {
	t.Parallel()
	var r objectReader // one for many texts, as a Verifier has it
	for n := 1; n <= 600; n += 1 + n/3 {
		for _, at := range []int{0, n / 2, n - 1} {
			plain, escaped := fmt.Sprintf("a%03d", at), fmt.Sprintf(`\u0061%03d`, at)
			for _, name := range []string{plain, escaped} {
				twice := members(n) + `"` + name + `":0`
				for _, text := range []string{
					`{` + twice + `}`, `{"o":{` + twice + `}}`, `{"o":[1,{` + twice + `}]}`, `{"` + name + `":{},"o":[[{"p":{` + twice + `}}]]}`,
				} {
					_, err := readObject(&r, text)
					require.Error(t, err, text)
					_, err = readObject(new(objectReader), text) // whose table grows
					require.Error(t, err, text)
				}
			}
			// In another object the name is another one.
			for _, text := range []string{
				`{` + members(n) + `"o":{` + members(n) + `"o":{}}}`, `{"o":[{` + members(n) + `"x":1},{` + members(n) + `"x":1}]}`,
				`{"o":{"` + escaped + `":{"` + plain + `":{}}},"` + plain + `":{"` + escaped + `":{}}}`,
			} {
				_, err := readObject(&r, text)
				require.NoError(t, err, text)
			}
		}
	}
}

func TestObjectTellsItsNamesWithoutEscapes(t *testing.T) {
	t.Parallel()
	var r objectReader
	names, err := readObject(&r, `{"plain":1,"\u0061\n":{"inner\t":[]},"\ud83d\ude00":"x","":null}`)
	require.NoError(t, err)
	assert.Equal(t, []string{"plain", "a\n", "\U0001F600", ""}, names)
}

// What one text leaves in the reader's memory has no influence on the next.
func TestObjectReaderForgetsTheTextBefore(t *testing.T) {
	t.Parallel()
	var r objectReader
	for _, text := range []string{
		`{"a":1,"b":{"a":1}}`, `{"a":1,"a":2}`, `{"b":1,"a":[`, `{"a":{"b":1},"b":2}`, `{"\u0061":1}`, `{"a":1}`, `[`, `{"a":1,"b":{"a":1}}`,
	} {
		_, err := readObject(&r, text)
		_, want := reference.Object([]byte(text))
		assert.Equal(t, want, err == nil, text)
	}
	// The names of a long text must be gone when the table grows for a short one.
	_, err := readObject(&r, `{"`+strings.Repeat("long", 1000)+`":0,`+members(20)+`"a":0}`)
	require.NoError(t, err)
	_, err = readObject(&r, `{`+members(40)+`"a":0}`)
	require.NoError(t, err)
}

// Few and short names make duplicates likely.
func TestObjectReaderAgreesWithTheReferenceAboutDuplicates(t *testing.T) {
	t.Parallel()
	name := rapid.SampledFrom([]string{"a", "b", `\u0061`, "aa", "", `\n`, "é", `\u00e9`})
	var value func(depth int) *rapid.Generator[string]
	value = func(depth int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			kind := rapid.IntRange(0, 4).Draw(t, "kind")
			if depth == 0 || kind > 2 {
				return rapid.SampledFrom([]string{"1", `"a"`, "null", "true"}).Draw(t, "leaf")
			}
			inner := rapid.SliceOfN(value(depth-1), 0, 3).Draw(t, "inner")
			if kind == 0 {
				return "[" + strings.Join(inner, ",") + "]"
			}
			for i := range inner {
				inner[i] = `"` + name.Draw(t, "name") + `":` + inner[i]
			}
			return "{" + strings.Join(inner, " , ") + "}"
		})
	}
	var r objectReader
	accepted := 0
	rapid.Check(t, func(rt *rapid.T) {
		text := `{"o":` + value(5).Draw(rt, "value") + `}`
		_, want := reference.Object([]byte(text))
		_, err := readObject(&r, text)
		require.Equal(rt, want, err == nil, text)
		if want {
			accepted++
		}
	})
	assert.Positive(t, accepted)
}

// A text of many members allocates no more than one of few, once the memory is
// there.
func TestObjectReaderAllocatesNothingForNames(t *testing.T) {
	var r objectReader
	for _, n := range []int{1, 30, 500} {
		text := []byte(`{` + members(n) + `"o":{"x":[{"y":"z"}]}}`)
		read := func() {
			if err := r.open(text); err != nil {
				t.Error(err)
			}
			for {
				if _, _, err := r.next(); err != nil {
					return
				}
			}
		}
		read()
		assert.LessOrEqual(t, testing.AllocsPerRun(20, read), 0.0, "%d members", n)
	}
}
