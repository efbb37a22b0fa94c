// Package header writes a verified user as the identity headers that the
// gateway hands to a proxy, and the proxy to a backend.
package header

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/reachfive-community/reachfive"
)

// Prefix begins every identity header. Proxies delete what a client sends under
// it.
const Prefix = "X-Reachfive-"

// The fixed headers. Each is in every answer with status 200, empty where there
// is no value, so that a proxy overwrites what a client sent.
const (
	Subject  = Prefix + "Subject"
	Issuer   = Prefix + "Issuer"
	Audience = Prefix + "Audience" // client IDs, separated by spaces
	Expires  = Prefix + "Expires"  // Unix time in seconds
	Decision = Prefix + "Decision" // Allow or Anonymous
)

// The values of Decision.
const (
	Allow     = "allow"
	Anonymous = "anonymous"
)

const (
	// Budget bounds the identity headers of one answer, each counted as a line
	// of HTTP/1.1. nginx reads an answer's header into a buffer of 4 KiB by
	// default, and answers 502 if it does not fit.
	Budget = 3 << 10

	maxFields  = 32
	maxName    = 64
	maxSubject = 255 // bytes, of which each may be percent-encoded
	maxExpires = 12
)

// Field is a header that a policy adds to the fixed ones.
type Field struct {
	Name  string
	Claim string
}

// FieldError is a mistake in one of the fields.
type FieldError struct {
	Index int
	Key   string // "name" or "claim"
	Err   error
}

// Set is the identity headers of a policy. It is safe for concurrent use.
type Set struct {
	names  []string // all of them: the fixed ones, then the fields
	claims []claim  // of the fields
	empty  int      // size of all lines with empty values
}

// fixed are the fixed headers in the order of values.
func fixed() []string { return []string{Decision, Subject, Issuer, Audience, Expires} }

// NewSet makes the set of these fields, the most important first, or reports
// all mistakes.
func NewSet(fields []Field) (*Set, []FieldError) {
	s := &Set{names: fixed()}
	var errs []FieldError
	for i, field := range fields {
		if err := s.checkName(field); err != nil {
			errs = append(errs, FieldError{i, "name", err})
		}
		read, err := claimOf(field.Claim)
		if err != nil {
			errs = append(errs, FieldError{i, "claim", err})
		}
		s.names = append(s.names, http.CanonicalHeaderKey(field.Name))
		s.claims = append(s.claims, read)
	}
	if len(fields) > maxFields {
		errs = append(errs, FieldError{maxFields, "name", fmt.Errorf("a policy has at most %d headers", maxFields)})
	}
	for _, name := range s.names {
		s.empty += lineSize(name, "")
	}
	return s, errs
}

func (s *Set) checkName(field Field) error {
	canonical := http.CanonicalHeaderKey(field.Name)
	rest, ok := strings.CutPrefix(canonical, Prefix)
	switch {
	case !ok || rest == "":
		return errors.New("want a name that begins with " + Prefix + ": proxies protect no other")
	case strings.Trim(field.Name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "":
		return errors.New("want letters, digits and dashes alone; an underscore looks like a dash to many backends")
	case len(field.Name) > maxName:
		return fmt.Errorf("want at most %d bytes", maxName)
	case slices.Contains(fixed(), canonical):
		return errors.New("is sent in any case; remove it")
	case slices.Contains(s.names, canonical):
		return errors.New("stands twice; remove one")
	case canonical == Prefix+"Email" && field.Claim != "email":
		return errors.New("this name is for the claim email alone, because backends rely on it being verified")
	case canonical == Prefix+"Phone-Number" && field.Claim != "phone_number":
		return errors.New("this name is for the claim phone_number alone, because backends rely on it being verified")
	}
	return nil
}

// Names are the names of all headers, in canonical form. Not to be changed.
func (s *Set) Names() []string { return s.names }

// FixedSize is the size of the headers that cannot be left out, at most: of a
// tenant with this issuer and these client IDs.
func (s *Set) FixedSize(issuer string, clientIDs []string) int {
	return s.empty + len(Anonymous) + 3*maxSubject + len(encode(issuer, false)) + len(encodeList(clientIDs)) + maxExpires
}

// Write sets the headers for u, or for an anonymous request if u is nil. It
// returns how many values it left out because they did not fit the budget.
func (s *Set) Write(h http.Header, u *reachfive.User) (omitted int) {
	values := make([]string, len(s.names))
	if u == nil {
		values[0] = Anonymous
	} else {
		values[0] = Allow
		values[1] = encode(u.Subject, false)
		values[2] = encode(u.Issuer, false)
		values[3] = encodeList(u.Audience)
		values[4] = strconv.FormatInt(u.ExpiresAt.Unix(), 10)
		for i, claim := range s.claims {
			values[len(values)-len(s.claims)+i] = claim(u)
		}
		omitted = s.fit(values)
	}
	for i, name := range s.names {
		h[name] = values[i : i+1 : i+1]
	}
	return omitted
}

// fit empties whole fields, from the end of the list, until the rest fits.
func (s *Set) fit(values []string) (omitted int) {
	size := s.empty
	for _, value := range values {
		size += len(value)
	}
	for i := len(values) - 1; size > Budget && i >= len(fixed()); i-- {
		if values[i] != "" {
			size -= len(values[i])
			values[i] = ""
			omitted++
		}
	}
	return omitted
}

func lineSize(name, value string) int { return len(name) + len(": ") + len(value) + len("\r\n") }
