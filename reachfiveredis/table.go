package reachfiveredis

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// slot is a sign-out of a table; before is 0 where there is none.
type slot struct {
	digest digest
	id     packedID
	before int64 // Unix seconds
}

// cell is a slot in 28 bytes: its times are good until the year 2106.
type cell struct {
	digest     digest
	high, low  uint32 // of the ID
	beforeUnix uint32 // 0: the cell is free
}

func (c cell) slot() slot {
	return slot{c.digest, packedID(uint64(c.high)<<32 | uint64(c.low)), int64(c.beforeUnix)}
}

func (c cell) free() bool { return c.beforeUnix == 0 }

// table maps a digest to the sign-out with the latest Before. A check that finds
// nothing, as nearly all do, touches one or two lines of memory, where a map of
// Go touches more and made a check with a million sign-outs twice as slow.
//
// It is linear probing over cells in the order of their digests, so that a
// search ends at the first greater one. Digests are as good as random: their own
// bits say where they belong.
type table struct {
	cells []cell // at least tail more than homes
	homes uint64
	used  int
}

// tail is room behind the last home, for cells that had to make way.
const tail = 32

func (d digest) rank() uint64 { return binary.BigEndian.Uint64(d[8:]) }

func (t *table) home(d digest) int {
	high, _ := bits.Mul64(d.rank(), t.homes)
	return int(high) //nolint:gosec // less than homes, which is an int
}

// less is the order of the cells.
func less(a, b digest) bool {
	if ra, rb := a.rank(), b.rank(); ra != rb {
		return ra < rb
	}
	return binary.BigEndian.Uint64(a[:]) < binary.BigEndian.Uint64(b[:])
}

// find returns the index of d's cell, or else of the cell before which d belongs.
func (t *table) find(d digest) (i int, found bool) {
	for i = t.home(d); i < len(t.cells) && !t.cells[i].free(); i++ {
		if t.cells[i].digest == d {
			return i, true
		}
		if less(d, t.cells[i].digest) {
			return i, false
		}
	}
	return i, false
}

func (t *table) get(d digest) slot {
	if t.used == 0 {
		return slot{}
	}
	if i, found := t.find(d); found {
		return t.cells[i].slot()
	}
	return slot{}
}

// reserve makes room for n sign-outs.
func (t *table) reserve(n int) {
	if homes := n + n*3/5 + 1; homes > len(t.cells)-tail {
		t.resize(homes)
	}
}

func (t *table) put(s slot) {
	if homes := len(t.cells) - tail; t.used >= homes*3/4 {
		t.resize(max(homes, tail) * 5 / 4)
	}
	t.place(cell{s.digest, uint32(s.id >> 32), uint32(s.id & math.MaxUint32), uint32(s.before & math.MaxUint32)})
}

func (t *table) place(c cell) {
	i, found := t.find(c.digest)
	if found {
		t.cells[i] = c
		return
	}
	t.used++
	free := i
	for free < len(t.cells) && !t.cells[free].free() {
		free++
	}
	if free == len(t.cells) {
		t.cells = append(t.cells, cell{})
	}
	copy(t.cells[i+1:free+1], t.cells[i:free])
	t.cells[i] = c
}

func (t *table) resize(homes int) {
	old := t.cells
	t.cells, t.homes, t.used = make([]cell, homes+tail), uint64(max(homes, 0)), 0
	for _, c := range old {
		if !c.free() {
			t.place(c)
		}
	}
}

// remove frees d's cell, and moves back what had to make way for it.
func (t *table) remove(d digest) {
	if t.used == 0 {
		return
	}
	i, found := t.find(d)
	if !found {
		return
	}
	t.used--
	end := i + 1
	for end < len(t.cells) && !t.cells[end].free() && t.home(t.cells[end].digest) < end {
		end++
	}
	copy(t.cells[i:], t.cells[i+1:end])
	t.cells[end-1] = cell{}
	if homes := len(t.cells) - tail; homes > 4*tail && t.used < homes/8 {
		t.resize(homes / 2)
	}
}

// all calls yield for each sign-out.
func (t *table) all(yield func(slot) bool) {
	for _, c := range t.cells {
		if !c.free() && !yield(c.slot()) {
			return
		}
	}
}
