package header

import "strings"

// encode writes a value in printable ASCII. Every other byte, and the percent
// sign, becomes % and two hexadecimal digits (RFC 3986 section 2.1), so that a
// backend reads the value with its URL decoder. A space at either end is
// encoded too, because HTTP drops it there; in an entry of a list, every space.
func encode(value string, inList bool) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		plain := c > ' ' && c < 0x7f && c != '%' ||
			c == ' ' && !inList && i > 0 && i < len(value)-1
		switch {
		case plain && b.Len() > 0:
			b.WriteByte(c)
		case plain:
			// Nothing has been encoded: the common value is returned as it is.
		default:
			if b.Len() == 0 {
				b.Grow(len(value) + 16)
				b.WriteString(value[:i])
			}
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	if b.Len() == 0 {
		return value
	}
	return b.String()
}

// encodeList separates the values by spaces.
func encodeList(values []string) string {
	if len(values) == 1 {
		return encode(values[0], true)
	}
	encoded := make([]string, len(values))
	for i, value := range values {
		encoded[i] = encode(value, true)
	}
	return strings.Join(encoded, " ")
}
