package reachfive

import (
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

const (
	// maxTokenSize is far above any real token (2 KB with custom fields) and
	// far below what would cost us anything.
	maxTokenSize = 16 << 10
	// maxKIDSize bounds kid, in bytes.
	maxKIDSize = 256
)

// The two algorithms that ReachFive signs ID tokens with (RFC 7518 section 3.1).
const (
	algRS256 = "RS256"
	algHS256 = "HS256"
)

// compact is a token in the three segments of a JWS compact serialization (RFC
// 7515 section 7.1).
type compact struct {
	signed                     string // header and payload with the dot between: what was signed
	header, payload, signature string
}

// splitToken is the first half of the gate: the size, and exactly two dots.
func splitToken(token string) (compact, error) {
	if token == "" {
		return compact{}, refuse(CodeMissingToken)
	}
	if len(token) > maxTokenSize {
		return compact{}, refuse(CodeMalformedToken)
	}
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, two := strings.Cut(rest, ".")
	if !two || strings.IndexByte(signature, '.') >= 0 {
		return compact{}, refuse(CodeMalformedToken)
	}
	return compact{
		signed:    token[:len(header)+1+len(payload)],
		header:    header,
		payload:   payload,
		signature: signature,
	}, nil
}

// checkText is the second half of the gate. Nothing decodes a token that has
// not passed it: whatever a decoder would skip, pad or guess is refused, so
// that one token has exactly one text.
func (c compact) checkText() error {
	if !canonical(c.header) || !canonical(c.payload) || !canonical(c.signature) {
		return refuse(CodeMalformedToken)
	}
	return nil
}

// Character classes of base64url (RFC 4648 section 5). A character that may
// end a segment of 2 modulo 4 has its low four bits zero, one that may end a
// segment of 3 modulo 4 its low two.
const (
	inAlphabet = 1 << iota
	endsPair
	endsTriple
)

var alphabet = func() (table [256]uint8) { //nolint:gochecknoglobals // a constant: Go has no constant arrays
	const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for value, char := range []byte(base64url) {
		table[char] = inAlphabet
		if value&0b1111 == 0 {
			table[char] |= endsPair
		}
		if value&0b11 == 0 {
			table[char] |= endsTriple
		}
	}
	return table
}()

// canonical reports whether segment is the one base64url text of some bytes:
// not empty, nothing but the alphabet, no padding, no bit set beyond the last
// byte. Go's decoders skip CR and LF, and would let the rest pass but for
// Strict, so the bytes are looked at one by one.
func canonical(segment string) bool {
	all := uint8(inAlphabet)
	rest := segment
	for ; len(rest) >= 4; rest = rest[4:] { // four at a time: nearly twice as fast
		all &= alphabet[rest[0]] & alphabet[rest[1]] & alphabet[rest[2]] & alphabet[rest[3]]
	}
	for i := range len(rest) {
		all &= alphabet[rest[i]]
	}
	if all == 0 || segment == "" {
		return false
	}
	last := alphabet[segment[len(segment)-1]]
	switch len(segment) % 4 {
	case 0:
		return true
	case 2:
		return last&endsPair != 0
	case 3:
		return last&endsTriple != 0
	}
	return false
}

// joseHeader is what of a JOSE header outlives its checks (RFC 7515 section 4).
type joseHeader struct {
	kid string // "" where the header has none: an empty kid is refused
}

// readHeader checks a JOSE header by its rules of form and its alg. jku, jwk,
// x5u and x5c are not even looked at: a token does not choose its key.
func readHeader(r *objectReader, text []byte, alg string) (joseHeader, error) {
	var (
		h   joseHeader
		fit bool // alg is the one
	)
	if err := r.open(text); err != nil {
		return joseHeader{}, refuse(CodeMalformedToken)
	}
	for {
		name, value, err := r.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				break
			}
			return joseHeader{}, refuse(CodeMalformedToken)
		}
		raw := text[value.start:value.end]
		switch string(name) {
		case "alg":
			fit = raw[0] == '"' && unquotesTo(raw, alg)
		case "typ":
			if raw[0] != '"' || !strings.EqualFold(unquote(string(raw)), "JWT") {
				return joseHeader{}, refuse(CodeMalformedToken)
			}
		case "kid":
			if raw[0] != '"' {
				return joseHeader{}, refuse(CodeMalformedToken)
			}
			h.kid = unquote(string(raw))
			if h.kid == "" || len(h.kid) > maxKIDSize {
				return joseHeader{}, refuse(CodeMalformedToken)
			}
		case "crit", "b64", "cty", "zip":
			// Extensions, detached or nested or compressed content: no ID
			// token has them, and whoever ignores them misreads the token.
			return joseHeader{}, refuse(CodeMalformedToken)
		}
	}
	if !fit {
		return joseHeader{}, refuse(CodeUnsupportedAlgorithm)
	}
	return h, nil
}

// headerMemo remembers the headers of tokens with a good signature. All tokens of
// one key share the text of their header, so nearly every token finds its header
// there, already read. Nothing else gets into it, and its size is bounded.
type headerMemo struct {
	known atomic.Pointer[map[string]joseHeader]
}

const (
	maxMemoHeaders    = 16
	maxMemoHeaderSize = 512
)

func (m *headerMemo) get(segment string) (joseHeader, bool) {
	known := m.known.Load()
	if known == nil {
		return joseHeader{}, false
	}
	h, ok := (*known)[segment]
	return h, ok
}

// put copies the map, which readers hold without a lock. A full memo starts
// again empty: headers that are still in use come back with their next token. A
// put that loses a race is lost in the same way.
func (m *headerMemo) put(segment string, h joseHeader) {
	if len(segment) > maxMemoHeaderSize {
		return
	}
	old := m.known.Load()
	next := make(map[string]joseHeader)
	if old != nil && len(*old) < maxMemoHeaders {
		maps.Copy(next, *old)
	}
	// Copies, so that the memo does not keep whole tokens alive.
	next[strings.Clone(segment)] = joseHeader{kid: strings.Clone(h.kid)}
	m.known.CompareAndSwap(old, &next)
}

// buffers is the memory that one verification needs and the next can use again.
// Nothing in it is used after the verification.
type buffers struct {
	reader  objectReader
	token   []byte // the token's own text, as bytes
	decoded []byte // one decoded segment at a time
	claims  claimSet
}

// bufferPool is a pool of buffers.
type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) get() *buffers {
	if b, ok := p.pool.Get().(*buffers); ok {
		return b
	}
	return new(buffers)
}

func (p *bufferPool) put(b *buffers) { p.pool.Put(b) }

// decode decodes one segment of a token that has passed the gate, so there is no
// error. It overwrites the segment before it.
func (b *buffers) decode(segment []byte) []byte {
	b.decoded, _ = base64.RawURLEncoding.Strict().AppendDecode(b.decoded[:0], segment)
	return b.decoded
}

// signatureVerifier verifies a JWS signature with one algorithm, fixed when it
// is made, whatever a token asks for. It is the one place where cryptography
// happens, and jwx's verifier does it: the primitive alone, behind which there
// is no parser and no choice of key or algorithm.
type signatureVerifier struct{ jws jws.Verifier }

func newSignatureVerifier(alg string) (signatureVerifier, error) {
	verifier, err := jws.NewVerifier(jwa.SignatureAlgorithm(alg))
	return signatureVerifier{verifier}, err
}

// rsa reports whether key made signature over signed (RFC 7518 section 3.3).
func (s signatureVerifier) rsa(signed, signature []byte, key *rsa.PublicKey) bool {
	return s.jws.Verify(signed, signature, key) == nil
}

// hmac reports whether secret made signature over signed (RFC 7518 section
// 3.2), in constant time. The secret is a []byte in an interface already, so
// that no call has to put it there.
func (s signatureVerifier) hmac(signed, signature []byte, secret any) bool {
	return s.jws.Verify(signed, signature, secret) == nil
}
