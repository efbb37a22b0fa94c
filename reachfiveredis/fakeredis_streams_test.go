package reachfiveredis_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2/server"
)

func (f *fakeRedis) xlen(p *server.Peer, _ []string) {
	if f.log == nil {
		p.WriteInt(0)
		return
	}
	p.WriteInt(len(f.log.entries))
}

func (f *fakeRedis) xadd(p *server.Peer, args []string) {
	f.logKey = args[0]
	args = args[1:]
	create := true
	for args[0] != "*" {
		switch strings.ToLower(args[0]) {
		case "nomkstream":
			create = false
			args = args[1:]
		case "minid":
			f.trim(args[2])
			args = args[3:]
		}
	}
	if f.log == nil && !create {
		p.WriteNull()
		return
	}
	if f.log == nil {
		f.log = &fakeStream{}
	}
	ms := f.now().UnixMilli()
	e := f.log.append(ms, args[1:])
	close(f.changed)
	f.changed = newSignal()
	p.WriteBulk(e.id())
}

func newSignal() chan struct{} { return make(chan struct{}) }

func (s *fakeStream) append(ms int64, fields []string) fakeEntry {
	seq := int64(0)
	if ms <= s.lastMS {
		ms, seq = s.lastMS, s.lastSeq+1
	}
	e := fakeEntry{ms, seq, slices.Clone(fields)}
	s.entries = append(s.entries, e)
	s.lastMS, s.lastSeq = ms, seq
	s.added++
	return e
}

func (e fakeEntry) id() string { return fmt.Sprintf("%d-%d", e.ms, e.seq) }

func (f *fakeRedis) trim(minID string) {
	oldest := bound(minID)
	if f.log != nil {
		f.log.entries = slices.DeleteFunc(f.log.entries, func(e fakeEntry) bool { return less(e.at(), oldest) })
	}
}

func (f *fakeRedis) xtrim(p *server.Peer, args []string) {
	before := len(f.log.entries)
	f.trim(args[len(args)-1])
	p.WriteInt(before - len(f.log.entries))
}

func (f *fakeRedis) xinfo(p *server.Peer, _ []string) {
	if f.log == nil {
		p.WriteError("ERR no such key")
		return
	}
	p.WriteMapLen(4)
	p.WriteBulk("radix-tree-keys")
	p.WriteInt(1)
	p.WriteBulk("length")
	p.WriteInt(len(f.log.entries))
	p.WriteBulk("last-generated-id")
	p.WriteBulk(fmt.Sprintf("%d-%d", f.log.lastMS, f.log.lastSeq))
	name := "entries-added"
	if f.version < "7" {
		name = "groups"
	}
	p.WriteBulk(name)
	p.WriteInt(int(f.log.added))
}

type position struct{ ms, seq int64 }

func (e fakeEntry) at() position { return position{e.ms, e.seq} }

func less(a, b position) bool { return a.ms < b.ms || a.ms == b.ms && a.seq < b.seq }

func bound(s string) position {
	ms, seq, _ := strings.Cut(s, "-")
	var at position
	u, _ := strconv.ParseUint(ms, 10, 64)
	at.ms = int64(min(u, 1<<62))
	u, _ = strconv.ParseUint(seq, 10, 64)
	at.seq = int64(min(u, 1<<62))
	return at
}

// between returns the entries from one bound to another.
func (f *fakeRedis) between(from, to string) []fakeEntry {
	if f.log == nil {
		return nil
	}
	var found []fakeEntry
	for _, e := range f.log.entries {
		at := e.at()
		var after bool
		switch exclusive, ok := strings.CutPrefix(from, "("); {
		case from == "-":
			after = true
		case ok:
			after = less(bound(exclusive), at)
		default:
			after = !less(at, bound(from))
		}
		if after && (to == "+" || !less(bound(to), at)) {
			found = append(found, e)
		}
	}
	return found
}

func writeEntries(p *server.Peer, entries []fakeEntry, args []string) {
	if i := slices.Index(args, "COUNT"); i >= 0 {
		n, _ := strconv.Atoi(args[i+1])
		entries = entries[:min(n, len(entries))]
	}
	p.WriteLen(len(entries))
	for _, e := range entries {
		p.WriteLen(2)
		p.WriteBulk(e.id())
		p.WriteStrings(e.fields)
	}
}

func (f *fakeRedis) xrange(p *server.Peer, args []string) {
	writeEntries(p, f.between(args[1], args[2]), args)
}

func (f *fakeRedis) xrevrange(p *server.Peer, args []string) {
	entries := f.between(args[2], args[1])
	slices.Reverse(entries)
	writeEntries(p, entries, args)
}

func (f *fakeRedis) wait(p *server.Peer, _ []string) { p.WriteInt(1) }

// xread is always asked to block for one entry of one stream.
func (f *fakeRedis) xread(p *server.Peer, _ string, args []string) {
	block, _ := strconv.Atoi(args[slices.Index(args, "BLOCK")+1])
	timeout := time.After(time.Duration(block) * time.Millisecond)
	for {
		f.mu.Lock()
		found := f.between("("+args[len(args)-1], "+")
		changed, hung, failing, key := f.changed, f.hung, f.failing, f.logKey
		f.mu.Unlock()
		switch {
		case hung:
			return
		case failing != "":
			p.WriteError(failing)
			return
		case len(found) > 0:
			p.WriteLen(1)
			p.WriteLen(2)
			p.WriteBulk(key)
			writeEntries(p, found[:1], nil)
			p.Flush()
			return
		}
		select {
		case <-changed:
		case <-timeout:
			p.WriteNull()
			return
		}
	}
}
