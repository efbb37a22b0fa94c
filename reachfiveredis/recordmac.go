package reachfiveredis

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
)

// shortestRecordKey is in bytes.
const shortestRecordKey = 32

// recordMAC authenticates the parts of a key record.
type recordMAC func(parts ...string) []byte

// WithRecordKeys makes Keys authenticate its records with HMAC-SHA-256. Records
// without a valid signature are not used. The first key signs and all keys verify,
// so that a key can be replaced: add the new key at the end everywhere, move it to
// the front, then remove the old one. Each key has at least 32 random bytes, is
// copied, and is the same in all processes. Without this option, whoever can write
// to the store can sign in as anyone.
//
// A signed record stays valid: whoever can write to the store can bring back keys
// that the provider has removed, until reachfive.WithMaxStale is over.
func WithRecordKeys(keys ...[]byte) Option {
	return func(s *Store) error {
		if len(keys) == 0 {
			return errors.New("reachfiveredis: WithRecordKeys needs at least one key")
		}
		for _, key := range keys {
			if len(key) < shortestRecordKey {
				return errors.New("reachfiveredis: a record key has at least 32 bytes")
			}
			s.recordMACs = append(s.recordMACs, newRecordMAC(key))
		}
		return nil
	}
}

// newRecordMAC keeps the key in a closure, which fmt does not print.
func newRecordMAC(key []byte) recordMAC {
	key = slices.Clone(key)
	return func(parts ...string) []byte {
		h := hmac.New(sha256.New, key)
		for _, part := range parts { // each with its length before it
			_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
			_, _ = h.Write([]byte(part))
		}
		return h.Sum(nil)
	}
}

// keyRecord is what Publish stores.
type keyRecord struct {
	name           string
	granted, fresh string // milliseconds
	document       string
}

func (r keyRecord) mac(mac recordMAC) []byte {
	return mac("key record 1", r.name, r.granted, r.fresh, r.document)
}

// sign returns the MAC that is stored with a record, "" without WithRecordKeys.
func (s *Store) sign(r keyRecord) string {
	if len(s.recordMACs) == 0 {
		return ""
	}
	return string(r.mac(s.recordMACs[0]))
}

// authentic tells whether a record was signed with one of the keys.
func (s *Store) authentic(r keyRecord, mac string) bool {
	if len(s.recordMACs) == 0 {
		return true
	}
	return slices.ContainsFunc(s.recordMACs, func(m recordMAC) bool {
		return hmac.Equal(r.mac(m), []byte(mac))
	})
}
