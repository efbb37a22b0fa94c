package reachfiveredis_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveredis"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// Two processes verify a token. The first fetches the keys, and the second takes them
// from Redis.
func ExampleStore_Keys() {
	server, err := miniredis.Run() // in production a real Redis, with TLS and a user
	if err != nil {
		panic(err)
	}
	defer server.Close()
	tenant, err := reachfivetest.Start()
	if err != nil {
		panic(err)
	}
	defer func() { _ = tenant.Close() }()

	process := func(token string) error {
		recordKey := []byte("32 random bytes that all processes have")
		store, err := reachfiveredis.New(&redis.UniversalOptions{Addrs: []string{server.Addr()}},
			reachfiveredis.WithRecordKeys(recordKey))
		if err != nil {
			return err
		}
		defer func() { _ = store.Close() }()
		options := append(tenant.Options(),
			reachfive.WithSharedKeyStore(store.Keys()), reachfive.WithLogger(slog.New(slog.DiscardHandler)))
		v, err := reachfive.New(tenant.Domain, tenant.ClientID, options...)
		if err != nil {
			return err
		}
		defer func() { _ = v.Close() }()
		user, err := v.Verify(context.Background(), token)
		if err != nil {
			return err
		}
		fmt.Println("email verified:", user.EmailVerified)
		return nil
	}
	for range 2 {
		if err := process(tenant.Token()); err != nil {
			panic(err)
		}
	}
	// Output:
	// email verified: true
	// email verified: true
}
