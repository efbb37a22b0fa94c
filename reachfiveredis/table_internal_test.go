package reachfiveredis

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// crowded is one of 31 digests with few homes, the last of all and the first.
func crowded(i byte) digest {
	if i%5 < 3 {
		return digest{0: i, 8: 255, 9: 255, 10: 255, 15: i % 5}
	}
	return digest{0: i, 15: i % 5}
}

// Few homes, so that slots have to make way for each other at every step.
func TestTableAgreesWithAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var tab table
		want := map[digest]slot{}
		key := func() digest { return crowded(byte(rapid.IntRange(0, 30).Draw(rt, "key"))) }
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				s := slot{key(), packedID(rapid.Uint64().Draw(rt, "id")), int64(rapid.IntRange(1, 9).Draw(rt, "before"))}
				tab.put(s)
				want[s.digest] = s
			},
			"remove": func(*rapid.T) {
				d := key()
				tab.remove(d)
				delete(want, d)
			},
			"": func(rt *rapid.T) {
				if tab.used != len(want) {
					rt.Fatalf("%d used, want %d", tab.used, len(want))
				}
				for i := range 31 {
					d := crowded(byte(i))
					if tab.get(d) != want[d] {
						rt.Fatalf("%d: %v, want %v", i, tab.get(d), want[d])
					}
				}
			},
		})
	})
}

func TestTableShrinksWhenItEmpties(t *testing.T) {
	t.Parallel()
	var tab table
	for i := range 10_000 {
		d := digest{}
		binary.BigEndian.PutUint64(d[8:], uint64(i)*0x9E3779B97F4A7C15)
		tab.put(slot{d, packedID(i), 1})
	}
	full := len(tab.cells)
	for i := range 10_000 {
		d := digest{}
		binary.BigEndian.PutUint64(d[8:], uint64(i)*0x9E3779B97F4A7C15)
		tab.remove(d)
	}
	assert.Zero(t, tab.used)
	assert.Less(t, len(tab.cells), full/50)
}
