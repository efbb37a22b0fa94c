package header_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/header"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// decoded is a value as a backend reads it.
func decoded(t *testing.T, value string) string {
	t.Helper()
	text, err := url.PathUnescape(value)
	require.NoError(t, err)
	return text
}

func TestEncodingIsPrintableASCIIAndCanBeReadBack(t *testing.T) {
	t.Parallel()
	set := newSet(t, header.Field{"X-Reachfive-Name", "name"})
	for value, want := range map[string]string{
		"plain ASCII, with ~ and !": "plain ASCII, with ~ and !",
		"50%":                       "50%25",
		"%41":                       "%2541",
		"é":                         "%C3%A9",
		" lead":                     "%20lead",
		"trail ":                    "trail%20",
		" ":                         "%20",
		"a b":                       "a b",
		"a\tb":                      "a%09b",
		"a\r\nb":                    "a%0D%0Ab",
		"日本":                        "%E6%97%A5%E6%9C%AC",
	} {
		h, _ := write(t, set, map[string]any{"name": value})
		assert.Equal(t, want, h.Get("X-Reachfive-Name"))
		assert.Equal(t, value, decoded(t, h.Get("X-Reachfive-Name")))
	}
}

func TestAPlainValueIsNotCopied(t *testing.T) {
	set := newSet(t)
	u := userOf(t)
	h := make(map[string][]string, 8)
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { set.Write(h, u) }), 2.0) // the values, and the time
}

func userOf(t *testing.T) *reachfive.User {
	t.Helper()
	return reachfivetest.NewUser(t, map[string]any{"sub": "u"})
}
