package reachfive_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

// Whatever differs from a good token by one byte must be refused. That holds only
// if a token has exactly one text.

// mutations yields every text that differs from token, at the positions first,
// first+step and so on, by one byte replaced, inserted or left out, by the end cut
// off, or by two neighbours swapped. A text may come more than once. It is valid
// until the next one.
func mutations(token string, first, step int, yield func(kind string, text []byte)) {
	buffer := make([]byte, 0, len(token)+1)
	for i := first; i <= len(token); i += step {
		for b := range 256 {
			yield("insertion", append(append(append(buffer[:0], token[:i]...), byte(b)), token[i:]...))
		}
		if i == len(token) {
			break
		}
		for b := range 256 {
			if byte(b) != token[i] {
				text := append(buffer[:0], token...)
				text[i] = byte(b)
				yield("substitution", text)
			}
		}
		yield("deletion", append(append(buffer[:0], token[:i]...), token[i+1:]...))
		yield("truncation", append(buffer[:0], token[:i]...))
		if i+1 < len(token) && token[i] != token[i+1] {
			text := append(buffer[:0], token...)
			text[i], text[i+1] = text[i+1], text[i]
			yield("swap", text)
		}
	}
}

// The Verifiers have a token cache that knows the good token. A text that the
// cache does not know goes through all steps, as it does without a cache. The
// tokens are short, since every position costs hundreds of verifications.
func TestMutationsOfATokenAreRefused(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"RS256", "HS256"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			target := newTarget(t, algorithm, reachfive.WithTokenCache(100))
			token := target.token(fmt.Appendf(nil, `{"alg":%q}`, algorithm),
				fmt.Appendf(nil, `{"iss":"https://%s","aud":%q,"exp":%d,"iat":%d,"sub":"s"}`, testDomain, testClient, fuzzNow+1, fuzzNow))
			testMutations(t, target.v, token)
		})
	}
}

func testMutations(t *testing.T, v *reachfive.Verifier, token string) {
	t.Helper()
	_, err := v.Verify(t.Context(), token)
	require.NoError(t, err, "the token itself")
	step := 1
	if testing.Short() {
		step = 16
	}
	var (
		counts = make(map[string]int)
		codes  = make(map[reachfive.Code]int)
		mu     sync.Mutex
		group  sync.WaitGroup
	)
	workers := runtime.GOMAXPROCS(0)
	for worker := range workers {
		group.Go(func() {
			kinds, refused := make(map[string]int), make(map[reachfive.Code]int)
			mutations(token, step*worker, step*workers, func(kind string, text []byte) {
				_, err := v.Verify(context.Background(), string(text))
				if err == nil {
					t.Errorf("a %s passed: %q", kind, text)
				}
				kinds[kind]++
				refused[reachfive.CodeOf(err)]++
			})
			mu.Lock()
			defer mu.Unlock()
			for kind, n := range kinds {
				counts[kind] += n
			}
			for code, n := range refused {
				codes[code] += n
			}
		})
	}
	group.Wait()
	positions := (len(token) + step - 1) / step
	assert.Equal(t, 255*positions, counts["substitution"])
	assert.Equal(t, 256*(len(token)/step+1), counts["insertion"])
	assert.Equal(t, positions, counts["deletion"])
	assert.Equal(t, positions, counts["truncation"])
	t.Logf("%d bytes: %v, %v", len(token), counts, codes)
	// The good token is still accepted.
	_, err = v.Verify(t.Context(), strings.Clone(token))
	require.NoError(t, err)
}
