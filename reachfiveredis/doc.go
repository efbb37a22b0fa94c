// Package reachfiveredis connects processes that verify ID tokens, over Redis 7.0
// or later, or Valkey: they share one fetch of the tenant's keys, and all of them
// refuse a user who was signed out. Each of the two can be used without the other.
//
// # Keys
//
// Keys shares the keys: one process fetches them for all.
//
//	store, err := reachfiveredis.New(&redis.UniversalOptions{Addrs: []string{"redis.internal:6379"}})
//	...
//	v, err := reachfive.New("acme.reach5.net", clientID, reachfive.WithSharedKeyStore(store.Keys()))
//
// While Redis is down, each process fetches the keys by itself. Whoever can write
// the records can sign in as anyone, unless WithRecordKeys signs them.
//
// # Sign-outs
//
// An ID token is valid until it expires, for up to 24 hours, and nothing in it
// changes when a user is signed out. SignOuts keeps the sign-outs of the last 30
// days in one Redis Stream and in the memory of each process, and refuses the
// tokens that they concern:
//
//	signOuts, err := store.SignOuts([]string{"https://acme.reach5.net"})
//	...
//	v, err := reachfive.New("acme.reach5.net", clientID, reachfive.WithChecks(signOuts.Check()))
//	...
//	err = signOuts.Ready(ctx) // for readiness, beside v.HealthCheck
//
//	// Anywhere, once:
//	id, err := signOuts.SignOut(ctx, reachfiveredis.SignOut{Issuer: user.Issuer, Subject: user.Subject})
//
// Initialize a new store once with SignOuts.Init. Without it nothing is decided,
// so that a wrong or an emptied database is noticed.
//
// # What is promised for sign-outs
//
// While the store answers, every process refuses a signed-out user within 3 s of
// SignOut returning. The decision comes from memory and uses no network. While
// the store is silent, decisions go on from what is known for 5 minutes
// (WithMaxSilence); then every token gets reachfive.CodeRevocationsUnavailable, a
// 503, until the store answers again. A store that was flushed, restored or
// failed over is read again, and no process forgets a sign-out that it has heard
// of.
//
// A sign-out ends neither the session at ReachFive nor its refresh tokens, nor a
// session of the application (run Check on its User), nor an open stream or
// WebSocket. docs/fleet.md in the repository has the guarantees with their
// tests, the settings of Redis, and what a failover can lose.
//
// # Connections
//
// Each SignOuts that checks tokens holds one connection of its own, which is
// blocked in a read. go-redis logs failed connections through a logger of the
// whole process, which redis.SetLogger replaces.
//
// # Compatibility
//
// The package follows the promise of package reachfive. The version of what is
// stored is part of the key names and of the marker; entries of a later version
// are skipped with a line in the log, so that a fleet can be upgraded one process
// at a time.
package reachfiveredis
