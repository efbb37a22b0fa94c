package reachfiveredis

import (
	"sync"
	"sync/atomic"
)

const shards = 64

// set holds the sign-outs that count now. Adding and lifting commute and may be
// repeated, so the log may be read in any order and more than once. One
// goroutine changes it; any number reads.
type set struct {
	shards [shards]shard
	size   atomic.Int64
	lifted map[packedID]packedID // a lifted sign-out, and its lift
}

type shard struct {
	mu    sync.RWMutex
	first table                         // of each digest the sign-out with the latest Before
	more  map[digest]map[packedID]int64 // the others, which a lift can bring back
}

func newSet() *set {
	s := &set{lifted: map[packedID]packedID{}}
	for i := range s.shards {
		s.shards[i].more = map[digest]map[packedID]int64{}
	}
	return s
}

func (s *set) shardOf(d digest) *shard { return &s.shards[d[0]%shards] }

// reserve makes room for n sign-outs at once, in place of many times.
func (s *set) reserve(n int) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.first.reserve(n / shards)
		sh.mu.Unlock()
	}
}

// before returns the time, in Unix seconds, up to which sign-ins are refused; 0
// if d is not signed out.
func (s *set) before(d digest) int64 {
	sh := s.shardOf(d)
	sh.mu.RLock()
	before := sh.first.get(d).before
	sh.mu.RUnlock()
	return before
}

// apply takes an entry of the log.
func (s *set) apply(e entry) {
	switch {
	case e.isLift():
		s.lift(e.target.digest, e.lifts.packed(), e.id.packed())
	case e.before > 0:
		s.add(slot{e.target.digest, e.id.packed(), e.before})
	}
}

func (s *set) add(added slot) {
	if _, lifted := s.lifted[added.id]; lifted {
		return
	}
	d := added.digest
	sh := s.shardOf(d)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	latest := sh.first.get(d)
	if _, known := sh.more[d][added.id]; known || latest.id == added.id && latest.before > 0 {
		return
	}
	s.size.Add(1)
	if added.before > latest.before {
		sh.first.put(added)
		added = latest
	}
	if added.before == 0 {
		return
	}
	if sh.more[d] == nil {
		sh.more[d] = map[packedID]int64{}
	}
	sh.more[d][added.id] = added.before
}

func (s *set) lift(d digest, id, by packedID) {
	s.lifted[id] = max(s.lifted[id], by)
	sh := s.shardOf(d)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.remove(sh, d, func(other packedID) bool { return other == id })
}

// remove takes the sign-outs of d that are gone out of sh, which is locked.
func (s *set) remove(sh *shard, d digest, gone func(packedID) bool) {
	others := sh.more[d]
	for id := range others {
		if gone(id) {
			delete(others, id)
			s.size.Add(-1)
		}
	}
	if first := sh.first.get(d); first.before > 0 && gone(first.id) {
		s.size.Add(-1)
		next := slot{digest: d}
		for id, before := range others {
			if before > next.before {
				next.id, next.before = id, before
			}
		}
		delete(others, next.id)
		if next.before == 0 {
			sh.first.remove(d)
		} else {
			sh.first.put(next)
		}
	}
	if len(others) == 0 {
		delete(sh.more, d)
	}
}

// sweep drops what is older than oldest from one of the shards, so that no
// check waits for more than a part of the set; the lifts go with the first.
func (s *set) sweep(index int, oldest packedID) {
	gone := func(id packedID) bool { return id < oldest }
	sh := &s.shards[index%shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var old []digest
	for first := range sh.first.all {
		if gone(first.id) {
			old = append(old, first.digest)
		}
	}
	for _, d := range old {
		s.remove(sh, d, gone)
	}
	for d := range sh.more {
		s.remove(sh, d, gone)
	}
	if index%shards > 0 {
		return
	}
	for id, by := range s.lifted {
		if gone(by) {
			delete(s.lifted, id)
		}
	}
}

// find returns the digest of a sign-out. It looks at every one.
func (s *set) find(id packedID) (digest, bool) {
	for i := range s.shards {
		if d, ok := s.shards[i].find(id); ok {
			return d, true
		}
	}
	return digest{}, false
}

func (sh *shard) find(id packedID) (digest, bool) {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	for first := range sh.first.all {
		if first.id == id {
			return first.digest, true
		}
	}
	for d, others := range sh.more {
		if _, ok := others[id]; ok {
			return d, true
		}
	}
	return digest{}, false
}
