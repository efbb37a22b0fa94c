// Package reachfive verifies the ID tokens that a ReachFive tenant issues, and
// protects net/http handlers with them.
//
// It is not affiliated with ReachFive.
//
// # Quick start
//
// A tenant's domain and a client ID are all it takes:
//
//	func main() {
//		v, err := reachfive.New("acme.reach5.net", "AtnY5xDg4fbanentihip")
//		if err != nil {
//			log.Fatal(err)
//		}
//		mux := http.NewServeMux()
//		mux.HandleFunc("GET /profile", func(w http.ResponseWriter, r *http.Request) {
//			user, _ := reachfive.UserFromContext(r.Context())
//			fmt.Fprintln(w, "Signed in as:", user.Subject)
//		})
//		log.Fatal(http.ListenAndServe("localhost:8080", reachfive.Middleware(v)(mux)))
//	}
//
// Without net/http, [Verifier.Verify] takes the token itself:
//
//	user, err := v.Verify(ctx, idToken, reachfive.Nonce(nonce))
//
// # Algorithms
//
// A Verifier accepts one algorithm and never looks at the token to choose it:
// RS256 with the keys that the tenant publishes, or, with [WithClientSecret],
// HS256 with the secret of one client. HS256 is what a ReachFive client has
// unless its console says otherwise. [ByIssuer] puts several Verifiers side by
// side.
//
// # What is verified
//
// In this order, and nothing later is looked at before what stands above holds:
//
//  1. the form: a canonical compact JWS of at most 16 KiB (RFC 7515 section 3.1);
//  2. the JOSE header: the configured alg, no crit, no duplicate member;
//  3. the key: the candidates of the token's kid;
//  4. the signature, before any of the payload is parsed;
//  5. the payload: one JSON object without duplicate members at any depth;
//  6. each claim by itself: iss, aud, exp, iat and sub are there, none is of
//     another type, no type is coerced, and nothing makes it an access token or
//     a logout token;
//  7. what was expected: iss, then aud and azp, then exp, iat, nbf and auth_time
//     by the clock (OpenID Connect Core 1.0 section 3.1.3.7);
//  8. the Checks of [WithChecks], and then those of the call: [Nonce],
//     [MaxAge], [ACR] and so on.
//
// # Errors
//
// Every refusal is an *[Error] with exactly one [Code]:
//
//	switch reachfive.CodeOf(err) {
//	case reachfive.CodeExpired:         // sign in again
//	case reachfive.CodeKeysUnavailable: // no verdict: try later, sign nobody out
//	}
//
// A Code is itself an error, for [errors.Is]. [CodeKeysUnavailable] is no
// refusal: the provider's keys could not be had, and Middleware answers it with
// 503. When the caller's own context ends, its error comes back as it is.
//
// # Keys
//
// Keys are fetched when the first token needs them, refreshed ahead of the end
// of their lifetime, and kept through an outage of the provider for 24 hours
// ([WithMaxStale]). A key that is rotated in is accepted on first sight, a key
// that is removed stops working with the next good fetch, and tokens with
// made-up kids cannot cause more than a bounded number of fetches.
// [Verifier.Refresh] fetches at once, [Verifier.HealthCheck] is for readiness
// probes, [Verifier.Status] tells what is known. A Verifier has no goroutine and
// no timer between fetches; [Verifier.Close] ends the one in flight.
//
// # Security promise
//
// No default and no outage makes a Verifier accept a token that one of its steps
// refuses; when it cannot decide, it says so and accepts nothing. An option that
// weakens a step has a name that starts with Insecure. Errors and
// logs never carry a token, a secret or the value of a claim, and fmt and slog
// print only a redacted form of a [User] and a [Verifier]. Two ways around that
// are open: a User in an unexported field of another type, and encoding/json,
// which is how a User is meant to be written out.
//
// # Compatibility promise
//
// The module follows semantic versioning. Before v1.0.0 a minor version may
// change an exported name, and the changelog says so. The values of Code stay
// as they are. A token that is refused today and accepted by the specifications
// may be accepted tomorrow; a token that an attacker could have made may be
// refused in any patch release. No type of a dependency is part of the API.
// The two newest releases of Go are supported.
//
// # Around it
//
// Package reachfivetest is a ReachFive tenant for tests, package embedreach
// makes tokens for Reach's embedded UI, and modules of their own have the
// command, gRPC interceptors and OpenTelemetry.
package reachfive
