package reachfive_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// withKID returns a token with another kid, which its signature does not match.
func withKID(token, kid string) string {
	_, signed, _ := strings.Cut(token, ".")
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"RS256","kid":%q}`, kid)) + "." + signed
}

func TestSharedKeysUnknownKIDsOfAFleetCostOneFetchIn10Seconds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.SetDelay(100 * time.Millisecond)
		good := f.Token()
		assert.Equal(t, all(""), f.verdicts(good))
		const flood = 25 * time.Second
		before := f.requests()
		for second := range int(flood / time.Second) {
			f.each(func(i int, v *reachfive.Verifier) {
				_, err := v.Verify(t.Context(), withKID(good, fmt.Sprintf("junk-%d-%d", second, i)))
				if reachfive.CodeOf(err) != reachfive.CodeUnknownKey {
					assert.LessOrEqual(t, unavailable(t, err), 10*time.Second)
				}
				_, err = v.Verify(t.Context(), good)
				assert.NoError(t, err)
			})
			advance(time.Second)
		}
		assert.InDelta(t, 3, f.requests()-before, 1)
		assert.NotContains(t, f.stateChanges(), reachfive.StateFailing, "nothing is wrong with the provider")
	})
}

// A token must be refused only by keys that were asked for after it had come.
func TestSharedKeysRefuseAKIDOnlyAfterTheyWereAskedAboutIt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		assert.Equal(t, all(""), f.verdicts(f.Token()))
		advance(time.Second)
		f.SetDelay(time.Second)
		var junk sync.WaitGroup
		junk.Go(func() { // its fetch brings the keys of before the rotation
			_, err := f.replicas[0].Verify(t.Context(), f.Token(reachfivetest.KID("junk")))
			assert.ErrorIs(t, err, reachfive.CodeUnknownKey)
		})
		advance(500 * time.Millisecond)
		f.Rotate()
		token := f.Token()
		_, err := f.replicas[1].Verify(t.Context(), token)
		wait := unavailable(t, err)
		assert.LessOrEqual(t, wait, 10*time.Second)
		junk.Wait()
		advance(wait)
		_, err = f.replicas[1].Verify(t.Context(), token)
		require.NoError(t, err)
		assert.Equal(t, 3, f.requests())
	})
}

// The keys that a replica starts with may be older than the token.
func TestSharedKeysThatWereTakenRefuseNoTokenOfAKeyAddedSince(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		f.accepts(f.Token())
		advance(5 * time.Second)
		f.Rotate()
		_, err := f.replicas[1].Verify(t.Context(), f.Token())
		require.NoError(t, err)
		assert.Equal(t, 2, f.requests())
	})
}

func TestSharedKeysRotatedInAreAcceptedByTheFirstRequestOfAll(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		f := newFleet(t)
		assert.Equal(t, all(""), f.verdicts(f.Token()))
		advance(20 * time.Second)
		f.SetDelay(200 * time.Millisecond)
		f.Rotate()
		assert.Equal(t, all(""), f.verdicts(f.Token()), "one fetch has the key for all")
		assert.Equal(t, 2, f.requests())
	})
}
