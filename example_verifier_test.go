package reachfive_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// New needs the tenant's domain and the client ID, and uses no network. Its error
// lists everything that is wrong with the arguments.
func ExampleNew() {
	v, err := reachfive.New("acme.reach5.net", "AtnY5xDg4fbanentihip",
		reachfive.WithLeeway(30*time.Second),               // for exp
		reachfive.WithTokenCache(10_000),                   // for tokens that come again
		reachfive.WithChecks(reachfive.AMR("pwd"), active)) // for every token
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	fmt.Println(v.Status().Issuer, v.Status().Algorithm)

	_, err = reachfive.New("http://acme.reach5.net", "")
	fmt.Println(err)
	// Output:
	// https://acme.reach5.net RS256
	// reachfive: domain: want a host name such as acme.reach5.net, with or without https://
	// reachfive: clientID: the client ID is empty
}

// active is a Check that a service has written itself.
func active(_ context.Context, u *reachfive.User) error {
	if u.Subject == "a user who was banned" {
		return errors.New("banned") // CodeForbidden
	}
	return nil
}

// Verify returns the user of a good token. The Code of a refusal says why, and
// whether the user has to sign in again.
func ExampleVerifier_Verify() {
	tenant, v := tenant()
	defer tenant.Close()
	defer v.Close()

	signIn := func(idToken, nonce string) {
		user, err := v.Verify(context.Background(), idToken, reachfive.Nonce(nonce))
		switch {
		case err == nil:
			fmt.Println("signed in:", user.Subject)
		case errors.Is(err, reachfive.CodeKeysUnavailable):
			fmt.Println("try again later; this says nothing about the user")
		default:
			fmt.Println("sign in again:", string(reachfive.CodeOf(err)))
		}
	}
	subject, nonce := reachfivetest.Claim("sub", "AVqvOB58Fg6nZfQ0ZqXt"), reachfivetest.Claim("nonce", "n-1")
	signIn(tenant.Token(subject, nonce), "n-1")
	signIn(tenant.Token(subject, nonce), "n-2")
	signIn(tenant.Token(subject, nonce, reachfivetest.Expired()), "n-1")
	signIn("not a token", "n-1")
	// Output:
	// signed in: AVqvOB58Fg6nZfQ0ZqXt
	// sign in again: wrong_nonce
	// sign in again: expired
	// sign in again: malformed_token
}

// %s prints a Code as an error, in a whole sentence. A metric label, or any other
// place for the bare value, needs a conversion.
func ExampleCode() {
	code := reachfive.CodeExpired
	fmt.Printf("%s\n", code)
	fmt.Printf("%s\n", string(code))
	// Output:
	// reachfive: expired: the token has expired
	// expired
}
