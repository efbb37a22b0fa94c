package reachfiveredis

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"sync/atomic"
)

// digest stands for a user, or for everyone, of one issuer. The store holds it in
// place of a subject.
type digest [16]byte

// kind says whom a sign-out concerns.
type kind byte

const (
	kindSubject  kind = 's'
	kindEveryone kind = 'e'
)

func (k kind) String() string {
	switch k {
	case kindSubject:
		return "subject"
	case kindEveryone:
		return "everyone"
	}
	return "unknown"
}

const (
	issuerDigestSize = 16
	digestPrefixSize = 2 + 1 + issuerDigestSize + 2
	longestSubject   = 255
)

// issuer is a listed issuer. It is hashed once, so that a check hashes some 40
// bytes.
type issuer struct {
	name     string
	hash     [issuerDigestSize]byte
	everyone digest
	before   atomic.Int64 // the sign-out of everyone with the latest Before; 0 for none
}

func newIssuer(name string) *issuer {
	i := &issuer{name: name}
	sum := sha256.Sum256([]byte(name))
	copy(i.hash[:], sum[:])
	i.everyone = i.digest(kindEveryone, "")
	return i
}

// digest hashes kind, issuer and value, each with its length before it, so that
// no two of them can be mistaken for another two.
func (i *issuer) digest(k kind, value string) digest {
	var buffer [digestPrefixSize + longestSubject]byte
	b := append(buffer[:0], 1, byte(k), issuerDigestSize)
	b = append(b, i.hash[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(min(len(value), math.MaxUint16)))
	b = append(b, value...)
	sum := sha256.Sum256(b)
	return digest(sum[:16])
}

// issuerTag tells an administrator which issuer an entry belongs to. It decides
// nothing.
type issuerTag [4]byte

func (i *issuer) tag() issuerTag { return issuerTag(i.hash[:]) }
