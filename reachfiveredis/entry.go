package reachfiveredis

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// The log of sign-outs is one Redis Stream. An entry is one of:
//
//	s: digest (16 bytes), issuer tag (4), kind (1)   b: Unix seconds   a sign-out
//	l: ID of a sign-out   s: as in the sign-out                       it is lifted
//	i: epoch                                                          the first entry
//
// Whatever else there is was written by a later version, and is skipped.
const (
	fieldTarget = "s"
	fieldBefore = "b"
	fieldLift   = "l"
	fieldInit   = "i"

	targetSize = len(digest{}) + len(issuerTag{}) + 1
)

// streamID is the ID of an entry: the milliseconds of the store's clock at
// which it was added, and a sequence number.
type streamID struct{ ms, seq uint64 }

func parseStreamID(s string) (streamID, bool) {
	ms, seq, found := strings.Cut(s, "-")
	var id streamID
	var errMS, errSeq error
	id.ms, errMS = strconv.ParseUint(ms, 10, 64)
	id.seq, errSeq = strconv.ParseUint(seq, 10, 64)
	return id, found && errMS == nil && errSeq == nil
}

func (id streamID) String() string {
	return strconv.FormatUint(id.ms, 10) + "-" + strconv.FormatUint(id.seq, 10)
}

func (id streamID) before(other streamID) bool {
	return id.ms < other.ms || id.ms == other.ms && id.seq < other.seq
}

// time is the moment at which the entry was added.
func (id streamID) time() time.Time { return time.UnixMilli(int64(min(id.ms, math.MaxInt64))) }

// previous is the highest ID before id.
func (id streamID) previous() streamID {
	if id.seq > 0 {
		return streamID{id.ms, id.seq - 1}
	}
	return streamID{id.ms - 1, 1<<64 - 1}
}

// idAt is the lowest ID of a moment.
func idAt(t time.Time) streamID { return streamID{ms: uint64(max(t.UnixMilli(), 0))} }

// packedID is a streamID in eight bytes, in the same order: 42 bits of
// milliseconds, enough until the year 2109, and 22 of sequence.
type packedID uint64

const sequenceBits = 22

func (id streamID) packed() packedID {
	return packedID(id.ms<<sequenceBits | min(id.seq, 1<<sequenceBits-1))
}

// entry is one entry of the log.
type entry struct {
	id     streamID
	target target
	before int64    // Unix seconds; of a sign-out
	lifts  streamID // of a lift, else zero
	known  bool     // false: of a kind that this version does not know
}

// target is whom an entry concerns.
type target struct {
	digest digest
	tag    issuerTag
	kind   kind
}

func (t target) encode() string {
	b := make([]byte, 0, targetSize)
	b = append(b, t.digest[:]...)
	b = append(b, t.tag[:]...)
	return string(append(b, byte(t.kind)))
}

func parseTarget(s string) (t target, ok bool) {
	if len(s) < targetSize {
		return t, false
	}
	t.digest = digest([]byte(s[:len(t.digest)]))
	t.tag = issuerTag([]byte(s[len(t.digest) : targetSize-1]))
	t.kind = kind(s[targetSize-1])
	return t, true
}

func (e entry) isLift() bool { return e.lifts != streamID{} }

// parseEntry reads one element of the answer to XRANGE. Only an answer that is
// none is an error.
func parseEntry(raw any) (e entry, err error) {
	pair, ok := raw.([]any)
	if !ok || len(pair) != 2 {
		return e, errors.New("not an entry of a stream")
	}
	text, _ := pair[0].(string)
	if e.id, ok = parseStreamID(text); !ok {
		return e, errors.New("not the ID of an entry")
	}
	fields, _ := pair[1].([]any)
	var isTarget, isBefore, isLift bool
	for i := 0; i+1 < len(fields); i += 2 {
		name, _ := fields[i].(string)
		value, _ := fields[i+1].(string)
		switch name {
		case fieldTarget:
			e.target, isTarget = parseTarget(value)
		case fieldBefore:
			e.before, err = strconv.ParseInt(value, 10, 64)
			isBefore = err == nil && 0 < e.before && e.before <= math.MaxUint32
		case fieldLift:
			e.lifts, isLift = parseStreamID(value)
		case fieldInit:
			e.known = true
		}
	}
	e.known = e.known || isTarget && isBefore != isLift
	return e, nil
}

func parseEntries(raw any) ([]entry, error) {
	list, ok := raw.([]any)
	if !ok && raw != nil {
		return nil, errors.New("not a list of entries")
	}
	entries := make([]entry, 0, len(list))
	for _, element := range list {
		e, err := parseEntry(element)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}
