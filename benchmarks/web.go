package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	auth0mw "github.com/auth0/go-jwt-middleware/v3"
	"github.com/auth0/go-jwt-middleware/v3/validator"

	"github.com/reachfive-community/reachfive"
)

// middleware times what the middleware adds to Verify: the request, the
// recorder and the handler are in every contestant.
func (b *bench) middleware() string {
	p := newProvider(1, true)
	defer p.Close()
	token := rs256(p.keys[0], "key-0", payload(0))
	request := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", http.NoBody)
	request.Header.Set("Authorization", "Bearer "+token)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	serve := func(h http.Handler) func() error {
		return func() error {
			recorder := httptest.NewRecorder()
			h.ServeHTTP(recorder, request)
			if recorder.Code != http.StatusNoContent {
				return fmt.Errorf("status %d", recorder.Code)
			}
			return nil
		}
	}
	bare := func(v *reachfive.Verifier) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := v.Verify(r.Context(), token); err == nil {
				handler.ServeHTTP(w, r)
			}
		})
	}
	uncached := newReachFive(reachfive.WithJWKSURL(p.url()))
	cached := newReachFive(reachfive.WithJWKSURL(p.url()), reachfive.WithTokenCache(1000))
	keys := auth0Keys(p.url())
	auth0, err := auth0mw.New(auth0mw.WithValidator(auth0Validator(validator.RS256, keys)))
	check(err)

	floor := contestant{"floor: SHA-256 + RSA", floorRSA(&p.keys[0].PublicKey, token), true}
	without := b.race([]contestant{
		floor,
		{"Verify in a handler", serve(bare(uncached)), true},
		{"Middleware", serve(reachfive.Middleware(uncached)(handler)), true},
		{"auth0/go-jwt-middleware v3", serve(auth0.CheckJWT(handler)), true},
	})
	with := b.race([]contestant{
		floor,
		{"Verify in a handler, token cached", serve(bare(cached)), true},
		{"Middleware, token cached", serve(reachfive.Middleware(cached)(handler)), true},
	})
	var rows [][]string
	for _, r := range slices.Concat(without, with[1:]) {
		beyond := ""
		if strings.HasPrefix(r.name, "Middleware") {
			beyond = fmt.Sprintf("%.3f", r.beyond)
		}
		rows = append(rows, []string{r.name, micros(r.time), ratio(r.ratio), beyond, fmt.Sprintf("%.0f", r.allocs)})
	}
	return "A request and httptest.NewRecorder in every row:\n\n" +
		table([]string{"", "µs", "to the floor", "beyond Verify, in floors", "allocations"}, rows)
}

// refusals times what each library does with a token that it refuses.
func (b *bench) refusals() string {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p, other := newProvider(1, true), newProvider(1, true)
	defer p.Close()
	defer other.Close()
	if p.keys[0].N.Cmp(other.keys[0].N) < 0 {
		// A library refuses a signature above the modulus before it computes
		// anything, so the other key's modulus has to be the smaller one.
		p, other = other, p
	}
	good := rs256(p.keys[0], "key-0", payload(0))
	refused := []struct{ name, token string }{
		{"over 16 KiB", rs256(p.keys[0], "key-0", payload(20<<10))},
		{"two segments", good[:strings.LastIndexByte(good, '.')]},
		{"not base64url", good[:len(good)-1] + "="},
		{"another alg", hs256(payload(0))},
		{"unknown kid", rs256(other.keys[0], "junk", payload(0))},
		{"signed by another key", rs256(other.keys[0], "key-0", payload(0))},
		{"another audience", rs256(p.keys[0], "key-0", []byte(strings.ReplaceAll(string(payload(0)), clientID, "another-client")))},
	}
	head := []string{""}
	verifiers := map[string]verify{}
	for _, l := range libraries() {
		head = append(head, l.name)
		v := l.rs256(ctx, p.url(), &p.keys[0].PublicKey)
		check(entry(ctx, l.name, v, good).run()) // keys at hand
		for range 3 {
			_, _ = v(ctx, encode(refused[4].token)) // budgets spent
		}
		verifiers[l.name] = v
	}
	var rows [][]string
	for _, r := range refused {
		contestants := []contestant{{"floor", floorRSA(&p.keys[0].PublicKey, good), true}}
		for _, name := range head[1:] {
			c := entry(ctx, name, verifiers[name], r.token)
			c.want = c.run() == nil
			contestants = append(contestants, c)
		}
		row := []string{r.name}
		t := b.track
		t.what = r.name + ":"
		for i, result := range t.race(contestants)[1:] {
			cell := fmt.Sprintf("%s (%.0f)", ratio(result.ratio), result.allocs)
			if contestants[i+1].want {
				cell = "accepted"
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return "Time of a refusal, to the floor, and its allocations:\n\n" + table(head, rows)
}
