package reachfive

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// claimSet is a payload whose members have been found but not yet interpreted:
// the position of each claim's value. If a claim occurs in both spellings, the
// one on the wire counts, whichever comes first.
type claimSet struct {
	payload string
	escapes bool // payload contains a backslash
	values  [claims]span
	wire    [claims]bool // the value has the wire name of a claim with two spellings
	aud     stringArray
	amr     stringArray
}

// stringArray is the position of each string in a claim that is an array of
// strings. If the claim is anything else, ok is false.
type stringArray struct {
	items []span
	ok    bool
}

// read finds the claims of a payload. Every breach of form is malformed_token.
func (p *claimSet) read(r *objectReader, payload []byte) error {
	*p = claimSet{aud: stringArray{items: p.aud.items[:0]}, amr: stringArray{items: p.amr.items[:0]}}
	if err := r.open(payload); err != nil {
		return refuse(CodeMalformedToken)
	}
	for {
		name, value, err := r.next()
		if err == io.EOF { //nolint:errorlint // the reader returns it bare
			p.payload, p.escapes = string(payload), r.escapes
			return nil
		}
		if err != nil {
			return refuse(CodeMalformedToken)
		}
		c := claimOf(name)
		if c == noClaim || p.wire[c] { // no spelling occurs twice
			continue
		}
		// Where a claim has two spellings, the one on the wire has underscores.
		p.values[c], p.wire[c] = value, slices.Contains(name, '_')
		switch c {
		case claimAud:
			p.aud = stringArray{append(p.aud.items, r.strings...), r.allStrings}
		case claimAMR:
			p.amr = stringArray{append(p.amr.items, r.strings...), r.allStrings}
		}
	}
}

// has reports whether the payload has the claim, null included.
func (p *claimSet) has(c claim) bool { return p.values[c].end != 0 }

// raw returns the claim's JSON text, and "" if it is absent.
func (p *claimSet) raw(c claim) string {
	return p.payload[p.values[c].start:p.values[c].end]
}

// unquote returns the text of a string of the payload.
func (p *claimSet) unquote(raw string) string {
	if !p.escapes {
		return raw[1 : len(raw)-1]
	}
	return unquote(raw)
}

// text returns a string claim, and "" if it is absent or of another type.
func (p *claimSet) text(c claim) string {
	raw := p.raw(c)
	if raw == "" || raw[0] != '"' {
		return ""
	}
	return p.unquote(raw)
}

// strings appends the strings of an array of strings, or a bare string, to into.
// It returns false for anything else.
func (p *claimSet) strings(c claim, array stringArray, into []string) ([]string, bool) {
	raw := p.raw(c)
	if raw != "" && raw[0] == '"' {
		return append(into, p.unquote(raw)), true
	}
	if !array.ok {
		return nil, false
	}
	for _, item := range array.items {
		into = append(into, p.unquote(p.payload[item.start:item.end]))
	}
	return into, true
}

const (
	// maxTime is the last second of the year 9999: RFC 3339 can write no later
	// one, and time arithmetic is far from its overflow.
	maxTime = 253402300799
	// maxSubjectSize is OpenID Connect's limit for sub, in bytes.
	maxSubjectSize = 255
	// maxMethods limits amr. A sign-in has a handful of methods.
	maxMethods = 64
)

// claimReader reads claims by type and keeps the first refusal.
type claimReader struct {
	*claimSet
	err error
}

func (r *claimReader) refuse(code Code, c claim) {
	if r.err == nil {
		r.err = refuseClaim(code, c.wireName())
	}
}

// required reads a string that must be present.
func (r *claimReader) required(c claim) string {
	switch raw := r.raw(c); {
	case raw == "":
		r.refuse(CodeMissingClaim, c)
	case raw[0] != '"':
		r.refuse(CodeInvalidClaim, c)
	default:
		return r.unquote(raw)
	}
	return ""
}

// identity reads a string that may be absent or null. It refuses every other
// type.
func (r *claimReader) identity(c claim) string {
	switch raw := r.raw(c); {
	case raw == "", raw == "null":
	case raw[0] == '"':
		return r.unquote(raw)
	default:
		r.refuse(CodeInvalidClaim, c)
	}
	return ""
}

// identityText reads an address of the user: a string that may be absent or
// null. A control character in it is refused, because whoever writes the address
// into a mail header, a log or a CSV file would have it read as something else.
func (r *claimReader) identityText(c claim) string {
	text := r.identity(c)
	if strings.ContainsFunc(text, unicode.IsControl) {
		r.refuse(CodeInvalidClaim, c)
	}
	return text
}

// identityBool reads a boolean that may be absent or null. It refuses every
// other type, the text "true" included.
func (r *claimReader) identityBool(c claim) bool {
	switch r.raw(c) {
	case "true":
		return true
	case "", "null", "false":
	default:
		r.refuse(CodeInvalidClaim, c)
	}
	return false
}

// time reads a NumericDate (RFC 7519 section 2). It must be written as an
// integer: ReachFive writes neither fractions nor exponents.
func (r *claimReader) time(c claim, required bool) time.Time {
	raw := r.raw(c)
	switch {
	case raw == "" && required:
		r.refuse(CodeMissingClaim, c)
		return time.Time{}
	case raw == "", raw == "null" && !required:
		return time.Time{}
	}
	seconds, _ := strconv.ParseInt(raw, 10, 64) // 0 for no integer, and the largest for a larger one
	if seconds <= 0 || seconds > maxTime {
		r.refuse(CodeInvalidClaim, c)
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// audience reads aud.
func (r *claimReader) audience(into []string) []string {
	if !r.has(claimAud) {
		r.refuse(CodeMissingClaim, claimAud)
		return nil
	}
	audience, ok := r.strings(claimAud, r.aud, into)
	if !ok {
		r.refuse(CodeInvalidClaim, claimAud)
	}
	return audience
}

// authorizedParty reads azp. An empty azp is present and names no client.
func (r *claimReader) authorizedParty() string {
	azp := r.identity(claimAzp)
	if raw := r.raw(claimAzp); azp == "" && raw != "" && raw != "null" {
		r.refuse(CodeWrongAudience, claimAzp)
	}
	return azp
}

// methods reads amr, and returns nil for anything but strings or for too many.
func (r *claimReader) methods() []string {
	if len(r.amr.items) > maxMethods {
		return nil
	}
	methods, _ := r.strings(claimAMR, r.amr, nil)
	return methods
}

// subject reads sub (OpenID Connect Core section 2). The text is a copy, because
// services keep it, and a part of the payload would keep the whole in memory.
func (r *claimReader) subject() string {
	sub := r.required(claimSub)
	if sub == "" || len(sub) > maxSubjectSize || strings.ContainsFunc(sub, unicode.IsControl) {
		r.refuse(CodeInvalidClaim, claimSub)
	}
	return strings.Clone(sub)
}

// dateTime reads an RFC 3339 time, with or without its zone, or a NumericDate.
// It returns the zero Time for anything else.
func (r *claimReader) dateTime(c claim) time.Time {
	raw := r.raw(c)
	switch {
	case raw == "":
	case raw[0] == '"':
		text := r.unquote(raw)
		for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
			// A zone can move a time out of the years that RFC 3339 can write.
			if t, err := time.Parse(layout, text); err == nil && t.UTC().Year() >= 0 && t.UTC().Year() <= 9999 {
				return t.UTC()
			}
		}
	default: // of the other values of JSON, all but numbers are parsed as 0
		if seconds, _ := strconv.ParseFloat(raw, 64); seconds > 0 && seconds <= maxTime {
			return time.UnixMilli(int64(seconds * 1000)).UTC()
		}
	}
	return time.Time{}
}

// forbid refuses the claims that no ID token has: the events of a logout token
// (OpenID Connect Back-Channel Logout section 2.4) and, unless they are allowed,
// the claims of an access token (RFC 9068 section 2.2).
func (r *claimReader) forbid(allowAccessToken bool) {
	if r.has(claimEvents) {
		r.refuse(CodeInvalidClaim, claimEvents)
	}
	if allowAccessToken {
		return
	}
	for _, c := range [...]claim{claimScope, claimScp, claimClientID} {
		if r.has(c) {
			r.refuse(CodeInvalidClaim, c)
		}
	}
}
