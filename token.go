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
	// maxTokenSize is in bytes. A real token has 2 KB with custom fields.
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

// splitToken is the first half of the gate: it checks the size, and that there are
// exactly two dots.
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

// checkText is the second half of the gate. Only a token that has passed it is
// decoded. It refuses whatever a decoder would skip, pad or guess, so that two
// different texts are never the same token.
func (c compact) checkText() error {
	if !canonical(c.header) || !canonical(c.payload) || !canonical(c.signature) {
		return refuse(CodeMalformedToken)
	}
	return nil
}

// Character classes of base64url (RFC 4648 section 5). The last character of a
// segment of length 2 modulo 4 must have its low four bits zero, that of a segment
// of length 3 modulo 4 its low two.
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

// canonical reports whether segment is the canonical base64url text of at least
// one byte: only characters of the alphabet, no padding, no bit set after the last
// byte. Go's decoders skip CR and LF even with Strict, so this looks at each byte.
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

// joseHeader is what is used of a JOSE header after its checks (RFC 7515 section
// 4).
type joseHeader struct {
	kid string // "" where the header has none: an empty kid is refused
}

// readHeader checks the form of a JOSE header, and its alg. It ignores jku, jwk,
// x5u and x5c: a token must not choose its key.
func readHeader(r *objectReader, text []byte, alg string) (joseHeader, error) {
	var (
		h          joseHeader
		algMatches bool
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
			algMatches = raw[0] == '"' && unquotesTo(raw, alg)
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
			// Extensions, and detached, nested or compressed content: no ID token
			// has them, and a reader that ignores them misreads the token.
			return joseHeader{}, refuse(CodeMalformedToken)
		}
	}
	if !algMatches {
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

// signatureVerifier verifies JWS signatures with one algorithm, fixed when it is
// made, whatever the token's header says. All cryptography happens here. It uses
// only jwx's primitive, which parses nothing and chooses neither key nor
// algorithm.
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
// 3.2), in constant time. secret is a []byte in an interface: converting it at
// each call would allocate.
func (s signatureVerifier) hmac(signed, signature []byte, secret any) bool {
	return s.jws.Verify(signed, signature, secret) == nil
}
