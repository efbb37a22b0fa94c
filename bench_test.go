package reachfive_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// verification is one call of Verify and how it ends. A benchmark times it, and a test
// limits its allocations. benchmarks/ has the comparison with other libraries and
// with the bare signature.
type verification struct {
	name     string
	verifier *reachfive.Verifier
	token    string
	want     reachfive.Code
	allocs   float64 // at most
}

// verifications returns them warmed up: the keys are fetched, the headers known and the
// budgets spent.
func verifications(tb testing.TB) []verification {
	tb.Helper()
	rs256 := reachfivetest.NewTenant(tb, reachfivetest.InMemory())
	hs256 := reachfivetest.NewTenant(tb, reachfivetest.InMemory(), reachfivetest.WithHS256())
	rsa, hmac := rs256.Verifier(), hs256.Verifier()
	good, secret := rs256.Token(), hs256.Token()
	const justTheError = 1
	padded := func(size int) string {
		fields := map[string]any{}
		for token := ""; len(token) < size; token = rs256.Token(reachfivetest.Claim("custom_fields", fields)) {
			for range max(1, (size-len(token))/70) {
				fields[fmt.Sprintf("preference_%03d", len(fields))] = "a value of some length"
			}
		}
		return rs256.Token(reachfivetest.Claim("custom_fields", fields))
	}
	all := []verification{
		{"RS256", rsa, good, "", 25},
		{"RS256 cached", rs256.Verifier(reachfive.WithTokenCache(100)), good, "", 3},
		{"HS256", hmac, secret, "", 25},
		{"HS256 cached", hs256.Verifier(reachfive.WithTokenCache(100)), secret, "", 3},
		{"RS256 of 4 KiB", rsa, padded(4 << 10), "", 25},
		{"RS256 of 8 KiB", rsa, padded(8 << 10), "", 25},
		{"RS256 of 15 KiB", rsa, padded(15 << 10), "", 25},
		{"no token", rsa, "", reachfive.CodeMissingToken, justTheError},
		{"oversize", rsa, strings.Repeat("a", 16<<10+1), reachfive.CodeMalformedToken, justTheError},
		{"8 KiB of dots", rsa, strings.Repeat(".", 8<<10), reachfive.CodeMalformedToken, justTheError},
		{"8 KiB of junk", rsa, strings.Repeat("{\"\x00", 8<<10/3), reachfive.CodeMalformedToken, justTheError},
		{"8 KiB of junk in three segments", rsa, strings.Repeat("A", 4<<10) + "." + strings.Repeat("=", 2<<10) + "." + strings.Repeat("A", 2<<10), reachfive.CodeMalformedToken, justTheError},
		{"two segments", rsa, good[:strings.LastIndexByte(good, '.')], reachfive.CodeMalformedToken, justTheError},
		{"another alphabet", rsa, good[:len(good)-1] + "=", reachfive.CodeMalformedToken, justTheError},
		{"another alg", rsa, secret, reachfive.CodeUnsupportedAlgorithm, justTheError},
		{"header no JSON", rsa, "e30x." + good[strings.IndexByte(good, '.')+1:], reachfive.CodeMalformedToken, justTheError},
		{"unknown kid, budget spent", rsa, rs256.Token(reachfivetest.KID("junk")), reachfive.CodeUnknownKey, 2}, // and the kid
		{"another key", rsa, rs256.Token(reachfivetest.WrongKey()), reachfive.CodeInvalidSignature, 25},
		{"another secret", hmac, hs256.Token(reachfivetest.HS256With("another client's secret, long enough")), reachfive.CodeInvalidSignature, 25},
		{"another issuer", rsa, rs256.Token(reachfivetest.OtherIssuer()), reachfive.CodeWrongIssuer, 25},
		{"another client", rsa, rs256.Token(reachfivetest.OtherAudience()), reachfive.CodeWrongAudience, 25},
		{"no sub", rsa, rs256.Token(reachfivetest.WithoutClaim("sub")), reachfive.CodeMissingClaim, 25},
		{"exp a string", rsa, rs256.Token(reachfivetest.Claim("exp", "never")), reachfive.CodeInvalidClaim, 25},
		{"issued tomorrow", rsa, rs256.Token(reachfivetest.IssuedAt(time.Now().Add(24 * time.Hour))), reachfive.CodeNotYetValid, 25},
		{"payload no JSON", rsa, rs256.Token(reachfivetest.RawPayload("{")), reachfive.CodeMalformedToken, 25},
		{"expired", rsa, rs256.Token(reachfivetest.Expired()), reachfive.CodeExpired, 25},
	}
	for _, r := range all {
		for range 3 {
			_, err := r.verifier.Verify(tb.Context(), r.token)
			require.Equal(tb, r.want, reachfive.CodeOf(err), r.name)
		}
	}
	return all
}

func BenchmarkVerify(b *testing.B) {
	for _, r := range verifications(b) {
		b.Run(r.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.verifier.Verify(b.Context(), r.token); (err == nil) != (r.want == "") {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerifyParallel(b *testing.B) {
	for _, r := range verifications(b)[:2] {
		b.Run(r.name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := r.verifier.Verify(b.Context(), r.token); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// A token that is too long is refused by its length and not copied.
func BenchmarkVerifyOf100MiB(b *testing.B) {
	v, huge := reachfivetest.NewTenant(b, reachfivetest.InMemory()).Verifier(), strings.Repeat("A", 100<<20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), huge); err == nil {
			b.Fatal("it passed")
		}
	}
}

// allocations returns the lowest number of allocations of one call of f. The mean
// depends on when the garbage collector empties a sync.Pool, and under the race
// detector a pool drops items at random.
func allocations(f func()) float64 {
	least := math.Inf(1)
	for range 200 {
		least = min(least, testing.AllocsPerRun(1, f))
	}
	return least
}

func TestVerifyAllocatesLittle(t *testing.T) {
	for _, r := range verifications(t) {
		t.Run(r.name, func(t *testing.T) {
			got := allocations(func() { _, _ = r.verifier.Verify(t.Context(), r.token) })
			t.Logf("%v allocations", got)
			if got > r.allocs {
				t.Errorf("%v allocations, want at most %v", got, r.allocs)
			}
		})
	}
}

func TestMiddlewareAllocatesLittleBeyondVerify(t *testing.T) {
	tenant := reachfivetest.NewTenant(t, reachfivetest.InMemory())
	v, token := tenant.Verifier(reachfive.WithTokenCache(1)), tenant.Token()
	handler := reachfive.Middleware(v)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	request := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	request.Header.Set("Authorization", "Bearer "+token)
	recorder := httptest.NewRecorder()
	verify := allocations(func() { _, _ = v.Verify(t.Context(), token) })
	whole := allocations(func() { handler.ServeHTTP(recorder, request) })
	t.Logf("%v allocations, %v of them in Verify", whole, verify)
	if whole-verify > 5 {
		t.Errorf("%v allocations beyond Verify", whole-verify)
	}
}
