package bearer_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/reachfive-community/reachfive/internal/bearer"
)

func TestTokenReadsOneValueStrictly(t *testing.T) {
	t.Parallel()
	const (
		two       = "more than one Authorization header"
		noScheme  = "the Authorization header has no scheme"
		malformed = "the Bearer credentials are not one token"
	)
	tests := []struct {
		name   string
		values []string
		token  string
		err    string // "" for none
	}{
		{"bearer", []string{"Bearer a.b.c"}, "a.b.c", ""},
		{"lower-case scheme", []string{"bearer a.b.c"}, "a.b.c", ""},
		{"upper-case scheme", []string{"BEARER a.b.c"}, "a.b.c", ""},
		{"several spaces", []string{"Bearer   a.b.c"}, "a.b.c", ""},
		{"no value", nil, "", ""},
		{"empty value", []string{""}, "", ""},
		{"another scheme", []string{"Basic dTpw"}, "", ""},
		{"another scheme with parameters", []string{`Digest a="b", c=d`}, "", ""},
		{"a longer scheme", []string{"BearerToken a.b.c"}, "", ""},
		{"a token without a scheme", []string{"a.b.c"}, "", ""},
		{"every tchar in the scheme", []string{"!#$%&'*+-.^_`|~09AZaz a.b.c"}, "", ""},
		{"space first", []string{" Bearer a.b.c"}, "", noScheme},
		{"quoted scheme", []string{`"Bearer" a.b.c`}, "", noScheme},
		{"a letter that is not ASCII", []string{"é a.b.c"}, "", noScheme},
		{"scheme alone", []string{"Bearer"}, "", malformed},
		{"scheme and space", []string{"Bearer "}, "", malformed},
		{"tab before the token", []string{"Bearer\ta.b.c"}, "", malformed},
		{"space and tab before the token", []string{"Bearer \ta.b.c"}, "", malformed},
		{"no space", []string{"Bearer:a.b.c"}, "", malformed},
		{"equals sign", []string{"Bearer=a.b.c"}, "", malformed},
		{"comma after the scheme", []string{"Bearer, Bearer a.b.c"}, "", malformed},
		{"two words", []string{"Bearer a.b .c"}, "", malformed},
		{"comma in the token", []string{"Bearer a.b,c"}, "", malformed},
		{"line feed", []string{"Bearer a.b.c\n"}, "", malformed},
		{"carriage return", []string{"Bearer a.b\r.c"}, "", malformed},
		{"vertical tab", []string{"Bearer a.b\v.c"}, "", malformed},
		{"form feed", []string{"Bearer a.b\f.c"}, "", malformed},
		{"two values", []string{"Bearer a.b.c", "Bearer d.e.f"}, "", two},
		{"two equal values", []string{"Bearer a.b.c", "Bearer a.b.c"}, "", two},
		{"two values of other schemes", []string{"Basic dTpw", "Basic dTpw"}, "", two},
		{"an empty value and a token", []string{"", "Bearer a.b.c"}, "", two},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			token, err := bearer.Token(tt.values)
			assert.Equal(t, tt.token, token)
			if tt.err == "" {
				assert.NoError(t, err)
			} else {
				assert.EqualError(t, err, tt.err)
			}
		})
	}
}

func TestTokenAllocatesNothing(t *testing.T) {
	values := []string{"Bearer a.b.c"}
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = bearer.Token(values) }))
}
