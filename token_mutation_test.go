package reachfive_test

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/internal/vectors"
)

// The mutation oracle: of one good token, whatever differs by one byte is no
// good token. That is exactly true only where one token has exactly one text.

// mutations yields every text that differs from token by one byte put in the
// place of another, one byte inserted, one byte left out, an end cut off, or
// two neighbours swapped. A text may come more than once. The buffer is the
// caller's until the next one.
func mutations(token string, shard, shards int, yield func(kind string, text []byte)) {
	buffer := make([]byte, 0, len(token)+1)
	for i := shard; i <= len(token); i += shards {
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

func TestMutationsOfATokenAreRefused(t *testing.T) {
	for _, algorithm := range []string{"RS256", "HS256"} {
		for _, opts := range [][]reachfive.Option{nil, {reachfive.WithTokenCache(100)}} {
			name := algorithm
			if opts != nil {
				name += " with a token cache"
			}
			t.Run(name, func(t *testing.T) { testMutations(t, algorithm, opts) })
		}
	}
}

func testMutations(t *testing.T, algorithm string, opts []reachfive.Option) {
	t.Helper()
	file := vectorFiles(t)["signature.json"]
	i := slices.IndexFunc(file.Vectors, func(v vectors.Vector) bool {
		return v.Algorithm == algorithm && v.Mutation == "the good one"
	})
	require.GreaterOrEqual(t, i, 0)
	vector := file.Vectors[i]
	v, _ := vectorVerifier(t, file, vector, opts...)
	_, err := v.Verify(t.Context(), vector.Token)
	require.NoError(t, err, "the token itself")

	var (
		counts  = make(map[string]int)
		codes   = make(map[reachfive.Code]int)
		mu      sync.Mutex
		group   sync.WaitGroup
		through atomic.Int64
	)
	shards := runtime.GOMAXPROCS(0)
	for shard := range shards {
		group.Go(func() {
			kinds, seen := make(map[string]int), make(map[reachfive.Code]int)
			mutations(vector.Token, shard, shards, func(kind string, text []byte) {
				token := string(text)
				_, err := v.Verify(t.Context(), token)
				if err == nil {
					through.Add(1)
					t.Errorf("a %s passed: %q", kind, token)
				}
				kinds[kind]++
				seen[reachfive.CodeOf(err)]++
			})
			mu.Lock()
			defer mu.Unlock()
			for kind, n := range kinds {
				counts[kind] += n
			}
			for code, n := range seen {
				codes[code] += n
			}
		})
	}
	group.Wait()
	size := len(vector.Token)
	assert.Equal(t, 255*size, counts["substitution"])
	assert.Equal(t, 256*(size+1), counts["insertion"])
	assert.Equal(t, size, counts["deletion"])
	assert.Equal(t, size, counts["truncation"])
	assert.Zero(t, through.Load())
	t.Logf("%d bytes: %v, %v", size, counts, codes)
	// The token is still what it was.
	_, err = v.Verify(t.Context(), strings.Clone(vector.Token))
	require.NoError(t, err)
}
