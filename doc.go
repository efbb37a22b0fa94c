// Package reachfive verifies the ID tokens that a ReachFive tenant issues, and
// protects net/http handlers with them. It is not affiliated with ReachFive.
//
// # Quick start
//
// A [Verifier] needs the tenant's domain and a client ID. Make one at start-up
// and keep it:
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
// Without net/http, pass the token to [Verifier.Verify]:
//
//	user, err := v.Verify(ctx, idToken, reachfive.Nonce(nonce))
//
// # Algorithms
//
// A Verifier accepts one algorithm, whatever the token's header says: RS256 with
// the keys that the tenant publishes, or, with [WithClientSecret], HS256 with the
// secret of one client. A ReachFive client uses HS256 unless its settings in the
// console say otherwise. [WithAudiences] accepts further RS256 clients of the
// tenant. [ByIssuer] combines Verifiers of several tenants, or of several HS256
// clients.
//
// # What is verified
//
// These steps run in this order; each runs only if the previous ones succeeded:
//
//  1. the text: a canonical compact JWS of at most 16 KiB (RFC 7515 section 3.1);
//  2. the JOSE header: the configured alg, no crit, no duplicate member;
//  3. the key: the candidates for the token's kid;
//  4. the signature, before any of the payload is parsed;
//  5. the payload: one JSON object without duplicate members at any depth;
//  6. each claim by itself: iss, aud, exp, iat and sub are present; these, azp,
//     nbf, auth_time, and the e-mail address and the phone number with their
//     verified flags have exactly their type; no claim marks the token as an
//     access token or a logout token;
//  7. the expected values: iss, then aud and azp, then exp, iat, nbf and auth_time
//     by the clock (OpenID Connect Core 1.0 section 3.1.3.7);
//  8. the Checks of [WithChecks], and then those of the call: [Nonce], [MaxAge],
//     [MaxTokenAge], [AMR], [ACR], [AuthType], [EmailVerified], [AccessTokenHash],
//     or a [Check] of your own.
//
// # Requests
//
// [Middleware] reads the token from "Authorization: Bearer", or from the places
// that [TokenFrom] names: a form, a cookie, a function of your own. A token from a
// form or a cookie is accepted only from the service's own origin and from
// [TrustedOrigins]. [ChecksFor] adds checks that depend on the request, such as
// the nonce of a sign-in. [Optional] lets requests without a token pass. [Require]
// runs further checks for one route, such as MaxAge for a step-up.
//
// # Errors
//
// Every refusal is an *[Error] with exactly one [Code]:
//
//	switch reachfive.CodeOf(err) {
//	case reachfive.CodeExpired:         // sign in again
//	case reachfive.CodeKeysUnavailable: // not decided: try again later, sign nobody out
//	}
//
// A Code is itself an error, for [errors.Is]. Two Codes mean that nothing was
// decided about the token: [CodeKeysUnavailable], because the provider's keys
// could not be fetched, and [CodeRevocationsUnavailable], of a Check that cannot
// read the sign-outs. Middleware answers both with 503 and Retry-After. If the
// caller's own context ends, Verify returns the context's error.
//
// # Keys
//
// Keys are fetched when the first token needs them, refreshed before their
// lifetime ends, and used through an outage of the provider for up to 24 hours
// ([WithMaxStale]). A new key is accepted on its first token. While many tokens
// of unknown kids arrive, its tokens may get CodeKeysUnavailable for up to 10
// seconds, but they are never refused. A removed key stops working with the next
// good fetch. Tokens with unknown kids cause at most two fetches at once, and one
// more every 10 seconds.
//
// [Verifier.Refresh] fetches at once, [Verifier.HealthCheck] is for readiness
// probes, [Verifier.Status] shows the current state, and [WithKeyStore] keeps the
// keys for the next start of the process. A Verifier has no goroutine and no timer
// between fetches; [Verifier.Close] ends the fetch in flight. [WithJWKS] uses
// fixed keys and no network.
//
// # Security promise
//
// No default and no outage makes a Verifier accept a token that one of its steps
// refuses; if it cannot decide, it returns an error and accepts nothing. The name
// of every option that weakens a step starts with Insecure. Errors and logs never
// contain a token, a secret or the value of a claim. fmt and slog print a [User]
// redacted. Three things print its claims: json.Marshal, slog's JSON handler for a
// value that contains a User, and fmt for a User in an unexported field of another
// type.
//
// # Compatibility promise
//
// The module follows semantic versioning. Before v1.0.0 a minor version may
// change an exported name, and the changelog says so. The values of Code do not
// change. A later version may accept a token that is refused today, if the
// specifications accept it; any patch release may refuse a token that an attacker
// could have made. No type of a dependency is part of the API. The two newest
// releases of Go are supported.
//
// # Related packages
//
// Package reachfivetest is a ReachFive tenant for tests. Package embedreach signs
// tokens for Reach's embedded UI. Modules of their own are reachfivegrpc, with
// interceptors for gRPC; reachfiveotel, with metrics and spans for OpenTelemetry;
// reachfiveredis, which signs a user out of every process; cmd/reachfive, the
// command; and cmd/reachfive-gateway, which decides for nginx, Envoy and others.
package reachfive
