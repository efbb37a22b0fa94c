package reachfive

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep JSON may nest; the outer object counts as 1. The
// decoder's own limit of 10,000 is too high to protect anything.
const maxDepth = 16

// errObject stands for every breach of strict JSON. The decoder's own errors
// quote the text at fault, so they are not passed on.
var errObject = errors.New("not one strict JSON object")

// span is the position of a JSON value in the text it was read from. The zero
// span stands for an absent value: at position 0 there is always the object's
// brace or white space, never a member's value.
type span struct{ start, end int }

// objectReader reads one JSON object, member by member. It refuses a duplicate
// member at any depth, invalid UTF-8, a lone surrogate, nesting below maxDepth,
// and anything after the object (RFC 8259, RFC 7493 section 2). It checks form
// only; what the members mean is up to its caller. Its memory is reused from
// one object to the next.
type objectReader struct {
	text    []byte
	escapes bool         // text contains a backslash, so a string may differ from its text
	source  bytes.Buffer // reads text
	decoder jsontext.Decoder
	options []jsontext.Options
	at      span   // of the last token
	name    []byte // the last token, if it was a member's name, without its escapes
	names   nameSet

	// strings are the elements of the last value if allStrings is set: the
	// value was then an array that holds nothing but strings.
	strings    []span
	allStrings bool
}

// open starts reading text, which must not change until the last member has
// been read.
func (r *objectReader) open(text []byte) error {
	if r.options == nil {
		// The decoder finds duplicate names too, but allocates for each name of
		// an object that has many. nameSet reuses its memory.
		r.options = []jsontext.Options{jsontext.AllowDuplicateNames(true)}
		r.names.seed = maphash.MakeSeed()
	}
	r.text, r.source = text, *bytes.NewBuffer(text)
	r.escapes = bytes.IndexByte(text, '\\') >= 0
	r.decoder.Reset(&r.source, r.options...)
	r.names.reset(text, r.escapes)
	r.at = span{}
	if kind, err := r.token(); err != nil || kind != '{' {
		return errObject
	}
	return nil
}

// token reads the next token and notes its position. The decoder only tells
// where a token ends; between two tokens there are only white space and one
// comma or colon, which the decoder has checked.
func (r *objectReader) token() (jsontext.Kind, error) {
	token, err := r.decoder.ReadToken()
	if err != nil {
		return 0, err
	}
	start := r.at.end
	for c := r.text[start]; c <= ' ' || c == ',' || c == ':'; c = r.text[start] {
		start++
	}
	r.at = span{start, int(r.decoder.InputOffset())}
	kind := token.Kind()
	switch kind {
	case '{', '[':
		depth := r.decoder.StackDepth()
		if depth > maxDepth {
			return 0, errObject
		}
		r.names.open(depth)
	case '"':
		depth := r.decoder.StackDepth()
		// An object's odd tokens are its names.
		if in, n := r.decoder.StackIndex(depth); in == '{' && n%2 == 1 {
			name, isNew := r.names.add(depth, r.at)
			if !isNew {
				return 0, errObject
			}
			r.name = name
		}
	}
	return kind, nil
}

// next returns the next member's name and the position of its value. The name
// is valid until the reader opens another object. After the last member next
// returns io.EOF, provided that nothing follows the object.
func (r *objectReader) next() (name []byte, value span, err error) {
	kind, err := r.token()
	if err != nil {
		return nil, span{}, errObject
	}
	if kind == '}' {
		if _, err := r.token(); err != io.EOF { //nolint:errorlint // the decoder returns it bare
			return nil, span{}, errObject
		}
		return nil, span{}, io.EOF
	}
	name = r.name
	value, err = r.value()
	return name, value, err
}

// value reads the value of a member, however deep it is.
func (r *objectReader) value() (span, error) {
	r.strings = r.strings[:0]
	kind, err := r.token()
	if err != nil {
		return span{}, errObject
	}
	whole := r.at
	r.allStrings = kind == '['
	for r.decoder.StackDepth() > 1 {
		kind, err := r.token()
		if err != nil {
			return span{}, errObject
		}
		switch kind {
		case ']', '}':
		case '"':
			if r.allStrings {
				r.strings = append(r.strings, r.at)
			}
		default:
			r.allStrings = false
		}
	}
	whole.end = r.at.end
	return whole, nil
}

// nameSet holds the member names of all objects in one text, to find a name
// that an object has twice. It is a hash table with open addressing. The hash
// is seeded, so nobody can choose names that collide.
type nameSet struct {
	seed      maphash.Seed
	text      []byte
	escapes   bool         // text contains a backslash
	unescaped []byte       // the names that are written with escapes, without them
	table     []memberName // its length is a power of two
	used      int
	first     uint64               // the number of this text's first object
	last      uint64               // the number of the last object opened
	path      [maxDepth + 1]uint64 // the object or array that is open at each depth
}

// memberName is one name of one object. Objects are numbered across all texts,
// so that an entry of an earlier text counts as empty and need not be cleared.
type memberName struct {
	object  uint64
	at      span // in the text, or in unescaped
	escaped bool
}

func (s *nameSet) reset(text []byte, escapes bool) {
	s.text, s.escapes, s.unescaped, s.used = text, escapes, s.unescaped[:0], 0
	s.first = s.last + 1
}

// open begins an object, or an array, at this depth.
func (s *nameSet) open(depth int) {
	s.last++
	s.path[depth] = s.last
}

// add adds a name, given as a JSON string, to the object at this depth. It
// returns the name without escapes, and false if the object has it already.
func (s *nameSet) add(depth int, quoted span) (name []byte, isNew bool) {
	if 2*s.used >= len(s.table) {
		s.grow()
	}
	m := memberName{object: s.path[depth], at: span{quoted.start + 1, quoted.end - 1}}
	if s.escapes && bytes.IndexByte(s.bytes(m), '\\') >= 0 {
		m.escaped, m.at.start = true, len(s.unescaped)
		// The decoder has accepted the string, so it can be unquoted.
		s.unescaped, _ = jsontext.AppendUnquote(s.unescaped, s.text[quoted.start:quoted.end])
		m.at.end = len(s.unescaped)
	}
	slot, isNew := s.find(m)
	*slot = m
	s.used++
	return s.bytes(m), isNew
}

// bytes returns a name.
func (s *nameSet) bytes(m memberName) []byte {
	if m.escaped {
		return s.unescaped[m.at.start:m.at.end]
	}
	return s.text[m.at.start:m.at.end]
}

// find returns the slot for a name, and whether it is empty.
func (s *nameSet) find(m memberName) (slot *memberName, empty bool) {
	name := s.bytes(m)
	mask := uint64(len(s.table)) - 1
	for i := maphash.Bytes(s.seed, name) + m.object; ; i++ {
		slot = &s.table[i&mask]
		if slot.object < s.first {
			return slot, true
		}
		if slot.object == m.object && bytes.Equal(s.bytes(*slot), name) {
			return slot, false
		}
	}
}

// grow doubles the table.
func (s *nameSet) grow() {
	old := s.table
	s.table = make([]memberName, max(64, 2*len(old)))
	for _, m := range old {
		if m.object >= s.first {
			slot, _ := s.find(m)
			*slot = m
		}
	}
}

// unquote returns the text of a JSON string that a strict reader has accepted.
// Without an escape, which is nearly always so, it is a part of raw itself.
func unquote(raw string) string {
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, raw)
	return string(text)
}

// unquotesTo reports whether the text of a JSON string is want. Unlike unquote
// of raw bytes it allocates nothing, unless there is an escape.
func unquotesTo(raw []byte, want string) bool {
	if bytes.IndexByte(raw, '\\') >= 0 {
		return unquote(string(raw)) == want
	}
	return string(raw[1:len(raw)-1]) == want
}
