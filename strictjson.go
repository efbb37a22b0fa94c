package reachfive

import (
	"bytes"
	"errors"
	"io"
	"strings"

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
	escapes bool         // text has a backslash: a string may not be what its text is
	source  bytes.Buffer // reads text
	decoder jsontext.Decoder
	at      span // of the last token

	// items are the strings of the last value, if it was an array of nothing
	// but strings, which areStrings tells.
	items      []span
	areStrings bool
}

// open starts reading text, which must not change until the last member has
// been read.
func (r *objectReader) open(text []byte) error {
	r.text, r.source = text, *bytes.NewBuffer(text)
	r.escapes = bytes.IndexByte(text, '\\') >= 0
	r.decoder.Reset(&r.source)
	r.at = span{}
	if kind, err := r.token(); err != nil || kind != '{' {
		return errObject
	}
	return nil
}

// token reads on by one token and notes where it stands. The decoder tells
// only where a token ends; between two there is nothing but white space and
// one comma or colon, which it has judged by then.
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
	return token.Kind(), nil
}

// next returns the next member's name, a part of the text where it has no
// escape, and where its value stands. After the last member it returns io.EOF,
// but only if nothing follows the object.
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
	name = r.text[r.at.start+1 : r.at.end-1]
	if r.escapes && bytes.IndexByte(name, '\\') >= 0 {
		// What the decoder has passed is a string, and can be unquoted.
		name, _ = jsontext.AppendUnquote(nil, r.text[r.at.start:r.at.end])
	}
	value, err = r.value()
	return name, value, err
}

// value reads the value of a member, to whatever depth it has.
func (r *objectReader) value() (span, error) {
	r.items, r.areStrings = r.items[:0], false
	kind, err := r.token()
	if err != nil {
		return span{}, errObject
	}
	whole := r.at
	if kind != '{' && kind != '[' {
		return whole, nil
	}
	r.areStrings = kind == '['
	for r.decoder.StackDepth() > 1 {
		kind, err := r.token()
		if err != nil || r.decoder.StackDepth() > maxDepth {
			return span{}, errObject
		}
		switch kind {
		case ']', '}':
		case '"':
			if r.areStrings {
				r.items = append(r.items, r.at)
			}
		default:
			r.areStrings = false
		}
	}
	whole.end = r.at.end
	return whole, nil
}

// unquote returns the text of a JSON string that a strict reader has passed.
// Without an escape, as nearly always, it is a part of raw itself.
func unquote(raw string) string {
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, raw)
	return string(text)
}

// unquotesTo reports whether the text of a JSON string is want. It allocates
// nothing, unlike unquote of raw bytes, unless there is an escape.
func unquotesTo(raw []byte, want string) bool {
	if bytes.IndexByte(raw, '\\') >= 0 {
		return unquote(string(raw)) == want
	}
	return string(raw[1:len(raw)-1]) == want
}
