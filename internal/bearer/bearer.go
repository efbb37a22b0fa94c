// Package bearer reads Bearer credentials from the Authorization field. The
// HTTP middleware and the gRPC interceptors share it, so that both accept the
// same requests.
package bearer

import (
	"errors"
	"strings"
)

// Token returns the token of the field's only value: "" if there is no value,
// an empty one, or credentials of another scheme. It returns an error if there
// is more than one value, or if the value is not a scheme followed by spaces
// and one token without commas and white space. The error's text is constant.
//
// The grammar is that of RFC 6750 section 2.1
// (https://www.rfc-editor.org/rfc/rfc6750#section-2.1) and RFC 9110 section
// 11.4 (https://www.rfc-editor.org/rfc/rfc9110#section-11.4).
func Token(values []string) (string, error) {
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return "", nil
	}
	if len(values) > 1 {
		return "", errors.New("more than one Authorization header")
	}
	value := values[0]
	end := strings.IndexFunc(value, func(c rune) bool { return !isTokenChar(c) })
	if end < 0 {
		end = len(value)
	}
	if end == 0 {
		return "", errors.New("the Authorization header has no scheme")
	}
	if !strings.EqualFold(value[:end], "Bearer") {
		return "", nil
	}
	token := strings.TrimLeft(value[end:], " ")
	if token == "" || end+len(token) == len(value) || strings.ContainsAny(token, ", \t\n\v\f\r") {
		return "", errors.New("the Bearer credentials are not one token")
	}
	return token, nil
}

// isTokenChar reports whether c is a tchar of RFC 9110 section 5.6.2, the only
// characters of a scheme.
func isTokenChar(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c < 0x80 && strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}
