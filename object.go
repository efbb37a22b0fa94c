package reachfive

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep JSON may nest, the outer object being 1. The decoder's
// own limit is 10,000, which is no limit at all for a token.
const maxDepth = 16

// errObject is every breach of strict JSON in one value. The decoder's own
// errors quote the text they stumbled on, so they go no further than here.
var errObject = errors.New("not one strict JSON object")

// span is where a JSON value stands in the text it was read from. The zero
// span stands for a value that is absent: no value starts at 0, where the
// object's brace is.
type span struct{ start, end int }

// objectReader reads one JSON object, member by member: no member twice at any
// depth, valid UTF-8, no lone surrogate, no deeper than maxDepth, nothing
// after it (RFC 8259, RFC 7493 section 2). It judges form only and leaves the
// meaning to its caller. Its memory is reused from one object to the next.
type objectReader struct {
	text    []byte
	source  bytes.Buffer // reads text
	decoder jsontext.Decoder

	// items are the strings of the last value, if it was an array of nothing
	// but strings, which areStrings tells.
	items      []span
	areStrings bool
}

// open starts reading text, which must not change until the last member has
// been read.
func (r *objectReader) open(text []byte) error {
	r.text, r.source = text, *bytes.NewBuffer(text)
	r.decoder.Reset(&r.source)
	if token, err := r.decoder.ReadToken(); err != nil || token.Kind() != '{' {
		return errObject
	}
	return nil
}

// next returns the next member's name, a part of the text where it has no
// escape, and where its value stands. After the last member it returns io.EOF, but only if
// nothing follows the object.
func (r *objectReader) next() (name []byte, value span, err error) {
	if r.decoder.PeekKind() == '}' {
		_, errBrace := r.decoder.ReadToken()
		_, errEnd := r.decoder.ReadToken()
		if errBrace != nil || errEnd != io.EOF { //nolint:errorlint // the decoder returns it bare
			return nil, span{}, errObject
		}
		return nil, span{}, io.EOF
	}
	at, err := r.scalar()
	if err != nil {
		return nil, span{}, err
	}
	name = r.text[at.start+1 : at.end-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		// What ReadValue has passed is a string, and can be unquoted.
		name, _ = jsontext.AppendUnquote(nil, r.text[at.start:at.end])
	}
	value, err = r.value()
	return name, value, err
}

// value reads the value of a member, to whatever depth it has.
func (r *objectReader) value() (span, error) {
	r.items, r.areStrings = r.items[:0], false
	kind := r.decoder.PeekKind()
	if kind != '{' && kind != '[' {
		return r.scalar()
	}
	var whole span
	for opened := false; !opened || r.decoder.StackDepth() > 1; opened = true {
		switch r.decoder.PeekKind() {
		case '{', '[':
			if _, err := r.decoder.ReadToken(); err != nil || r.decoder.StackDepth() > maxDepth {
				return span{}, errObject
			}
			if !opened {
				whole.start = int(r.decoder.InputOffset()) - 1
			}
			r.areStrings = kind == '[' && !opened
		case '}', ']':
			if _, err := r.decoder.ReadToken(); err != nil {
				return span{}, errObject
			}
		case '"':
			item, err := r.scalar()
			if err != nil {
				return span{}, err
			}
			if r.areStrings {
				r.items = append(r.items, item)
			}
		default:
			if _, err := r.scalar(); err != nil {
				return span{}, err
			}
			r.areStrings = false
		}
	}
	whole.end = int(r.decoder.InputOffset())
	return whole, nil
}

// scalar reads a string, a number, true, false or null.
func (r *objectReader) scalar() (span, error) {
	raw, err := r.decoder.ReadValue()
	if err != nil {
		return span{}, errObject
	}
	end := int(r.decoder.InputOffset())
	return span{end - len(raw), end}, nil
}

// unquote returns the text of a JSON string that a strict reader has passed.
// Without an escape, as nearly always, it is a part of raw itself.
func unquote(raw string) string {
	for i := 1; i < len(raw)-1; i++ {
		if raw[i] == '\\' {
			text, _ := jsontext.AppendUnquote(nil, raw)
			return string(text)
		}
	}
	return raw[1 : len(raw)-1]
}

// unquotesTo reports whether the text of a JSON string is want. It allocates
// nothing, unlike unquote of raw bytes, unless there is an escape.
func unquotesTo(raw []byte, want string) bool {
	if bytes.IndexByte(raw, '\\') >= 0 {
		return unquote(string(raw)) == want
	}
	return string(raw[1:len(raw)-1]) == want
}
