package reachfive_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// A token of more than 4 KiB is verified in full every time, so that an entry is
// limited in bytes too.
func TestTokenCacheTakesTokensOfUpTo4KiB(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := newCached(t, nil)
		tokenOf := func(size int) string {
			for pad := ""; ; pad += "x" { // not every payload's length is one of base64url
				padding := reachfivetest.Header("x", pad)
				empty := len(c.Token(padding, reachfivetest.Claim("note", "")))
				for n := (size - empty - 4) * 3 / 4; n <= size; n++ {
					token := c.Token(padding, reachfivetest.Claim("note", strings.Repeat("n", n)))
					if len(token) == size {
						return token
					}
					if len(token) > size {
						break
					}
				}
			}
		}
		kept, left := tokenOf(4096), tokenOf(4097)
		c.wantMiss(t, kept)
		c.wantHit(t, kept)
		c.wantMiss(t, left)
		c.wantMiss(t, left)
	})
}

// The tokens of this test are as costly to keep as tokens can be.
func TestTokenCacheTakesAtMost9KiBAnEntry(t *testing.T) {
	for _, size := range []int{2100, 10_000} {
		const tokens = 500
		v := hs256Verifier(t, spaTime, reachfive.WithTokenCache(tokens))
		verify := func(i int) {
			methods, fields := strings.Repeat(`,""`, 64)[1:], strings.Repeat("f", size)
			u, err := v.Verify(t.Context(), hs256Raw(`{"alg":"HS256"}`,
				fmt.Sprintf(`%s"sub":"%d","amr":[%s],"address":{},"email":"\u0061%s","custom_fields":{"n":%q}}`, frame, i, methods, fields[:size/8], fields)))
			require.NoError(t, err)
			require.Len(t, u.AMR, 64)
		}
		verify(0)
		before := heapInUse()
		for i := range tokens {
			verify(i)
		}
		entry := (int64(heapInUse()) - int64(before)) / tokens
		runtime.KeepAlive(v)
		t.Logf("%d bytes an entry", entry)
		assert.Less(t, entry, int64(9<<10))
	}
}
