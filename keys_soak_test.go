package reachfive_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestKeySoakOfTwoHundredThousandVerificationsLeavesMemoryFlat(t *testing.T) {
	const phases, workers = 200, 4
	perPhase := 1000
	if raceDetector || testing.Short() { // the race detector makes each take twenty times as long
		perPhase /= 20
	}
	var ahead atomic.Int64
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory(), reachfivetest.WithKeys(rsaKeys()...))
	for range len(rsaKeys()) - 1 {
		tenant.Rotate()
	}
	var kids, tokens, jwks []string
	for i := range len(rsaKeys()) {
		kid := "key-" + string(rune('1'+i))
		kids = append(kids, kid)
		tokens = append(tokens, tenant.Token(reachfivetest.SignedBy(kid)))
		jwks = append(jwks, tenant.JWK(kid))
	}
	junk := tenant.Token(reachfivetest.KID("junk"))
	v, err := reachfive.New(tenant.Domain, tenant.ClientID, reachfive.WithHTTPClient(tenant.Client()),
		reachfive.WithClock(func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }))
	require.NoError(t, err)
	defer func() { assert.NoError(t, v.Close()) }()

	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // what a pool keeps goes with the second
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	var atFirst uint64
	for phase := range phases {
		// Two keys at a time: each phase removes one and brings one.
		one, other := phase%len(kids), (phase+1)%len(kids)
		tenant.OnJWKS(document(`{"keys":[` + jwks[one] + `,` + jwks[other] + `]}`))
		ahead.Add(int64(10 * time.Second)) // the budget regains the fetch that this costs
		var work sync.WaitGroup
		for range workers {
			work.Go(func() {
				for i := range perPhase / workers {
					token := tokens[one]
					if i%2 == 0 {
						token = tokens[other]
					}
					if _, err := v.Verify(context.Background(), token); err != nil {
						t.Errorf("phase %d: %v", phase, err)
						return
					}
				}
				_, err := v.Verify(context.Background(), junk)
				assert.Equal(t, reachfive.CodeUnknownKey, reachfive.CodeOf(err))
			})
		}
		work.Wait()
		if phase > 0 {
			_, err := v.Verify(t.Context(), tokens[(phase-1)%len(kids)])
			assert.Equal(t, reachfive.CodeUnknownKey, reachfive.CodeOf(err), "the key has been removed")
		}
		if phase == 19 {
			atFirst = heap()
		}
	}
	atLast := heap()
	t.Logf("%d verifications, %d rotations, %d fetches; heap %d KiB after %d, %d KiB at the end",
		phases*perPhase, phases, tenant.JWKSRequests(), atFirst>>10, 20*perPhase, atLast>>10)
	assert.Less(t, atLast, atFirst+512<<10)
	assert.GreaterOrEqual(t, tenant.JWKSRequests(), phases)
}
